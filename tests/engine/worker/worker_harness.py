"""A small blocking client of the worker protocol, for the tests of the worker."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tutor
from tutor.core import protocol
from tutor.core.verdict import CheckResult


class ZygoteClient:
    """Starts a zygote; collects replies by run id."""

    def __init__(self, flavour: str = "plain", errors: Path | None = None, python: str = sys.executable) -> None:
        argv = [python, "-m", "tutor.worker.zygote", "--flavour", flavour]
        started = time.perf_counter()
        stderr = errors.open("wb") if errors else None
        root = str(Path(tutor.__file__).parents[1])
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env={**os.environ, "PYTHONPATH": root}
        )
        self.replies: dict[int, list[protocol.Reply]] = defaultdict(list)
        self._pending = b""
        self._next = 0
        self.ready = self._read_ready()
        self.start_seconds = time.perf_counter() - started

    def _read_ready(self) -> protocol.Ready:
        reply = self._read_reply(120)
        assert isinstance(reply, protocol.Ready)
        return reply

    def _read_reply(self, timeout: float) -> protocol.Reply:
        assert self.process.stdout is not None
        while b"\n" not in self._pending:
            readable, _, _ = select.select([self.process.stdout], [], [], timeout)
            assert readable, f"no reply within {timeout} s"
            chunk = self.process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
            assert chunk, "the zygote hung up"
            self._pending += chunk
        line, self._pending = self._pending.split(b"\n", 1)
        return protocol.decode_reply(line)

    def run_id(self) -> int:
        self._next += 1
        return self._next

    def send(self, request: protocol.Request) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(protocol.encode(request) + b"\n")
        self.process.stdin.flush()

    def wait(self, run_id: int, until: Callable[[protocol.Reply], bool], timeout: float = 60) -> list[protocol.Reply]:
        """All replies of a run once one of them fulfils `until`."""
        while not any(until(reply) for reply in self.replies[run_id]):
            reply = self._read_reply(timeout)
            self.replies[reply.run_id].append(reply)  # type: ignore[union-attr]
        return self.replies[run_id]

    def finish(self, request: protocol.Request, timeout: float = 60) -> list[protocol.Reply]:
        """Send, and return every reply up to `Done`."""
        self.send(request)
        return self.wait(request.run_id, lambda r: isinstance(r, protocol.Done), timeout)  # type: ignore[union-attr]

    def close(self) -> None:
        self.send(protocol.Quit())
        self.process.wait(20)


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def leaves_a_process(note: Path) -> str:
    """A check that hangs, with a grandchild in a session of its own that does too; its pid gets into `note`."""
    return f"""
        def test_it():
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    with open("{note}.new", "w") as file:
                        file.write(str(os.getpid()))
                    os.rename("{note}.new", "{note}")
                    time.sleep(600)
                os._exit(0)
            time.sleep(600)
        """


@dataclass(frozen=True)
class Planted:
    """The extension, and where its source's marked lines are."""

    artifact: protocol.Artifact

    def line(self, text: str) -> int:
        lines = Path(self.artifact.sources["planted.c"]).read_text().splitlines()
        (number,) = [i for i, line in enumerate(lines, start=1) if text in line]
        return number


@dataclass(frozen=True)
class Outcome:
    """What a run of checks said."""

    announced: tuple[str, ...]
    results: dict[str, CheckResult]
    done: protocol.Done

    @property
    def only(self) -> CheckResult:
        (result,) = self.results.values()
        return result

    def codes(self, name: str) -> list[str]:
        return [finding.code for finding in self.results[name].findings]


def outcome_of_checks(flavour: str, planted: Path, checks: str, root: Path, python: str = sys.executable) -> Outcome:
    """What became of `checks`, written to a file in `root`, on the Python module `planted`; a zygote of its own."""
    client = ZygoteClient(flavour, root / "errors.txt", python)
    (root / "test_planted.py").write_text(textwrap.dedent(checks))
    artifact = protocol.Artifact("python", planted.stem, sys_path=(str(planted.parent),), sources={})
    request = protocol.Check(client.run_id(), "t", str(root), artifact, protocol.Limits(seconds=60))
    try:
        return outcome(client.finish(request, 240))
    finally:
        client.close()


def outcome(replies: list[protocol.Reply]) -> Outcome:
    (announced,) = [r.ids for r in replies if isinstance(r, protocol.Announced)] or [()]
    results = {r.result.id: r.result for r in replies if isinstance(r, protocol.Checked)}
    done = replies[-1]
    assert isinstance(done, protocol.Done)
    return Outcome(announced, results, done)
