"""The learner's path through the real app, in a real terminal, beside a real editor."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import Terminal

from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.content.sources import solution_files, starter_files

pytestmark = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("tmux", "vim", "gcc")), reason="needs tmux, vim and gcc"
)
EXERCISE = load_course() and find_exercise(load_course(), "capi-refs", None)
SOURCE = "collate.c"
PATIENCE = 120.0


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    env = {"MLTUTOR_HOME": str(tmp_path / "home"), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    with Terminal(80, 24, env) as opened:
        yield opened


def start(terminal: Terminal, tmp_path: Path, *words: str) -> None:
    command = [sys.executable, "-m", "tutor.cli.main", "--workspace", str(tmp_path / "work"), "start", *words]
    terminal.open(f"app{len(words)}", " ".join(command), Path(__file__).resolve().parents[2])


def write_in_vim(terminal: Terminal, content: bytes, tmp_path: Path) -> None:
    """Replace the buffer by `content` and save, as somebody who types fast."""
    new = tmp_path / "new.c"
    new.write_bytes(content)
    terminal.type("vim", "Escape")
    terminal.text("vim", f":%!cat {new}")
    terminal.type("vim", "Enter")
    terminal.text("vim", ":w")
    terminal.type("vim", "Enter")


def close(terminal: Terminal) -> None:
    """Close a sheet; by `q`, since an escape with a key right behind it is Alt and that key."""
    terminal.type("app1", "q")
    terminal.wait("app1", "r runs now")


def test_start_break_fix_hint_diff_solution_reset_undo_quit_resume(terminal: Terminal, tmp_path: Path) -> None:
    learners = tmp_path / "work" / "capi-refs" / SOURCE
    solution, starter = solution_files(EXERCISE)[SOURCE], starter_files(EXERCISE)[SOURCE]

    start(terminal, tmp_path, "capi-refs")
    terminal.wait("app1", "welcome: what this machine has", "3 Python C extensions", seconds=PATIENCE)
    terminal.type("app1", "Enter")
    terminal.wait("app1", "FAIL", "wrong-result", "r runs now", seconds=PATIENCE)
    assert learners.read_bytes() == starter

    terminal.open("vim", f"vim -u NONE {SOURCE}", learners.parent)
    terminal.wait("vim", "make_batch")
    write_in_vim(terminal, solution.replace(b"Py_XDECREF(batch);", b"Py_XDECREF(batch)"), tmp_path)
    terminal.wait("app1", "FAIL", f"{SOURCE}:67", "build", seconds=PATIENCE)

    leaking = solution.replace(b"Py_XDECREF(batch); ", b";")
    assert leaking != solution
    write_in_vim(terminal, leaking, tmp_path)
    terminal.wait("app1", "FAIL", "ref-leak", seconds=PATIENCE)

    terminal.type("app1", "h")
    terminal.wait("app1", "Hint 1")
    close(terminal)
    terminal.type("app1", "d")
    terminal.wait("app1", "yours | starter")
    close(terminal)
    terminal.type("app1", "s")
    terminal.wait("app1", "y yes")
    terminal.type("app1", "n")
    terminal.wait("app1", "r runs now")

    write_in_vim(terminal, solution, tmp_path)
    terminal.wait("app1", "PASS", "n goes on", "1/", seconds=PATIENCE)

    terminal.type("app1", "x")
    terminal.wait("app1", "Put the starter back?")
    terminal.type("app1", "y")
    terminal.wait("app1", "FAIL", "wrong-result", seconds=PATIENCE)
    assert learners.read_bytes() == starter
    terminal.type("app1", "u")
    terminal.wait("app1", "PASS", seconds=PATIENCE)
    assert learners.read_bytes() == solution

    terminal.type("app1", "v")
    terminal.wait("app1", "kept versions", "passed", "before undo")
    close(terminal)
    terminal.type("app1", "c")
    terminal.wait("app1", "yours | solution: no lines differ", "(", seconds=PATIENCE)
    terminal.wait("app1", "yours ", "solution ", "c times both", seconds=PATIENCE)
    close(terminal)

    terminal.type("app1", "q")
    assert "EXIT=0" in terminal.wait("app1", "EXIT=")

    start(terminal, tmp_path)
    screen = terminal.wait("app0", "Who owns this object?", "passed", seconds=PATIENCE)
    assert "capi-refs" in screen or "3.1" in screen
    terminal.resize("app0", 20, 5)
    terminal.wait("app0", "Who owns", seconds=PATIENCE)
    terminal.resize("app0", 140, 40)
    terminal.wait("app0", "Lessons", "Checks", "Speed", "References", seconds=PATIENCE)
    terminal.type("app0", "q")
    assert "EXIT=0" in terminal.wait("app0", "EXIT=")


def test_a_dumb_terminal_gets_numbered_lines(tmp_path: Path) -> None:
    with Terminal(80, 24, {"MLTUTOR_HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}) as terminal:
        command = f"TERM=dumb {sys.executable} -m tutor.cli.main --workspace {tmp_path / 'work'} start ct-layout"
        terminal.open("app1", command, Path(os.getcwd()))
        terminal.wait("app1", "FAIL", seconds=PATIENCE)
        terminal.type("app1", "C-c")
        terminal.wait("app1", "EXIT=")
