"""What the tests of the command line call: `mltutor` over the demonstration lessons, in this process or its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tutor.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
LESSONS = Path(__file__).resolve().parent / "lessons"


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
