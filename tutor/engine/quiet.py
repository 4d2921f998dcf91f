"""Keeps benchmarks alone on the machine: builds and checks share it, a benchmark has it to itself.

Also between the processes of one user: two terminals with mltutor would else measure each other.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

# A process that was stopped in the middle of a benchmark (Ctrl-Z) must not stop the others for ever.
PATIENCE = 30.0
_PAUSE = 0.02


def quiet_file() -> Path:
    """The lock that all mltutor processes of this user on this machine share."""
    return Path(tempfile.gettempdir(), f"mltutor-{os.getuid()}.quiet")


@asynccontextmanager
async def between_processes(path: Path, how: int, patience: float) -> AsyncIterator[None]:
    """Hold `path` with flock (LOCK_SH or LOCK_EX), or go on without it after `patience` seconds or where it can't be.

    A lock without which results are noisier, never wrong: a benchmark that was disturbed says it is inconclusive.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield
        return
    try:
        deadline = time.monotonic() + patience
        while not _taken(descriptor, how) and time.monotonic() < deadline:
            await asyncio.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


class Quiet:
    """A lock with many sharers or one who is alone; who waits to be alone holds newcomers of this process back."""

    def __init__(self, path: Path | None = None, patience: float = PATIENCE) -> None:
        self._path, self._patience = path or quiet_file(), patience
        self._changed = asyncio.Condition()
        self._sharers = 0
        self._alone = False
        self._waiting = 0

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Be beside others of this kind, never beside one who is alone."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._sharers += 1
        try:
            async with between_processes(self._path, fcntl.LOCK_SH, self._patience):
                yield
        finally:
            await self._give_back(self._leave_shared)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait until nobody is here, then keep everybody out."""
        async with self._changed:
            self._waiting += 1
            try:
                await self._changed.wait_for(lambda: not self._alone and not self._sharers)
                self._alone = True
            finally:
                self._waiting -= 1
                self._changed.notify_all()
        try:
            async with between_processes(self._path, fcntl.LOCK_EX, self._patience):
                yield
        finally:
            await self._give_back(self._leave_alone)

    async def _give_back(self, leave: Callable[[], None]) -> None:
        # the count changes at once: a task that is being cancelled may not get to wait for the condition
        leave()
        await asyncio.shield(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _leave_shared(self) -> None:
        self._sharers -= 1

    def _leave_alone(self) -> None:
        self._alone = False
