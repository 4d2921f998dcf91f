"""The `--json` documents of every command besides check and bench, whose document is the verdict's own.

Every document is one object with `schema`. An error is `{"schema", "error": {"message", "remedy", "exit_code"}}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tutor.core.events import Notice
from tutor.core.exercise import Course, Exercise
from tutor.core.progress import Progress
from tutor.core.verdict import SCHEMA
from tutor.core.versions import Version, changes


def exercise_entry(exercise: Exercise, progress: Progress) -> dict[str, Any]:
    """`id, number, title, summary, toolchain, files[], requires[], needs[], passed`."""
    return {
        "id": exercise.id,
        "number": exercise.number,
        "title": exercise.title,
        "summary": exercise.summary,
        "toolchain": exercise.toolchain,
        "files": list(exercise.files),
        "requires": list(exercise.requires),
        "needs": list(exercise.needs),
        "passed": progress.of(exercise.id).passed,
    }


def course_document(course: Course, progress: Progress) -> dict[str, Any]:
    """`lessons[] {number, name, title, summary, exercises[]}`."""
    lessons = [
        {
            "number": lesson.number,
            "name": lesson.name,
            "title": lesson.title,
            "summary": lesson.summary,
            "exercises": [exercise_entry(e, progress) for e in lesson.exercises],
        }
        for lesson in course.lessons
    ]
    return {"schema": SCHEMA, "current": progress.current, "lessons": lessons}


def next_document(exercise: Exercise | None, progress: Progress) -> dict[str, Any]:
    """`exercise`: an entry, or null when all have passed."""
    return {"schema": SCHEMA, "exercise": exercise_entry(exercise, progress) if exercise else None}


def show_document(exercise: Exercise, progress: Progress, readme: str) -> dict[str, Any]:
    """`exercise` and `readme` (Markdown)."""
    return {"schema": SCHEMA, "exercise": exercise_entry(exercise, progress), "readme": readme}


def hint_document(exercise: Exercise, hints: Sequence[str], level: int) -> dict[str, Any]:
    """`exercise, level, total, hints[]`: the hints up to `level` (Markdown)."""
    return {
        "schema": SCHEMA,
        "exercise": exercise.id,
        "level": level,
        "total": len(hints),
        "hints": list(hints[:level]),
    }


def progress_document(course: Course, progress: Progress) -> dict[str, Any]:
    """`current, passed, total, exercises[] {id, number, passed, passed_at, best{case: ratio}, hints, ...}`."""
    exercises = [
        {
            "id": e.id,
            "number": e.number,
            "passed": (mine := progress.of(e.id)).passed,
            "passed_at": mine.passed_at,
            "best": mine.best,
            "hints": mine.hints,
            "solution_seen": mine.solution_seen,
            "runs": mine.runs,
            "failures": mine.failures,
        }
        for e in course.exercises
    ]
    passed = sum(bool(entry["passed"]) for entry in exercises)
    return {
        "schema": SCHEMA,
        "current": progress.current,
        "passed": passed,
        "total": len(exercises),
        "exercises": exercises,
    }


def files_document(exercise: Exercise, files: Mapping[str, bytes]) -> dict[str, Any]:
    """`exercise, files{name: text}`."""
    texts = {name: content.decode(errors="replace") for name, content in files.items()}
    return {"schema": SCHEMA, "exercise": exercise.id, "files": texts}


def diff_document(exercise: Exercise, against: str, diffs: Mapping[str, str], bench: Any) -> dict[str, Any]:
    """`exercise, against, files[] {file, diff}` (unified), and the verdict document of the benchmark or null."""
    files = [{"file": name, "diff": text} for name, text in diffs.items()]
    return {"schema": SCHEMA, "exercise": exercise.id, "against": against, "files": files, "bench": bench}


def replaced_document(exercise: Exercise, done: str, files: Sequence[str], kept: str) -> dict[str, Any]:
    """`exercise, done ("reset" or "undo"), files[]` (paths), `kept`: the folder of the snapshot."""
    return {"schema": SCHEMA, "exercise": exercise.id, "done": done, "files": list(files), "kept": kept}


def versions_document(exercise: Exercise, kept: Sequence[Version], mine: Mapping[str, bytes]) -> dict[str, Any]:
    """`exercise, versions[] {number, at, kind, why, more, less, files{name: text}}`, newest first."""
    versions = [
        {
            "number": version.number,
            "at": version.at,
            "kind": version.kind,
            "why": version.why,
            **msgspec.structs.asdict(changes(version, mine)),
            "files": {name: content.decode(errors="replace") for name, content in version.files.items()},
        }
        for version in kept
    ]
    return {"schema": SCHEMA, "exercise": exercise.id, "versions": versions}


def rows_document(name: str, rows: Sequence[Any], ok: bool, notices: Sequence[Notice] = ()) -> dict[str, Any]:
    """`ok`, and under `name` one object a row of its own fields."""
    plain = msgspec.to_builtins(rows, enc_hook=str)  # paths become their text
    document = {"schema": SCHEMA, "ok": ok, name: plain}
    return document | ({"notices": [msgspec.structs.asdict(n) for n in notices]} if notices else {})
