"""Drives real terminal programs in a tmux server of its own: type, wait for text, read the screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class ScreenTimeout(AssertionError):
    """The text did not appear in time; carries the screen."""


@dataclass
class Terminal:
    """One tmux server with windows of a fixed size. Use as a context manager; it kills the server at the end."""

    columns: int = 80
    rows: int = 24
    env: Mapping[str, str] = field(default_factory=dict)
    socket: str = field(default_factory=lambda: f"mltutor-{uuid.uuid4().hex[:8]}")

    def __enter__(self) -> Terminal:
        if shutil.which("tmux") is None:
            raise FileNotFoundError("tmux")
        return self

    def __exit__(self, *exc: object) -> None:
        self._tmux("kill-server", check=False)

    def open(self, window: str, command: str, cwd: Path) -> None:
        """Run a shell command in a new window; its screen stays readable after it has ended."""
        size = ["-x", str(self.columns), "-y", str(self.rows)]
        exists = self._tmux("has-session", "-t", "main", check=False).returncode == 0
        keep = f"{command}; echo EXIT=$?; exec sleep 1000"
        if exists:
            self._tmux("new-window", "-d", "-t", "main", "-n", window, "-c", str(cwd), keep)
        else:
            self._tmux("new-session", "-d", "-s", "main", "-n", window, "-c", str(cwd), *size, keep)
        self._tmux("set-option", "-g", "status", "off")
        self._tmux("resize-window", "-t", f"main:{window}", "-x", str(self.columns), "-y", str(self.rows))

    def type(self, window: str, *keys: str) -> None:
        """Send keys by tmux's names (`Enter`, `Escape`, `n`)."""
        for key in keys:
            self._tmux("send-keys", "-t", f"main:{window}", key)

    def text(self, window: str, text: str) -> None:
        """Send literal text."""
        self._tmux("send-keys", "-t", f"main:{window}", "-l", text)

    def screen(self, window: str) -> str:
        """The visible screen as text."""
        return self._tmux("capture-pane", "-p", "-t", f"main:{window}").stdout

    def wait(self, window: str, *texts: str, seconds: float = 60.0) -> str:
        """Wait until every text is on the screen; returns the screen. Raises ScreenTimeout with the last screen."""
        deadline = time.monotonic() + seconds
        while True:
            screen = self.screen(window)
            if all(text in screen for text in texts):
                return screen
            if time.monotonic() > deadline:
                missing = [text for text in texts if text not in screen]
                raise ScreenTimeout(f"not on screen after {seconds:.0f} s: {missing}\n{screen}")
            time.sleep(0.05)

    def resize(self, window: str, columns: int, rows: int) -> None:
        """Give a window another size."""
        self._tmux("resize-window", "-t", f"main:{window}", "-x", str(columns), "-y", str(rows))

    def _tmux(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("TMUX")} | dict(self.env)
        return subprocess.run(
            ["tmux", "-L", self.socket, "-f", "/dev/null", *args], capture_output=True, text=True, env=env, check=check
        )
