"""The build cache: outputs by content key, verified when read, bounded in size, safe for several processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

MANIFEST = "manifest.json"
_HALF_DONE = "tmp-"
_ABANDONED_SECONDS = 3600.0


class _Manifest(msgspec.Struct):
    """sha256 of every file of an entry, by its name relative to the entry."""

    files: dict[str, str]


class BuildCache:
    """Entries `root/KEY/` that appear by one rename and are never changed. One that can't be written is no error."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self._bytes: int | None = None

    def get(self, key: str, into: Path) -> bool:
        """Copy the entry's files into the folder `into`; False when there is none. A damaged one is dropped."""
        entry = self.root / key
        try:
            manifest = msgspec.json.decode((entry / MANIFEST).read_bytes(), type=_Manifest)
        except FileNotFoundError:
            return False
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            self._drop(entry)
            return False
        try:
            for name, digest in manifest.files.items():
                _copy(entry / name, into / name)
                if _sha256(into / name) != digest:
                    self._drop(entry)
                    return False
            os.utime(entry / MANIFEST)
        except OSError:
            return False
        return True

    def put(self, key: str, folder: Path, names: Iterable[str]) -> bool:
        """Keep the files (or whole folders) `names` of `folder`; False when the cache can't take them."""
        staging = self.root / f"{_HALF_DONE}{os.getpid()}-{secrets.token_hex(4)}"
        try:
            files = {name: _kept(folder / name, staging / name) for name in _files(folder, names)}
            (staging / MANIFEST).write_bytes(msgspec.json.encode(_Manifest(files)))
            os.rename(staging, self.root / key)
        except OSError:  # no space, read-only, or another process was first
            shutil.rmtree(staging, ignore_errors=True)
            return (self.root / key / MANIFEST).exists()
        self._grow(_size(self.root / key))
        return True

    def prune(self) -> None:
        """Drop the entries that were not used for longest until the rest fits, and what killed processes left."""
        entries = sorted(self._entries(), reverse=True)
        total = 0
        for _, size, entry in entries:
            total += size
            if total > self.max_bytes:
                self._drop(entry)
                total -= size
        self._bytes = total
        self._sweep()

    def _grow(self, size: int) -> None:
        if self._bytes is not None:
            self._bytes += size
        if self._bytes is None or self._bytes > self.max_bytes:
            self.prune()

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        for entry in self._children():
            if not entry.name.startswith(_HALF_DONE):
                with contextlib.suppress(OSError):
                    yield (entry / MANIFEST).stat().st_mtime, _size(entry), entry

    def _children(self) -> list[Path]:
        try:
            return list(self.root.iterdir())
        except OSError:
            return []

    def _sweep(self) -> None:
        for entry in self._children():
            with contextlib.suppress(OSError):
                if entry.name.startswith(_HALF_DONE) and time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(entry, ignore_errors=True)

    def _drop(self, entry: Path) -> None:
        """Rename first, so that no reader sees half an entry."""
        aside = self.root / f"{_HALF_DONE}{os.getpid()}-{secrets.token_hex(4)}"
        with contextlib.suppress(OSError):
            os.rename(entry, aside)
        shutil.rmtree(aside, ignore_errors=True)


def _files(folder: Path, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = folder / name
        if path.is_dir():
            yield from (str(p.relative_to(folder)) for p in sorted(path.rglob("*")) if p.is_file())
        else:
            yield name


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    shutil.copymode(source, target)


def _kept(source: Path, target: Path) -> str:
    _copy(source, target)
    return _sha256(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(entry: Path) -> int:
    return sum(p.stat().st_size for p in entry.rglob("*") if p.is_file())
