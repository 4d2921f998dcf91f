"""The run history: one JSON object a line, only ever appended to."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import msgspec

from tutor.store.atomic import explained
from tutor.store.lock import locked

# A record has one to ten KB: hundreds of runs, read in some hundredths of a second.
RECENT = 4 << 20


class History:
    """`history.jsonl` at `path`. A record is one write under a lock, as O_APPEND alone is not atomic over NFS."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path.with_name(path.name + ".lock")

    def append(self, record: dict[str, Any]) -> None:
        """Add one record. Raises WorkspaceError; then the file is as it was."""
        line = msgspec.json.encode(record) + b"\n"
        with locked(self._lock), explained("can't write the history"):
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                _append(descriptor, line)
            finally:
                os.close(descriptor)

    def read(self, exercise: str | None = None) -> list[dict[str, Any]]:
        """All records, oldest first, of one exercise when named. Lines that are no JSON object are passed over."""
        return self._records(exercise, None)

    def recent(self, exercise: str, size: int = RECENT) -> list[dict[str, Any]]:
        """The records of an exercise in the last `size` bytes of the file, oldest first."""
        return self._records(exercise, size)

    def _records(self, exercise: str | None, size: int | None) -> list[dict[str, Any]]:
        with explained("can't read the history"):
            try:
                with self.path.open("rb") as file:
                    length = file.seek(0, os.SEEK_END)
                    file.seek(0 if size is None else max(0, length - size))
                    raw = file.read()
            except FileNotFoundError:
                return []
        records = (_decode(line) for line in raw.split(b"\n") if line.strip())
        return [r for r in records if r is not None and (exercise is None or r.get("exercise") == exercise)]


def _append(descriptor: int, line: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        line = b"\n" + line  # a writer was killed in the middle of its line: don't glue ours to it
    try:
        written = os.write(descriptor, line)
        if written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) else None
