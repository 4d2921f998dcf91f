"""Versions of the learner's files, replaced or passed: written whole before anything is touched, never deleted."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from tutor.content.sources import digest
from tutor.store.atomic import TEMPORARY, sync_folder, write_atomic

Files = Mapping[str, bytes | None]
Kind = Literal["replaced", "given", "passed"]


class _Meta(msgspec.Struct):
    """meta.json of a snapshot. `absent` are files that did not exist then."""

    at: float
    label: str
    kind: Kind
    digest: str
    files: list[str]
    absent: list[str]


class Snapshot(msgspec.Struct, frozen=True):
    """One kept version. `folder`/files holds the contents; `at` is time.time(); `label` says what replaced it."""

    number: int
    at: float
    label: str
    kind: Kind
    digest: str
    folder: Path
    names: tuple[str, ...]
    absent: tuple[str, ...] = ()

    def read(self) -> dict[str, bytes | None]:
        """The contents by name; None for a file that did not exist. Raises OSError."""
        found: dict[str, bytes | None] = {name: (self.folder / "files" / name).read_bytes() for name in self.names}
        return found | dict.fromkeys(self.absent)


class Snapshots:
    """The snapshots of one exercise, `folder`/NNNNNN/. The caller holds the workspace lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> tuple[Snapshot, ...]:
        """Every snapshot, oldest first. A folder that can't be read is passed over, and left where it is."""
        try:
            folders = sorted((p for p in self.folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
        except OSError:
            return ()
        return tuple(found for found in map(_load, folders) if found is not None)

    def keep(self, files: Files, label: str, kind: Kind = "replaced") -> Snapshot:
        """Keep these contents as the newest snapshot; when they are kept already, that one becomes the newest.

        It is on disk when this returns, or OSError is raised and nothing else has changed.
        """
        existing = self.all()
        names = [int(p.name) for p in self.folder.iterdir() if p.name.isdigit()] if self.folder.is_dir() else []
        target = self.folder / f"{max(names, default=0) + 1:06d}"
        fingerprint = _fingerprint(files)
        same = next((s for s in existing if s.digest == fingerprint and s.kind == kind and s.read() == files), None)
        if same is not None and same is existing[-1]:
            return same
        if same is not None:
            os.rename(same.folder, target)
        else:
            self._write(target, files, _Meta(time.time(), label, kind, fingerprint, *_split(files)))
        sync_folder(self.folder)
        found = _load(target)
        assert found is not None
        return found

    def _write(self, target: Path, files: Files, meta: _Meta) -> None:
        staging = self.folder / f"{TEMPORARY}{os.urandom(6).hex()}"
        try:
            staging.mkdir(parents=True)
            for name, content in files.items():
                if content is not None:
                    write_atomic(staging / "files" / name, content)
            write_atomic(staging / "meta.json", msgspec.json.encode(meta))
            os.rename(staging, target)
        finally:
            with contextlib.suppress(OSError):  # it is gone when the rename went well
                shutil.rmtree(staging)


def _split(files: Files) -> tuple[list[str], list[str]]:
    return [n for n, c in files.items() if c is not None], [n for n, c in files.items() if c is None]


def _fingerprint(files: Files) -> str:
    return digest({name: b"0" if content is None else b"1" + content for name, content in files.items()})


def _load(folder: Path) -> Snapshot | None:
    try:
        meta = msgspec.json.decode((folder / "meta.json").read_bytes(), type=_Meta)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    names, absent = tuple(meta.files), tuple(meta.absent)
    return Snapshot(int(folder.name), meta.at, meta.label, meta.kind, meta.digest, folder, names, absent)
