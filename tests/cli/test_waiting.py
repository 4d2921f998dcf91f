"""The line that is shown while the app is loaded, on a real pseudo-terminal and without one."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

PROGRAM = "from tutor.cli import waiting; waiting.show('one moment '); waiting.clear(); waiting.clear(); print('end')"


def _on_a_terminal(term: str) -> bytes:
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": term}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=slave, env=environment) as process:
        os.close(slave)
        assert process.wait(60) == 0
    seen = os.read(master, 1 << 12)
    os.close(master)
    return seen


def test_it_is_shown_and_taken_away_once() -> None:
    assert _on_a_terminal("xterm") == b"one moment \r\x1b[Kend\r\n"


def test_a_terminal_that_can_not_erase_gets_none() -> None:
    assert _on_a_terminal("dumb") == b"end\r\n"


def test_a_pipe_gets_none() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert done.stdout == b"end\n"
