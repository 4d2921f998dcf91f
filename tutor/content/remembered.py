"""The survey of a lesson tree that has not changed: a start need not read and check every manifest again."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

from tutor.content.resources import lessons_root
from tutor.core.errors import ContentError
from tutor.core.exercise import Course
from tutor.store.atomic import write_atomic

_CODE = Path(__file__).parents[1]
# What reading and unpickling a cut or foreign file raises (pickle's documentation names these and says: among others).
_DAMAGED = (
    OSError,
    EOFError,
    pickle.PickleError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    MemoryError,
)


def remembered_survey(root: Path | None, folder: Path) -> tuple[Course, tuple[ContentError, ...]]:
    """As `survey(root)`; a course without problems is kept in `folder` until its tree, or mltutor, changes."""
    root = root or lessons_root()
    file = folder / "course.pickle"
    key = _key(root)
    course = _load(file, key)
    if course is not None:
        return course, ()
    from tutor.content.course import survey  # what reads manifests is loaded for those that have changed

    course, problems = survey(root)
    if not problems:
        _keep(file, key, course)
    return course, problems


def _key(root: Path) -> bytes:
    """A digest of the name, size and time of every file that a survey may read, and of the code that reads it."""
    made = hashlib.blake2b(f"{sys.version} {root}".encode(), digest_size=16)
    for tree in (root, _CODE / "content", _CODE / "core"):
        for name, size, changed in sorted(_files(str(tree), "")):
            made.update(f"{name}\0{size}\0{changed}\n".encode())
    return made.digest()


def _files(folder: str, prefix: str) -> Iterator[tuple[str, int, int]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _files(entry.path, f"{prefix}{entry.name}/")
        else:
            try:
                status = entry.stat()
            except OSError:
                continue
            yield f"{prefix}{entry.name}", status.st_size, status.st_mtime_ns


def _load(file: Path, key: bytes) -> Course | None:
    """The course that was kept under this key; anything unreadable counts as nothing."""
    try:
        data = file.read_bytes()
        course = pickle.loads(data[len(key) :]) if data.startswith(key) else None
    except _DAMAGED:
        return None
    return course if isinstance(course, Course) else None


def _keep(file: Path, key: bytes, course: Course) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, key + pickle.dumps(course, protocol=pickle.HIGHEST_PROTOCOL))
    except OSError:
        return  # a full or read-only disk makes the next start slower, nothing else
