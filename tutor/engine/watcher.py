"""Notices saves: inotify for speed, and under it a poll that opens and hashes the few active files, for truth.

What counts as a save is new content, not an event: after a settle time the file is read and compared. A file that is
missing or empty is looked at again for a while, because editors replace files by removing or truncating them first.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tutor.engine.fanout import tell_crash
from tutor.engine.inotify import FolderEvents, remote_file_system

SETTLE = 0.03
SETTLE_AT_MOST = 0.5
REFOLLOW = 10
POLL = 0.2
EMPTY_SECONDS = 1.0
MISSING_SECONDS = 1.5
HASHED_BYTES = 6 << 20


@dataclass(frozen=True, slots=True)
class Look:
    """What a file was when it was opened: stamp (changes with the file), digest, mtime; `digest` None: not there."""

    stamp: tuple[int, ...] = ()
    digest: bytes | None = None
    changed: float = 0.0
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Watched:
    """A file with the content that was last told of. `gone_since`/`empty_since` are monotonic seconds."""

    seen: Look
    gone_since: float | None = None
    empty_since: float | None = None
    told_missing: bool = False


def look(path: Path, before: Look | None = None) -> Look:
    """Open, stat and hash a file. A big file whose stamp did not change since `before` is not read again."""
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            stamp = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
            if before and before.stamp == stamp and stat.st_size > 1 << 16:
                return before
            digest = hashlib.blake2b(file.read(HASHED_BYTES), digest_size=16).digest()
            return Look(stamp, digest, stat.st_mtime, stat.st_size)
    except OSError:
        return Look()


class Watcher:
    """Watches the active files. `on_save(paths, at)` once a save, `on_missing(path)`, `on_status(how, reason)`.

    on_crash: gets what ends the watching, a defect of ours.
    """

    def __init__(
        self,
        on_save: Callable[[tuple[Path, ...], float], None],
        on_missing: Callable[[Path], None],
        on_status: Callable[[str, str], None],
        on_crash: Callable[[BaseException], None] | None = None,
        *,
        inotify: bool = True,
        poll: float = POLL,
    ) -> None:
        self._on_save, self._on_missing, self._on_status = on_save, on_missing, on_status
        self._on_crash = on_crash
        self._poll, self._inotify = poll, inotify
        self._files: dict[Path, _Watched] = {}
        self._events = FolderEvents(self._stir)
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._status: tuple[str, str] | None = None

    async def watch(self, paths: Iterable[Path]) -> None:
        """Watch these files from now on, and only these; what they hold now counts as seen."""
        paths = tuple(paths)
        looks = await asyncio.to_thread(lambda: {path: look(path) for path in paths})
        self._files = {path: _Watched(seen) for path, seen in looks.items()}
        await self._follow()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="watcher")
            if self._on_crash:
                tell_crash(self._task, self._on_crash)

    async def accept(self) -> None:
        """Take what the files hold now as seen: the engine has just written them itself."""
        await self.watch(self._files)

    async def close(self) -> None:
        """Stop watching."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.wait({task})
        await asyncio.to_thread(self._events.close)

    def _stir(self, paths: frozenset[Path]) -> None:
        """From inotify, on the loop: something happened to these files."""
        if not paths.isdisjoint(self._targets()):
            self._stirred.set()

    def _targets(self) -> set[Path]:
        return {p for path in self._files for p in (path, Path(os.path.realpath(path)))}

    async def _follow(self) -> None:
        """Put inotify on the folders of the files, and of what links among them point to; say how it watches."""
        folders = {target.parent for target in self._targets()}
        try:
            remote = await asyncio.to_thread(remote_file_system, folders)
        except OSError:  # no descriptor left for /proc, say: the poll sees saves there too
            remote = ""
        if not self._inotify:
            status = ("poll", "inotify is switched off")
        elif remote:
            status = ("poll", f"{remote} does not tell of changes made elsewhere")
        else:
            problem = await asyncio.to_thread(self._events.follow, folders)
            status = ("poll", problem) if problem else ("inotify + poll", "")
        if status != self._status:
            self._status = status
            self._on_status(*status)

    async def _run(self) -> None:
        passes = 0
        while True:
            passes += 1
            stirred = await self._next()
            await self._compare(stirred)
            if passes % REFOLLOW == 0:
                await self._follow()

    async def _next(self) -> bool:
        """Wait for the next pass; True when inotify stirred and has been silent for the settle time since."""
        try:
            # not wait_for: that of Python 3.11 loses a cancellation that comes in the moment of the event
            async with asyncio.timeout(self._poll):
                await self._stirred.wait()
        except TimeoutError:
            return False
        await self._settle()
        return True

    async def _settle(self) -> None:
        """Wait until inotify has been silent for the settle time, but not for ever."""
        deadline = time.monotonic() + SETTLE_AT_MOST
        self._stirred.clear()
        await asyncio.sleep(SETTLE)
        while self._stirred.is_set() and time.monotonic() < deadline:
            self._stirred.clear()
            await asyncio.sleep(SETTLE)

    async def _compare(self, settled: bool) -> None:
        """One pass over the files. A difference found by the poll alone settles before it is told."""
        files = self._files
        looks = await asyncio.to_thread(_look_all, files)
        if not settled and self._changed(files, looks):
            await self._settle()  # the poll may have come between two writes of one burst
            looks = await asyncio.to_thread(_look_all, files)
        if files is not self._files:
            return  # another exercise was opened meanwhile
        now = time.monotonic()
        saved = [path for path, seen in looks.items() if self._judge(path, seen, now)]
        if saved:
            self._on_save(tuple(saved), _moment(looks[path] for path in saved))

    def _changed(self, files: dict[Path, _Watched], looks: dict[Path, Look]) -> bool:
        return any(seen.digest and seen.digest != files[path].seen.digest for path, seen in looks.items())

    def _judge(self, path: Path, seen: Look, now: float) -> bool:
        """Update what is known of a file; True when it holds new content that has settled."""
        known = self._files[path]
        if seen.digest is None:
            self._files[path] = self._missing(path, known, now)
            return False
        if seen.digest == known.seen.digest and not known.told_missing:
            self._files[path] = _Watched(replace(seen, changed=known.seen.changed))
            return False
        if seen.size == 0 and (known.empty_since is None or now - known.empty_since < EMPTY_SECONDS):
            since = now if known.empty_since is None else known.empty_since
            self._files[path] = replace(known, empty_since=since, gone_since=None)
            return False
        self._files[path] = _Watched(seen)
        return True

    def _missing(self, path: Path, known: _Watched, now: float) -> _Watched:
        since = now if known.gone_since is None else known.gone_since
        if now - since >= MISSING_SECONDS and not known.told_missing:
            self._on_missing(path)
            return replace(known, gone_since=since, told_missing=True)
        return replace(known, gone_since=since)


def _look_all(files: dict[Path, _Watched]) -> dict[Path, Look]:
    return {path: look(path, known.seen) for path, known in files.items()}


def _moment(looks: Iterable[Look]) -> float:
    """When the newest of them was written, by its own clock when that is believable."""
    now = time.time()
    at = max(seen.changed for seen in looks)
    return at if now - 2.0 <= at <= now else now
