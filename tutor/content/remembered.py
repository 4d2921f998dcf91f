"""The survey of a lesson tree that has not changed: a start need not read and check every manifest again."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from pathlib import Path

from tutor.content.resources import lessons_root
from tutor.core.errors import ContentError
from tutor.core.exercise import Course
from tutor.store.atomic import write_atomic

_CODE = Path(__file__).parents[1]
# Manifests, benchmarks and our own code. Of patches and sources, most of the tree, only the names matter.
_READ = (".toml", ".py")
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
    """What a survey may find below `root`, and the code that reads it. Compared as it is: a digest takes longer."""
    lines = [f"{sys.version} {root}"]
    for tree in (root, _CODE / "content", _CODE / "core"):
        lines += sorted(_files(str(tree)))
    listing = "\n".join(lines).encode("utf-8", "surrogateescape")
    return len(listing).to_bytes(8, "little") + listing


def _files(tree: str) -> list[str]:
    """A line for every file below `tree`, with size and time where a survey reads it; else only that it is there."""
    found, folders = [], [tree]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    folders.append(entry.path)
            elif entry.name.endswith(_READ):
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    found.append(f"{entry.path}\0{status.st_size}\0{status.st_mtime_ns}")
            elif entry.is_file():
                found.append(entry.path)
    return found


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
