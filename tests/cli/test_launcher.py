"""`--launcher`: the processes that run the learner's code start behind a command; a local prefix, and Slurm's srun."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Cli
from one_node_slurm import NoSlurm, Slurm, running
from watch import Watch

pytestmark = pytest.mark.slow

# Says in its own failure where it runs: only the launched side knows these words of the environment.
TELLS_WHERE = """
import os
def twice(x):
    where = os.environ.get("LAUNCHED") or os.environ.get("SLURM_JOB_ID") or "nowhere"
    raise RuntimeError(f"launched={where}")
"""
RIGHT = "def twice(x):\n    return 2 * x\n"
DIES = "import os\ndef twice(x):\n    os.kill(os.getpid(), 11)\n"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    folder = tmp_path_factory.mktemp("slurm")
    try:
        with running(folder) as one:
            yield one
    except NoSlurm as reason:
        pytest.skip(str(reason))


@pytest.fixture
def double(started: Callable[[str], Path]) -> Path:
    return started("demo-double")


def test_a_local_prefix_comes_before_the_workers(cli: Cli, double: Path) -> None:
    double.write_text(TELLS_WHERE)
    result = cli.process("check", "demo-double", "--launcher", "env 'LAUNCHED=by a prefix'")
    assert result.code == 1
    assert "launched=by a prefix" in result.out
    double.write_text(RIGHT)
    assert cli.process("check", "demo-double", "--launcher", "sh -c 'exec \"$@\"' sh").code == 0


def test_a_launcher_that_is_not_there_or_fails(cli: Cli, double: Path) -> None:
    """The environment's fault, not the learner's: exit code 3 and what the launcher said."""
    double.write_text(RIGHT)
    absent = cli.process("check", "demo-double", "--launcher", "no-such-launcher -x")
    assert absent.code == 3
    assert "can't run `no-such-launcher`" in absent.err
    failing = cli.process("check", "demo-double", "--launcher", "sh -c 'echo no allocation for you >&2; exit 1'")
    assert failing.code == 3
    assert "no allocation for you" in failing.out + failing.err
    assert "Try the launcher by hand: sh -c" in failing.out + failing.err


def test_the_checks_run_in_a_slurm_job(cli: Cli, double: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure, crash and pass come back over srun's pipes, and no job stays behind."""
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    launcher = "srun --overlap"
    double.write_text(TELLS_WHERE)
    told = cli.process("check", "demo-double", "--launcher", launcher)
    assert told.code == 1, told.err
    assert "launched=nowhere" not in told.out
    assert "launched=" in told.out
    double.write_text(DIES)
    crashed = json.loads(cli.process("check", "demo-double", "--json", "--launcher", launcher).out)
    assert "crash" in {finding["code"] for finding in crashed["findings"]}
    double.write_text(RIGHT)
    assert cli.process("check", "demo-double", "--launcher", launcher).code == 0
    assert slurm.until_idle(), slurm.queue()


def test_a_job_that_queues_says_so_and_is_withdrawn_when_the_learner_leaves(
    cli: Cli, double: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    double.write_text(RIGHT)
    holder = subprocess.Popen(["srun", "--exclusive", "sleep", "120"], stderr=subprocess.DEVNULL)
    try:
        assert slurm.until_running()
        watch = Watch("demo-double", "--plain", "--launcher", "srun --exclusive")
        try:
            queued = watch.until("queued and waiting for resources")
            assert "check: waiting: srun: job" in queued
            assert "PENDING" in slurm.queue()
            watch.type("q")
            watch.process.wait(30)
        finally:
            watch.close()
        assert "PENDING" not in slurm.queue()
    finally:
        holder.terminate()
        holder.wait(20)
    assert slurm.until_idle(), slurm.queue()
