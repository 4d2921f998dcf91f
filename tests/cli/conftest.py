"""The command line over the demonstration lessons, with a home and a workspace of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tutor.cli.main import main
from tutor.store.home import cache_tag

ROOT = Path(__file__).resolve().parents[2]
LESSONS = Path(__file__).resolve().parent / "lessons"
collect_ignore_glob = ["lessons/*"]


@dataclass(frozen=True)
class Result:
    """What one call printed and returned."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Cli:
    """Calls `mltutor` with the demonstration lessons."""

    capture: pytest.CaptureFixture[str]
    tmp_path: Path
    lessons: Path = LESSONS

    @property
    def workspace(self) -> Path:
        return self.tmp_path / "workspace"

    @property
    def home(self) -> Path:
        return self.tmp_path / "home"

    def __call__(self, *words: str) -> Result:
        """Run in this process."""
        self.capture.readouterr()
        code = main([*words, "--lessons", str(self.lessons)])
        out, err = self.capture.readouterr()
        return Result(code, self.stable(out), self.stable(err))

    def process(self, *words: str, stdin: str | None = None, **environment: str) -> Result:
        """Run in a process of its own, without a terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "tutor.cli.main", *words, "--lessons", str(self.lessons)],
            input=stdin or "",
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        return Result(done.returncode, self.stable(done.stdout), self.stable(done.stderr))

    def stable(self, text: str) -> str:
        """The text without what differs from run to run: paths of this test, seconds."""
        text = text.replace(str(self.tmp_path), "TMP").replace(str(self.lessons), "LESSONS")
        return re.sub(r"\b\d+\.\d\d s\b", "0.00 s", text)


@pytest.fixture
def cli(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_libraries: Callable[[Path], None],
) -> Cli:
    """The command line in a clean environment of 100 columns."""
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
    from tutor.content.course import find_exercise, load_course
    from tutor.content.workspace import Workspace

    def start(exercise: str) -> Path:
        found = find_exercise(load_course(cli.lessons), exercise)
        workspace = Workspace(cli.workspace)
        workspace.start(found)
        return workspace.paths(found)[0]

    return start
