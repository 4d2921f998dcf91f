"""Which command opens the learner's editor at a line, and where: in a split, a window, or this terminal."""

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
# What git's editor needs and we must not have: the command would last until the file is closed.
_WAITS = {"--wait", "-w", "-f", "--nofork"}
_COLON = {"hx", "helix", "subl", "zed", "zeditor"}
_USUAL = ("sensible-editor", "nvim", "vim", "nano", "vi")
# Programs that need a terminal of their own when --edit-cmd names them; --remote sends the file to one that runs.
_IN_TERMINAL = {*_USUAL, "editor", "emacs", "hx", "helix", "micro", "kak", "ne", "joe", "jed", "mcedit", "mg"}
_ELSEWHERE = ("--remote", "--server")
# With these emacsclient is as an editor in a terminal; without, the file goes to a window of the one that runs.
_CLIENT_HERE = {"-t", "-nw", "--tty", "--no-window-system"}
_NEW_FRAME = {"-c", "--create-frame"}


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line, and how it shares the screen with the app."""

    argv: tuple[str, ...]
    where: Literal["here", "beside"]


def launch(
    environ: Mapping[str, str], path: Path, line: int | None, size: tuple[int, int], command: str = ""
) -> Launch:
    """How to open `path` (at 1-based `line`) on a terminal of `size` columns, rows.

    `command` goes before VISUAL and EDITOR; {file} and {line} in it are filled in. Raises EnvironmentMissing when no
    editor is set and none of the usual ones is installed.
    """
    words = _words(environ, command)
    if shutil.which(words[0]) is None:
        remedy = "correct --edit-cmd" if command else "set EDITOR to one that is, then press e"
        raise EnvironmentMissing(f"the editor `{words[0]}` is not on PATH", remedy)
    argv = _filled(words, path, line)
    name = os.path.basename(words[0])
    if name in _GUI or (command and not _in_terminal(name, words, environ)):
        return Launch(tuple(argv), "beside")
    inside = _multiplexer(environ)
    if inside == "tmux":
        return Launch(("tmux", *_tmux(size), "-c", str(path.parent), shlex.join(argv)), "beside")
    if inside == "zellij":
        place = ("--close-on-exit", "--cwd", str(path.parent))
        return Launch(("zellij", "run", *_zellij(size), *place, "--", *argv), "beside")
    return Launch(tuple(argv), "here")


def _in_terminal(name: str, words: list[str], environ: Mapping[str, str]) -> bool:
    """Whether what --edit-cmd names needs a terminal of its own."""
    if name == "emacsclient":
        windowed = environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
        return not _CLIENT_HERE.isdisjoint(words) or (not windowed and not _NEW_FRAME.isdisjoint(words))
    return name in _IN_TERMINAL and not any(word.startswith(_ELSEWHERE) for word in words)


def _multiplexer(environ: Mapping[str, str]) -> str:
    """`tmux` or `zellij`, whichever this terminal is a pane of; of one within the other the inner one; else nothing."""
    there = [name for name in ("tmux", "zellij") if environ.get(name.upper()) and shutil.which(name)]
    if len(there) < 2:
        return there[0] if there else ""
    import psutil  # 10 ms that the start would wait for

    # The inner one hands on the outer one's variable: only the processes say which server started this shell.
    servers = (parent.name().partition(":")[0] for parent in psutil.Process().parents())
    return next((name for name in servers if name in there), "")


def _words(environ: Mapping[str, str], command: str) -> list[str]:
    """The editor's command line before the file: what was asked for, in VS Code that, else a usual one."""
    try:
        chosen = shlex.split(command or environ.get("VISUAL") or environ.get("EDITOR") or "")
    except ValueError as error:
        raise EnvironmentMissing(f"the editor's command can't be read: {error}", "quote it as a shell would") from error
    if not chosen and _in_vs_code(environ):
        chosen = next(([name] for name in _of_vs_code(environ) if shutil.which(name)), [])
    if chosen and os.path.basename(chosen[0]) in _GUI:
        chosen = [word for word in chosen if word not in _WAITS]
    return chosen or _usual()


def _in_vs_code(environ: Mapping[str, str]) -> bool:
    """In its terminal, or in a tmux there whose way to the window (a socket that a new connection replaces) is open."""
    hook = environ.get("VSCODE_IPC_HOOK_CLI", "")
    return environ.get("TERM_PROGRAM") == "vscode" or (bool(hook) and os.path.exists(hook))


def _of_vs_code(environ: Mapping[str, str]) -> list[str]:
    """The commands of VS Code and its kin, the one whose terminal this is first: all of them say `vscode`."""
    every = ["code", "code-insiders", "codium", "cursor", "windsurf"]
    if "CURSOR_TRACE_ID" in environ:
        first = "cursor"
    else:
        first = "code-insiders" if "insider" in environ.get("TERM_PROGRAM_VERSION", "") else "code"
    return sorted(every, key=lambda name: name != first)


def _usual() -> list[str]:
    found = next((name for name in _USUAL if shutil.which(name)), None)
    if found is None:
        raise EnvironmentMissing("no editor was found", "set EDITOR, for example: export EDITOR=nano")
    return [found]


def _filled(words: list[str], path: Path, line: int | None) -> list[str]:
    """The words with {file} and {line} filled in; with both in the editor's own way where they are not named."""
    if any("{file}" in word for word in words):
        return [word.replace("{file}", str(path)).replace("{line}", str(line or 1)) for word in words]
    name = os.path.basename(words[0])
    if line is None:
        return [*words, str(path)]
    if name in _GOTO:
        return [*words, "--goto", f"{path}:{line}"]
    return [*words, f"{path}:{line}"] if name in _COLON else [*words, f"+{line}", str(path)]


def _tmux(size: tuple[int, int]) -> list[str]:
    """A split where both halves stay usable, else a window of its own."""
    columns, rows = size
    if columns >= 120:
        return ["split-window", "-h"]
    return ["split-window", "-v"] if rows >= 36 else ["new-window"]


def _zellij(size: tuple[int, int]) -> list[str]:
    """The same; a pane in the place of this one where there is no room for two, until the editor ends."""
    columns, rows = size
    if columns >= 120:
        return ["--direction", "right"]
    return ["--direction", "down"] if rows >= 36 else ["--in-place"]
