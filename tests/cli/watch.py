"""What the tests of the plain watch mode call: a running `mltutor start --plain`."""

from __future__ import annotations

import contextlib
import os
import pty
import queue
import select
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


class Terminal:
    """The same on a pseudo-terminal, which is only read while `until` waits."""

    def __init__(self, *words: str) -> None:
        argv = [sys.executable, "-m", "tutor.cli.main", "start", *words, "--lessons", str(LESSONS)]
        self._master, self._slave = pty.openpty()
        self.process = subprocess.Popen(argv, stdin=self._slave, stdout=self._slave, stderr=self._slave, cwd=ROOT)
        self._seen = b""

    def until(self, words: str, seconds: float = 120) -> None:
        """Read on until `words` has come."""
        deadline = time.monotonic() + seconds
        while words.encode() not in self._seen:
            assert time.monotonic() < deadline, f"no {words!r} in {self._seen[-2000:]!r}"
            if select.select([self._master], [], [], 0.2)[0]:
                self._seen += os.read(self._master, 1 << 16)
        self._seen = self._seen.partition(words.encode())[2]

    def type(self, text: str) -> None:
        """A line."""
        os.write(self._master, text.encode() + b"\n")

    def ended(self, seconds: float) -> int:
        """The exit code, reading what still comes."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self._master], [], [], 0.1)[0]:
                os.read(self._master, 1 << 16)
        return self.process.wait(1)

    @property
    def blocks(self) -> bool:
        """Whether the terminal is left as it was: a shell whose terminal does not block loses output."""
        return os.get_blocking(self._slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)
