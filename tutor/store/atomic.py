"""Writes that are either wholly there or not at all: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tutor.core.errors import WorkspaceError

TEMPORARY = ".mltutor-tmp-"

_REASONS = {
    errno.EROFS: (
        "the disk is mounted read-only",
        "choose a folder that can be written: --workspace DIR, MLTUTOR_HOME",
    ),
    errno.ENOSPC: ("the disk is full", "free some space and try again; nothing was replaced"),
    errno.EDQUOT: ("your disk quota is used up", "free some space and try again; nothing was replaced"),
    errno.EACCES: ("permission denied", "check who owns the folder, or choose another: --workspace DIR, MLTUTOR_HOME"),
    errno.EPERM: ("not permitted", "check who owns the folder, or choose another: --workspace DIR, MLTUTOR_HOME"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "move that file away or choose another folder"),
    errno.EISDIR: ("it is a folder, a file was expected", "move that folder away"),
    errno.ELOOP: ("the symbolic links go in a circle", "repair or remove the link"),
}


def explain(error: OSError, what: str) -> WorkspaceError:
    """A WorkspaceError that says what failed, on which path, why, and what to do."""
    reason, remedy = _REASONS.get(error.errno or 0, (os.strerror(error.errno) if error.errno else str(error), ""))
    path = error.filename2 or error.filename
    if path and TEMPORARY in os.fsdecode(path):
        path = os.path.dirname(os.fsdecode(path))
    where = f" {os.fsdecode(path)}" if path else ""
    return WorkspaceError(f"{what}{where}: {reason}", remedy)


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an OSError of the block into a WorkspaceError that starts with `what`."""
    try:
        yield
    except OSError as error:
        raise explain(error, what) from error


def target_of(path: Path) -> Path:
    """Where a write to `path` has to go: the end of its symbolic links, so that the link itself stays."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def write_atomic(path: Path, data: bytes, *, before: Callable[[], None] | None = None) -> None:
    """Replace (or create) `path` by `data`, keeping its mode; a link's target is replaced, not the link.

    `before` is called when all is on disk and just before the rename; when it raises, `path` stays as it was.
    Raises OSError; the temporary file is removed then.
    """
    target = target_of(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY}{os.urandom(6).hex()}")
    try:
        _write_new(temporary, data, _mode(target))
        if before is not None:
            before()
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):  # it is gone when the rename went well
            temporary.unlink()
    sync_folder(target.parent)


def _write_new(path: Path, data: bytes, mode: int | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode & 0o7777
    except OSError:
        return None


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut; file systems that can't do it are left alone."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what a killed writer left half written in `folder`. The caller holds the lock of its writers."""
    with contextlib.suppress(OSError):
        for path in folder.rglob(f"{TEMPORARY}*"):
            path.unlink()
