"""What the tests of the plain watch mode call: a running `mltutor start --plain`."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time

from command_line import LESSONS, ROOT


class Watch:
    """A running `mltutor start --plain`, its lines as they come."""

    def __init__(self, *words: str) -> None:
        argv = [sys.executable, "-m", "tutor.cli.main", "start", *words, "--lessons", str(LESSONS)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)
        self.lines: list[str] = []
        self._queue: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line)

    def until(self, words: str, seconds: float = 120) -> str:
        """The next line that holds `words`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._queue.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {words!r} in {''.join(self.lines)}") from None
            self.lines.append(line)
            if words in line:
                return line

    def type(self, text: str) -> None:
        """A line on stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
