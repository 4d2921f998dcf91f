"""Reading the learner's files once for a run: bytes and digest, or the finding that says why they can't be used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from tutor.content.sources import digest
from tutor.core.exercise import Exercise
from tutor.core.finding import Finding

MAX_SOURCE = 5 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The learner's files by name as they were at one moment. With `problem` set they must not be built."""

    files: dict[str, bytes]
    digest: str
    problem: Finding | None = None


def take(exercise: Exercise, folder: Path, workspace: Path) -> Snapshot:
    """Read the exercise's files in `folder`. A bad file becomes the snapshot's `problem`; never raises for one."""
    files: dict[str, bytes] = {}
    problem: Finding | None = None
    for name in exercise.files:
        content, finding = _read(folder / name, name, workspace)
        files[name] = content
        problem = problem or finding
    return Snapshot(files, digest(files), problem)


def of(files: dict[str, bytes]) -> Snapshot:
    """The snapshot of given contents: a starter, a solution, a planted fault."""
    problem = next((f for name, content in files.items() if (f := _undecodable(name, content))), None)
    return Snapshot(dict(files), digest(files), problem)


def write(files: dict[str, bytes], into: Path) -> None:
    """Put the files below an empty folder. Raises OSError."""
    for name, content in files.items():
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _read(path: Path, name: str, workspace: Path) -> tuple[bytes, Finding | None]:
    try:
        real = path.resolve(strict=True)
        if path.is_symlink() and not real.is_relative_to(workspace.resolve()):
            return b"", _bad(name, f"{name} is a link to {real}, outside the workspace: put the file itself here")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_SOURCE:
                return b"", _bad(name, f"{name} has {size / 1e6:.1f} MB; at most {MAX_SOURCE >> 20} MB are built")
            content = file.read(MAX_SOURCE + 1)
    except FileNotFoundError:
        return b"", _bad(name, f"{name} is not there: save it again, or bring the starter back with reset")
    except IsADirectoryError:
        return b"", _bad(name, f"{name} is a folder: move it away, then bring the starter back with reset")
    except PermissionError:
        return b"", _bad(name, f"{name} may not be read: give yourself the right, `chmod u+rw {name}`")
    except OSError as error:
        return b"", _bad(name, f"{name} can't be read: {error.strerror}")
    except RuntimeError:
        return b"", _bad(name, f"{name} is a link that leads to itself")
    if not content.strip():
        # The compiler would complain of whatever includes it.
        return content, _bad(name, f"{name} is empty: save it again, or bring the starter back with reset")
    return content, _undecodable(name, content)


def _undecodable(name: str, content: bytes) -> Finding | None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = _bad(name, f"{name} is not UTF-8: byte 0x{content[error.start]:02x} on line {line}; save it as UTF-8")
        return replace(found, line=line)
    return None


def _bad(name: str, message: str) -> Finding:
    return Finding("build", message, file=name)
