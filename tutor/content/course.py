"""Reads the lesson tree into a Course."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tutor.content.lookup import did_you_mean
from tutor.content.manifest import Document, read_exercise, read_lesson
from tutor.content.resources import lessons_root
from tutor.content.rules import check_exercise
from tutor.core.errors import ContentError, UsageError
from tutor.core.exercise import Course, Exercise, Lesson

_NUMBERED = re.compile(r"^(\d+)_(.+)$")
# What building in place leaves in a solution folder; never part of an exercise.
_LEFTOVERS = {"__pycache__", "target", "build", ".git"}
_LEFTOVER_SUFFIXES = {".so", ".o", ".pyc", ".pyd"}


def load_course(root: Path | None = None) -> Course:
    """The course at `root` (default: the one that comes with mltutor). Raises the first ContentError."""
    course, problems = survey(root)
    if problems:
        raise problems[0]
    return course


def survey(root: Path | None = None) -> tuple[Course, tuple[ContentError, ...]]:
    """The exercises that can be read, and what is wrong with the others. Raises UsageError without any lesson."""
    root = root or lessons_root()
    if not root.is_dir():
        raise UsageError(f"no such folder of lessons: {root}", "give --lessons a folder that holds NN_name/ folders")
    loader = _Loader()
    lessons = tuple(loader.lesson(folder, number, name) for folder, number, name in _numbered(root))
    course = Course(root, lessons)
    loader.check_requires()
    if not course.exercises and not loader.problems:
        raise UsageError(f"no exercises in {root}", "give --lessons a folder that holds NN_name/MM_name/exercise.toml")
    return course, tuple(loader.problems)


def solution_names(folder: Path) -> tuple[str, ...]:
    """All files of a solution folder, relative and sorted, without what builds leave behind."""
    if not folder.is_dir():
        return ()
    paths = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    kept = (p for p in paths if not _LEFTOVERS.intersection(p.parts) and p.suffix not in _LEFTOVER_SUFFIXES)
    return tuple(sorted(p.as_posix() for p in kept))


class _Loader:
    """Collects exercises and problems while the tree is walked."""

    def __init__(self) -> None:
        self.problems: list[ContentError] = []
        self._documents: dict[str, tuple[Exercise, Document]] = {}

    def lesson(self, folder: Path, number: int, name: str) -> Lesson:
        title, summary = name.replace("_", " "), ""
        try:
            title, summary = read_lesson(folder)
        except ContentError as problem:
            self.problems.append(problem)
        found = (self._exercise(path, f"{number}.{place}") for path, place, _ in _numbered(folder))
        return Lesson(number, folder.name, title, summary, folder, tuple(e for e in found if e is not None))

    def _exercise(self, folder: Path, number: str) -> Exercise | None:
        try:
            exercise, document = read_exercise(folder, number, ())
            exercise = _with_given(exercise)
            check_exercise(exercise, document)
            if exercise.id in self._documents:
                other = self._documents[exercise.id][1].file
                raise document.error(f"{exercise.id!r} is the id of {other} too", "id")
        except ContentError as problem:
            self.problems.append(problem)
            return None
        self._documents[exercise.id] = exercise, document
        return exercise

    def check_requires(self) -> None:
        """Prerequisites must exist. Where another exercise can't be read, that is reported and not this."""
        unreadable = bool(self.problems)
        for exercise, document in self._documents.values():
            for required in exercise.requires:
                if required == exercise.id:
                    self.problems.append(document.error("an exercise can't require itself", "requires"))
                elif required not in self._documents and not unreadable:
                    remedy = did_you_mean(required, list(self._documents))
                    self.problems.append(
                        document.error(f"no exercise has the id {required!r}", "requires", remedy=remedy)
                    )


def _with_given(exercise: Exercise) -> Exercise:
    from msgspec.structs import replace

    given = tuple(name for name in solution_names(exercise.solution) if name not in exercise.files)
    styles = sorted(path.name for path in (exercise.folder / "alternatives").glob("*") if path.is_dir())
    return replace(exercise, given=given, alternatives=tuple(styles))


def _numbered(root: Path) -> Iterator[tuple[Path, int, str]]:
    """Folders `NN_name` of `root` in order. A folder with nothing of an exercise in it (a leftover cache) is none."""
    try:
        folders = sorted(p for p in root.iterdir() if p.is_dir())
    except OSError as error:
        raise ContentError(root, error.strerror or str(error)) from error
    for folder in folders:
        match = _NUMBERED.match(folder.name)
        if match and any(p.name != "__pycache__" for p in folder.iterdir()):
            yield folder, int(match[1]), match[2]
