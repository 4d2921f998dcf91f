"""Commands: output, time limits, floods, and trees that are gone when they are cancelled."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tutor.core.errors import EnvironmentMissing
from tutor.engine.process import CUT, run_command
from tutor.toolchains.base import Command


def command(*argv: str, cwd: Path = Path("/"), timeout: float = 30.0) -> Command:
    return Command(argv, cwd, argv[0], {"SAID": "so"}, timeout)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something to come true; fails when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        await asyncio.sleep(0.01)


async def test_output_and_code_and_environment(tmp_path: Path) -> None:
    result = await run_command(command("sh", "-c", "echo out; echo $SAID >&2; pwd; exit 3", cwd=tmp_path))
    assert (result.code, result.ok) == (3, False)
    assert result.output == f"out\nso\n{tmp_path}\n"


async def test_a_missing_program_is_the_environments_fault() -> None:
    with pytest.raises(EnvironmentMissing, match="no-such-compiler"):
        await run_command(command("no-such-compiler"))


async def test_the_time_limit_ends_the_tree() -> None:
    result = await run_command(command("sh", "-c", "echo begun; sleep 1000 & sleep 1000", timeout=0.3))
    assert result.timed_out
    assert not result.ok
    assert result.output == "begun\n"


async def test_a_flood_is_cut_and_ended() -> None:
    result = await run_command(command("yes"), output_cap=1000)
    assert not result.ok
    assert len(result.output) == 1000 + len(CUT)


async def test_a_left_behind_grandchild_does_not_hold_the_result() -> None:
    result = await run_command(command("sh", "-c", "sleep 1000 & echo done"))
    assert result.ok
    assert result.output == "done\n"


DETACHED = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(1000)
    os._exit(0)
open(sys.argv[1] + ".parent", "w").write(str(os.getpid()))
time.sleep(1000)
"""


async def test_cancelling_kills_even_a_daemon(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    task = asyncio.create_task(run_command(command(sys.executable, "-c", DETACHED, str(note))))
    await until(lambda: note.exists() and note.read_text() != "" and Path(f"{note}.parent").exists())
    daemon = int(note.read_text())
    assert psutil.pid_exists(daemon)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not psutil.pid_exists(daemon) or psutil.Process(daemon).status() == psutil.STATUS_ZOMBIE)


weighed = pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not weigh sessions")


async def test_low_priority_is_inherited() -> None:
    result = await run_command(command("sh", "-c", "sleep 0.2; nice"), low=True)
    assert result.output.strip() == "15"


@weighed
async def test_low_priority_is_that_of_the_session() -> None:
    result = await run_command(command("sh", "-c", "sleep 0.2; cat /proc/self/autogroup"), low=True)
    assert result.output.strip().endswith("nice 15"), result.output


@weighed
async def test_a_low_priority_lasts_in_a_new_session() -> None:
    program = """
from pathlib import Path
import os
from tutor.worker.linux import begin_session
if os.fork() == 0:
    begin_session()
    print(Path("/proc/self/autogroup").read_text())
else:
    os.wait()
"""
    result = await run_command(command("nice", "-n", "10", sys.executable, "-c", program))
    assert result.output.strip().endswith("nice 10"), result.output


async def test_a_stopped_tree_continues() -> None:
    trees = []
    task = asyncio.create_task(run_command(command("sh", "-c", "sleep 0.2; echo on"), on_start=trees.append))
    await until(lambda: bool(trees))
    trees[0].signal(signal.SIGSTOP)
    await until(lambda: psutil.Process(trees[0].pid).status() == psutil.STATUS_STOPPED)
    trees[0].signal(signal.SIGCONT)
    assert (await task).output == "on\n"


ORPHAN = """
import asyncio, sys
from pathlib import Path
from tutor.engine.process import run_command
from tutor.toolchains.base import Command
script = "echo $$ > " + sys.argv[1] + "; exec sleep 1000"
asyncio.run(run_command(Command(("sh", "-c", script), Path("/"), "sh", {})))
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv of util-linux is not installed")
async def test_a_command_dies_with_a_killed_app(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    root = Path(__file__).resolve().parents[2]
    app = subprocess.Popen([sys.executable, "-c", ORPHAN, str(note)], cwd=root)
    await until(lambda: note.exists() and note.read_text() != "")
    command_pid = int(note.read_text())
    app.kill()
    app.wait()
    await until(
        lambda: not psutil.pid_exists(command_pid) or psutil.Process(command_pid).status() == psutil.STATUS_ZOMBIE
    )
