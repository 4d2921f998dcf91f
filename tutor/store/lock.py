"""A lock between processes that also holds on network file systems.

Decision: POSIX record locks (`fcntl.lockf`), because NFSv4 servers and NFSv3 with lockd honour them across hosts and
the kernel drops them when the owner dies, so there is nothing stale to guess about. Where the file system has none
(Lustre mounted without `flock`, NFSv3 without lockd: ENOLCK, ENOSYS, EOPNOTSUPP), a lock file made by `os.link` is
used, which is atomic on every NFS version; it is stale when its process on this host is gone, or when it is older
than a minute by the file server's own clock. Threads of one process are kept apart by an ordinary lock, as record
locks don't do that.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tutor.core.errors import WorkspaceError
from tutor.store.atomic import explain

STALE_SECONDS = 60.0
_BUSY = {errno.EACCES, errno.EAGAIN}
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_threads: dict[str, threading.Lock] = {}
_threads_guard = threading.Lock()


@contextlib.contextmanager
def locked(path: Path, timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock file `path` for the block; not reentrant. Raises WorkspaceError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    with _between_threads(path, timeout):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise explain(error, "can't lock") from error
        try:
            if _record_lock(descriptor, path, deadline):
                yield
                return
        finally:
            os.close(descriptor)
        with _link_lock(path.with_name(path.name + ".link"), deadline):
            yield


@contextlib.contextmanager
def _between_threads(path: Path, timeout: float) -> Iterator[None]:
    with _threads_guard:
        lock = _threads.setdefault(os.path.realpath(path), threading.Lock())
    if not lock.acquire(timeout=timeout):
        raise _held(path)
    try:
        yield
    finally:
        lock.release()


def _held(path: Path) -> WorkspaceError:
    return WorkspaceError(f"another mltutor holds {path}", "wait for it to end, or end it, then try again")


def _record_lock(descriptor: int, path: Path, deadline: float) -> bool:
    """True when locked, False when the file system has no record locks."""
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return False
            if error.errno not in _BUSY:
                raise explain(error, f"can't lock {path}") from error
        _wait(path, deadline)


def _wait(path: Path, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise _held(path)
    time.sleep(0.01)


@contextlib.contextmanager
def _link_lock(path: Path, deadline: float) -> Iterator[None]:
    mine = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        try:
            mine.write_text(f"{socket.gethostname()} {os.getpid()}")
            while not _linked(mine, path):
                _break_stale(path, mine)
                _wait(path, deadline)
        except OSError as error:
            raise explain(error, "can't lock") from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        mine.unlink(missing_ok=True)


def _linked(mine: Path, path: Path) -> bool:
    """Link `mine` as the lock. The link count decides: over NFS the reply to a link that worked may be lost."""
    with contextlib.suppress(FileExistsError):
        os.link(mine, path)
    return mine.stat().st_nlink == 2


def _break_stale(path: Path, mine: Path) -> None:
    """Move a lock away whose owner is gone. A lock that someone else renewed in between is put back."""
    try:
        before = path.stat()
        host, _, pid = path.read_text().partition(" ")
    except OSError:
        return
    os.utime(mine)
    gone = host == socket.gethostname() and pid.isdigit() and not os.path.exists(f"/proc/{pid}")
    if not gone and mine.stat().st_mtime - before.st_mtime < STALE_SECONDS:
        return
    aside = mine.with_name(mine.name + ".stale")
    with contextlib.suppress(OSError):
        os.rename(path, aside)
        if aside.stat().st_ino != before.st_ino:
            os.link(aside, path)
        aside.unlink()
