"""The zygote's own requests: warming, translating, and what it says without a GPU."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from worker_harness import ZygoteClient, leaves_a_process, outcome, until

from tutor.core import protocol
from tutor.core.verdict import Outcome as Verdict


def test_warm_reports_what_is_missing(zygote: ZygoteClient) -> None:
    done = outcome(zygote.finish(protocol.Warm(zygote.run_id(), modules=("no_such_module",)))).done
    assert done.outcome == "broken"
    assert "no_such_module" in done.message


def test_cython_is_translated(zygote: ZygoteClient, tmp_path: Path) -> None:
    source, output = tmp_path / "m.pyx", tmp_path / "m.c"
    source.write_text("def f(double[::1] x):\n    return x[0]\n")
    request = protocol.Cythonize(zygote.run_id(), str(source), str(output), "_cyutility")
    assert outcome(zygote.finish(request)).done.outcome == "ok"
    assert "__Pyx" in output.read_text()
    assert not output.with_suffix(".html").exists()
    request = protocol.Cythonize(zygote.run_id(), str(source), str(output), "_cyutility", annotate=True)
    assert outcome(zygote.finish(request)).done.outcome == "ok"
    assert "return x[0]" in re.sub("<[^>]*>", "", output.with_suffix(".html").read_text())


def test_cython_errors_come_as_text_and_leave_the_zygote_able(zygote: ZygoteClient, tmp_path: Path) -> None:
    source, output = tmp_path / "m.pyx", tmp_path / "m.c"
    source.write_text("def f(double x):\n    return x +\n")
    request = protocol.Cythonize(zygote.run_id(), str(source), str(output))
    done = outcome(zygote.finish(request)).done
    assert done.outcome == "failed"
    assert "m.pyx:2" in done.message
    source.write_text("def f(double x):\n    return x\n")
    again = protocol.Cythonize(zygote.run_id(), str(source), str(output), cplus=True)
    assert outcome(zygote.finish(again)).done.outcome == "ok"


def test_cuda_without_a_gpu_runs_the_checks_that_need_none(tmp_path: Path, lesson: Callable[[str], Path]) -> None:
    if os.path.exists("/dev/nvidiactl"):
        pytest.skip("this machine has a GPU")
    pytest.importorskip("torch")
    client = ZygoteClient("cuda", tmp_path / "errors.txt")
    folder = lesson(
        """
        def test_host():
            pass

        @pytest.mark.gpu
        def test_device():
            raise AssertionError("ran without a GPU")
        """
    )
    try:
        assert client.ready.gpu == ""
        artifact = protocol.Artifact("python", "nothing")
        seen = outcome(client.finish(protocol.Check(client.run_id(), "t", str(folder), artifact), 120))
        found = {name: (result.outcome, result.message) for name, result in seen.results.items()}
        assert found["host"] == (Verdict.PASS, "")
        assert found["device"] == (Verdict.SKIPPED, "no NVIDIA GPU on this machine")
        case = protocol.BenchCaseRequest("any", "eager", 1.0)
        bench = outcome(client.finish(protocol.Bench(client.run_id(), "t", str(folder), artifact, (case,)), 120))
        assert bench.done.message.startswith("skipped")
    finally:
        client.close()


def test_hanging_up_ends_the_zygote_and_its_runs(tmp_path: Path) -> None:
    client = ZygoteClient("plain", tmp_path / "errors.txt")
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.process.wait(30) == 0


def test_hanging_up_while_it_is_answered_ends_what_a_check_left(tmp_path: Path, lesson: Callable[[str], Path]) -> None:
    note = tmp_path / "pid"
    folder = lesson(leaves_a_process(note))
    client = ZygoteClient("plain", tmp_path / "errors.txt")
    client.send(protocol.Check(client.run_id(), "t", str(folder), protocol.Artifact("python", "nothing")))
    until(note.exists)
    daemon, worker = psutil.Process(int(note.read_text())), psutil.Process(client.process.pid)
    worker.suspend()
    client.send(protocol.Warm(client.run_id()))
    assert client.process.stdin
    assert client.process.stdout
    client.process.stdin.close()
    client.process.stdout.close()
    worker.resume()
    assert client.process.wait(30) == 0
    assert psutil.wait_procs([daemon], 10)[1] == []


DRIVER = """
import os, sys
from tutor.worker import warm, zygote

def fails():
    raise RuntimeError("a step of warming up")

def once(name):
    real, left = getattr(os, name), [BlockingIOError(11, "Resource temporarily unavailable")]
    def call(*arguments):
        if left:
            raise left.pop()
        return real(*arguments)
    setattr(os, name, call)

warm.later_steps = lambda flavour: [fails]
once("fork")
once("pidfd_open")
zygote.main(sys.argv[3:])
"""


def test_neither_a_failed_step_nor_a_full_machine_ends_the_zygote(
    tmp_path: Path, lesson: Callable[[str], Path]
) -> None:
    driver, python = tmp_path / "driver.py", tmp_path / "python"
    driver.write_text(DRIVER)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{driver}" "$@"\n')
    python.chmod(0o755)
    client = ZygoteClient("plain", tmp_path / "errors.txt", str(python))
    until(lambda: "a step of warming up" in (tmp_path / "errors.txt").read_text())
    assert outcome(client.finish(protocol.Warm(client.run_id()))).done.outcome == "ok"
    folder = lesson("def test_it():\n    pass\n")
    worker, ended = psutil.Process(client.process.pid), []
    before = worker.num_fds()
    for number in range(3):
        assert worker.num_fds() == before, f"{number} failed starts left descriptors open"
        request = protocol.Check(client.run_id(), "t", str(folder), protocol.Artifact("python", "nothing"))
        ended.append(outcome(client.finish(request)).done)
    assert [done.outcome for done in ended] == ["broken", "broken", "ok"]
    assert ended[0].message == "can't start a process: Resource temporarily unavailable"
    client.close()


def test_a_run_cancelled_as_it_ends(zygote: ZygoteClient, tmp_path: Path, lesson: Callable[[str], Path]) -> None:
    """The cancellation and the run's last replies are seen in one turn of the event loop, the cancellation first."""
    go = tmp_path / "go"
    folder = lesson(f"def test_it():\n    while not os.path.exists({str(go)!r}):\n        time.sleep(0.01)\n")
    worker = psutil.Process(zygote.process.pid)
    before = set(worker.children())
    request = protocol.Check(zygote.run_id(), "t", str(folder), protocol.Artifact("python", "nothing"))
    zygote.send(request)
    zygote.wait(request.run_id, lambda reply: isinstance(reply, protocol.Started))
    (supervisor,) = set(worker.children()) - before
    until(lambda: worker.status() == psutil.STATUS_SLEEPING)  # stopped before it waits, it would hear the run first
    worker.suspend()
    zygote.send(protocol.Cancel(request.run_id))
    go.touch()
    until(lambda: supervisor.status() == psutil.STATUS_ZOMBIE)
    worker.resume()
    assert outcome(zygote.finish(protocol.Cancel(request.run_id))).done.outcome == "cancelled"
    assert outcome(zygote.finish(protocol.Warm(zygote.run_id()))).done.outcome == "ok"
