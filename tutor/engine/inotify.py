"""Folder events from watchdog's inotify threads, handed to the event loop; and which file systems don't have them."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
from watchdog.events import (
    DirDeletedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

# without `opened` and `closed unwritten`: the poll opens the files five times a second
_WANTED: list[type[FileSystemEvent]] = [
    FileModifiedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    FileClosedEvent,
    DirDeletedEvent,
]
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "ceph", "lustre", "beegfs", "gpfs", "virtiofs"}
_REASONS = {
    errno.ENOSPC: "the limit of inotify watches is used up (fs.inotify.max_user_watches)",
    errno.EMFILE: "the limit of inotify instances is used up (fs.inotify.max_user_instances)",
    errno.ENOSYS: "this system has no inotify",
}


class FolderEvents(FileSystemEventHandler):
    """Calls `stir` on the loop with the paths that an event is about."""

    def __init__(self, stir: Callable[[frozenset[Path]], None]) -> None:
        self._stir = stir
        self._loop = asyncio.get_running_loop()
        self._observer: BaseObserver | None = None
        self._followed: dict[Path, int] = {}

    def follow(self, folders: Iterable[Path]) -> str:
        """Watch exactly these folders; '' or why inotify can't. Blocks for some ms: call it in a thread."""
        wanted = {folder: _inode(folder) for folder in folders}
        wanted = {folder: inode for folder, inode in wanted.items() if inode}
        if wanted == self._followed and self._observer is not None:
            return ""
        self.close()
        observer = Observer()
        try:
            for folder in wanted:
                observer.schedule(self, str(folder), recursive=False, event_filter=_WANTED)
            observer.start()
        except OSError as error:
            _stop(observer)
            return _REASONS.get(error.errno or 0, f"inotify: {error.strerror or error}")
        except RuntimeError as error:  # "can't start new thread"
            _stop(observer)
            return f"inotify: {error}"
        self._observer, self._followed = observer, wanted
        return ""

    def close(self) -> None:
        """Stop the threads."""
        observer, self._observer, self._followed = self._observer, None, {}
        if observer:
            _stop(observer)

    def on_any_event(self, event: FileSystemEvent) -> None:
        paths = frozenset(Path(os.fsdecode(p)) for p in (event.src_path, event.dest_path) if p)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stir, paths)


def _stop(observer: BaseObserver) -> None:
    observer.unschedule_all()
    if observer.is_alive():
        observer.stop()
        observer.join(2.0)


def _inode(folder: Path) -> int:
    try:
        return folder.stat().st_ino
    except OSError:
        return 0


def remote_file_system(folders: Iterable[Path]) -> str:
    """The type of a network file system that one of the folders lies on, or nothing."""
    mounts = [(Path(part.mountpoint), part.fstype) for part in psutil.disk_partitions(all=True)]
    for folder in folders:
        above = [(len(mount.parts), kind) for mount, kind in mounts if folder.is_relative_to(mount)]
        kind = max(above, default=(0, ""))[1]
        if kind in _REMOTE or kind.startswith("fuse.sshfs"):
            return kind
    return ""
