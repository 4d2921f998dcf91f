"""What must hold for an exercise folder besides the types of its manifest: files, ids, cases, codes, patches."""

from __future__ import annotations

import ast
import re
from pathlib import Path, PurePosixPath

from tutor.content.manifest import Document, read_text
from tutor.core.errors import ContentError
from tutor.core.exercise import Exercise
from tutor.core.finding import CODES

_ID = re.compile(r"^[a-z]+-[a-z0-9-]+$")


def check_exercise(exercise: Exercise, document: Document) -> None:
    """Raise ContentError for the first rule that the exercise breaks."""
    _check_names(exercise, document)
    _check_files(exercise, document)
    _check_codes(exercise, document)
    _check_bench(exercise, document)


def _check_names(exercise: Exercise, document: Document) -> None:
    if not _ID.match(exercise.id):
        raise document.error(f"{exercise.id!r} is not of the form word-words, small letters and digits", "id")
    for key in ("title", "summary"):
        if not getattr(exercise, key).strip():
            raise document.error("must not be empty", key)
    if not exercise.module.isidentifier():
        raise document.error(f"{exercise.module!r} can't be imported: not an identifier", "module")
    for key in ("time_limit", "memory_limit_mb"):
        if getattr(exercise, key) <= 0:
            raise document.error("must be positive", key)


def _check_files(exercise: Exercise, document: Document) -> None:
    if not exercise.files:
        raise document.error("names no file for the learner to edit", "files")
    for name in exercise.files:
        if not is_plain_relative(name):
            raise document.error(f"{name!r} must be a path inside solution/", "files")
        if not (exercise.solution / name).is_file():
            raise document.error(f"solution/{name} does not exist", "files")
    if len(set(exercise.files)) < len(exercise.files):
        raise document.error("names a file twice", "files")
    for name in ("README.md", "hints.md"):
        if not (exercise.folder / name).is_file():
            raise ContentError(exercise.folder / name, "is missing")
    if not any(exercise.folder.glob("test_*.py")):
        raise ContentError(exercise.folder, "has no test_*.py")


def _check_codes(exercise: Exercise, document: Document) -> None:
    for code in exercise.starter.codes:
        if code not in CODES:
            raise document.error(f"{code!r} is no finding code", "starter", "codes")
    for index, fault in enumerate(exercise.faults):
        if fault.code not in CODES:
            raise document.error(f"{fault.code!r} is no finding code", "fault", index, "code")
        if not is_plain_relative(fault.patch) or not (exercise.folder / fault.patch).is_file():
            raise document.error(f"{fault.patch} does not exist", "fault", index, "patch")
        if fault.file and fault.file not in (*exercise.files, *exercise.given):
            raise document.error(f"solution/{fault.file} does not exist", "fault", index, "file")
        if fault.at and not fault.file:
            raise document.error("`at` needs `file`", "fault", index, "at")


def _check_bench(exercise: Exercise, document: Document) -> None:
    if not exercise.bench:
        return
    names = bench_cases(exercise.folder / "bench.py")
    seen: set[str] = set()
    for index, spec in enumerate(exercise.bench):
        if names is not None and spec.case not in names:
            known = f"bench.py has {', '.join(sorted(names)) or 'no case'}"
            raise document.error(f"{spec.case!r} is not a case of bench.py", "bench", index, "case", remedy=known)
        if spec.case in seen:
            raise document.error(f"{spec.case!r} is listed twice", "bench", index, "case")
        if spec.target <= 0 or (spec.gold is not None and spec.gold < spec.target):
            raise document.error("must be positive, and gold not below it", "bench", index, "target")
        seen.add(spec.case)


def bench_cases(file: Path) -> frozenset[str] | None:
    """The keys of the dict CASES, read without importing the file (that would need numpy); None when computed."""
    text = read_text(file)
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ContentError(file, f"not Python: {error.msg}", line=error.lineno) from error
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == "CASES" for t in targets):
            return _literal_keys(getattr(node, "value", None))
    raise ContentError(file, "defines no CASES", key="CASES")


def _literal_keys(value: ast.expr | None) -> frozenset[str] | None:
    if not isinstance(value, ast.Dict):
        return None
    keys = [key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return frozenset(keys) if len(keys) == len(value.keys) else None


def is_plain_relative(name: str) -> bool:
    """True for a path that stays where it is put: relative, no `..`."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and str(path) == name
