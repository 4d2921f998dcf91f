"""Which command opens the learner's editor at a line, and where: in a tmux split, a window, or this terminal."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tutor.core.errors import EnvironmentMissing

_GUI = {"code", "code-insiders", "codium", "cursor", "windsurf", "subl", "zed", "zeditor", "gvim"}
_GOTO = {"code", "code-insiders", "codium", "cursor", "windsurf"}
_COLON = {"hx", "helix", "subl", "zed", "zeditor"}
_USUAL = ("sensible-editor", "nvim", "vim", "nano", "vi")


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line, and how it shares the screen with the app."""

    argv: tuple[str, ...]
    where: Literal["here", "beside"]


def launch(environ: Mapping[str, str], path: Path, line: int | None, size: tuple[int, int]) -> Launch:
    """How to open `path` (at 1-based `line`) on a terminal of `size` columns, rows.

    Raises EnvironmentMissing when no editor is set and none of the usual ones is installed.
    """
    words = shlex.split(environ.get("VISUAL") or environ.get("EDITOR") or "") or _usual()
    if shutil.which(words[0]) is None:
        raise EnvironmentMissing(f"the editor `{words[0]}` is not on PATH", "set EDITOR to one that is, then press e")
    argv = _at(words, path, line)
    if os.path.basename(words[0]) in _GUI:
        return Launch(tuple(argv), "beside")
    if environ.get("TMUX") and shutil.which("tmux"):
        return Launch(("tmux", *_pane(size), "-c", str(path.parent), shlex.join(argv)), "beside")
    return Launch(tuple(argv), "here")


def _usual() -> list[str]:
    found = next((name for name in _USUAL if shutil.which(name)), None)
    if found is None:
        raise EnvironmentMissing("no editor was found", "set EDITOR, for example: export EDITOR=nano")
    return [found]


def _at(words: list[str], path: Path, line: int | None) -> list[str]:
    """The words with file and line in the editor's own way."""
    name = os.path.basename(words[0])
    if line is None:
        return [*words, str(path)]
    if name in _GOTO:
        return [*words, "--goto", f"{path}:{line}"]
    return [*words, f"{path}:{line}"] if name in _COLON else [*words, f"+{line}", str(path)]


def _pane(size: tuple[int, int]) -> list[str]:
    """A split where both halves stay usable, else a window of its own."""
    columns, rows = size
    if columns >= 120:
        return ["split-window", "-h"]
    return ["split-window", "-v"] if rows >= 36 else ["new-window"]
