"""The progress file: read, changed and replaced as a whole under a lock, with a backup and nothing ever thrown away."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tutor.core.errors import WorkspaceError
from tutor.core.events import Notice
from tutor.core.progress import ExerciseProgress, Progress
from tutor.store.atomic import explained, write_atomic
from tutor.store.lock import locked

SCHEMA = 1


class _Document(msgspec.Struct):
    """The file: its schema number, the current exercise and the progress of each."""

    schema: int
    current: str = ""
    exercises: dict[str, ExerciseProgress] = {}


class _SchemaOnly(msgspec.Struct):
    schema: int


class _Unreadable(Exception):
    """A progress file that can't be used: `label` goes into its new name, the message says why."""

    def __init__(self, label: str, why: str) -> None:
        super().__init__(why)
        self.label = label


class ProgressStore:
    """Progress on disk at `path`, its backup at `path`.bak, its lock at `path`.lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.backup = path.with_name(path.name + ".bak")
        self._lock = path.with_name(path.name + ".lock")
        self._pending: list[Notice] = []

    def load(self) -> tuple[Progress, tuple[Notice, ...]]:
        """Progress as it stands, and what the learner must know. Raises WorkspaceError when it can't be read."""
        if not self.path.exists() and not self.backup.exists():
            return Progress(), self._take_notices()
        try:
            with locked(self._lock):
                progress, _ = self._read_or_recover()
        except WorkspaceError:
            progress = self._read_only()
        return progress, self._take_notices()

    def update(self, change: Callable[[Progress], Progress]) -> Progress:
        """Apply `change` to what is on disk now and write it. Raises WorkspaceError, and then the old file stands."""
        with locked(self._lock):
            before, raw = self._read_or_recover()
            after = change(before)
            if after == before and raw is not None:
                return after
            with explained("can't save the progress"):
                if raw is not None:
                    write_atomic(self.backup, raw)
                write_atomic(self.path, _encode(after))
        return after

    def _take_notices(self) -> tuple[Notice, ...]:
        notices, self._pending = tuple(self._pending), []
        return notices

    def _read_only(self) -> Progress:
        """The file where no lock can be made (read-only disk): it is whole, as it is only ever replaced."""
        for path in (self.path, self.backup):
            try:
                return _decode(_read(path) or b"")
            except _Unreadable as problem:
                self._pending.append(Notice("warning", f"{path} can't be used: {problem}"))
        return Progress()

    def _read_or_recover(self) -> tuple[Progress, bytes | None]:
        """Progress and its bytes; None for the bytes when they are not those of a good main file."""
        raw = _read(self.path)
        if raw is not None:
            try:
                return _decode(raw), raw
            except _Unreadable as problem:
                self._set_aside(self.path, problem)
        return self._from_backup(), None

    def _from_backup(self) -> Progress:
        raw = _read(self.backup)
        if raw is None:
            return Progress()
        try:
            progress = _decode(raw)
        except _Unreadable as problem:
            self._set_aside(self.backup, problem)
            return Progress()
        text = f"progress was restored from its backup {self.backup}; the last run may be missing"
        self._pending.append(Notice("warning", text, f"to start over, delete {self.backup} too"))
        return progress

    def _set_aside(self, path: Path, problem: _Unreadable) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        aside = path.with_name(f"{path.name}.{problem.label}-{stamp}")
        serial = 1
        while aside.exists():
            serial += 1
            aside = path.with_name(f"{path.name}.{problem.label}-{stamp}-{serial}")
        with explained("can't set the unreadable progress file aside:"):
            os.rename(path, aside)
        text = f"{path} can't be used: {problem}; it was kept as {aside.name}"
        remedy = "a newer mltutor can read it: move it back then" if problem.label == "newer" else ""
        self._pending.append(Notice("warning", text, remedy))


def _read(path: Path) -> bytes | None:
    with explained("can't read the progress"):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def _decode(raw: bytes) -> Progress:
    try:
        schema = msgspec.json.decode(raw, type=_SchemaOnly).schema
        if schema > SCHEMA:
            raise _Unreadable("newer", f"it has schema {schema} and this mltutor knows up to {SCHEMA}")
        document = msgspec.json.decode(raw, type=_Document)
    except msgspec.MsgspecError as error:
        raise _Unreadable("corrupt", str(error)) from error
    except UnicodeDecodeError as error:
        raise _Unreadable("corrupt", "it is not UTF-8") from error
    return Progress(document.exercises, document.current)


def _encode(progress: Progress) -> bytes:
    document = _Document(SCHEMA, progress.current, progress.exercises)
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
