"""Writes compile_commands.json and .clangd, so that the learner's editor knows every header."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tutor.store.atomic import explained, write_atomic
from tutor.store.lock import locked

_OURS = b"# Written by mltutor"
# nvcc's own options, which clang does not know.
_CUDA = """\
# Written by mltutor: remove this line to keep your own version.
If:
  PathMatch: .*\\.cuh?
CompileFlags:
  Add: [-xcuda, --cuda-gpu-arch=sm_80, -Wno-unknown-cuda-version{toolkit}]
  Remove: [-gencode*, -arch=*, --expt-*, -Xcompiler*, -ccbin*, --generate-code*, -rdc=*, --threads*]
"""


@dataclass(frozen=True, slots=True)
class CompileEntry:
    """How one file of the workspace is compiled: absolute path, folder the command runs in, the command's words."""

    file: Path
    directory: Path
    arguments: tuple[str, ...]


def write(root: Path, entries: Iterable[CompileEntry], cuda_home: Path | None = None) -> bool:
    """Merge `entries` into `root`/compile_commands.json, by file; with a .cu among them write .clangd too.

    True when something changed. A .clangd that the learner wrote is left alone. Raises WorkspaceError.
    """
    entries = tuple(entries)
    if not entries:
        return False
    with explained("can't write compile_commands.json in"):
        with locked(root / ".mltutor" / "clangd.lock"):
            changed = _replace(root / "compile_commands.json", _merged(root / "compile_commands.json", entries))
        if any(entry.file.suffix in (".cu", ".cuh") for entry in entries):
            changed |= _write_clangd(root / ".clangd", cuda_home)
    return changed


def _merged(path: Path, entries: Iterable[CompileEntry]) -> bytes:
    commands: dict[str, object] = {}
    try:
        for old in msgspec.json.decode(path.read_bytes(), type=list[dict[str, object]]):
            commands[str(old.get("file"))] = old
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        commands = {}  # it is made anew from what is built
    for entry in entries:
        command = {"directory": str(entry.directory), "file": str(entry.file), "arguments": list(entry.arguments)}
        commands[str(entry.file)] = command
    ordered = [commands[file] for file in sorted(commands)]
    return msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n"


def _write_clangd(path: Path, cuda_home: Path | None) -> bool:
    if path.exists() and not path.read_bytes().startswith(_OURS):
        return False
    toolkit = f', "--cuda-path={cuda_home}"' if cuda_home else ""
    return _replace(path, _CUDA.format(toolkit=toolkit).encode())


def _replace(path: Path, content: bytes) -> bool:
    if path.exists() and path.read_bytes() == content:
        return False
    write_atomic(path, content)
    return True
