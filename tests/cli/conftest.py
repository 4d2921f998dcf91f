"""The command line over the demonstration lessons, with a home and a workspace of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tutor.store.home import cache_tag

if TYPE_CHECKING:
    from command_line import Cli

# The lessons below this folder are collected by mltutor's workers as well, which know nothing of command_line.
collect_ignore_glob = ["lessons/*"]


@pytest.fixture
def cli(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_libraries: Callable[[Path], None],
) -> Cli:
    """The command line in a clean environment of 100 columns."""
    from command_line import Cli

    made = Cli(capsys, tmp_path)
    own_libraries(made.home / "cache" / cache_tag())
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "MLTUTOR_SUBJECT", "MLTUTOR_ASCII", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("MLTUTOR_HOME", str(made.home))
    monkeypatch.setenv("MLTUTOR_WORKSPACE", str(made.workspace))
    return made


@pytest.fixture
def started(cli: Cli) -> Callable[[str], Path]:
    """Puts an exercise into the workspace and returns the learner's file."""
    from tutor.content.course import load_course
    from tutor.content.lookup import find_exercise
    from tutor.content.workspace import Workspace

    def start(exercise: str) -> Path:
        found = find_exercise(load_course(cli.lessons), exercise)
        workspace = Workspace(cli.workspace)
        workspace.start(found)
        return workspace.paths(found)[0]

    return start
