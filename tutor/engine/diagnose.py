"""Diagnoses one statement in a worker of its own, with the probe that it needs."""

from __future__ import annotations

import ast
import asyncio
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tutor.core import protocol as p
from tutor.core.diagnosis import Diagnosis
from tutor.core.errors import EnvironmentMissing, UsageError, WorkerError
from tutor.core.finding import Severity
from tutor.engine.process import run_command
from tutor.engine.zygote import Zygote
from tutor.store.home import Home
from tutor.toolchains.base import BuildPlan, Command
from tutor.toolchains.native import build_native
from tutor.toolchains.probe import build_probe
from tutor.toolchains.settings import configure, settings

_WORST_FIRST = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Question:
    """A statement to examine after `setup`. seconds: for one run of it; memory in MiB, of all its processes."""

    statement: str
    setup: str = ""
    seconds: float = 10.0
    memory: int = 2048
    faults: bool = False


async def diagnose(question: Question, home: Home, launcher: Sequence[str] = ()) -> Diagnosis:
    """What the passes say, worst first.

    Raises UsageError for what the user wrote (syntax, an exception, nothing compiled called), EnvironmentMissing where
    a module is not installed or nothing can be watched, WorkerError.
    """
    _check(question.setup, "SETUP")
    _check(question.statement, "STATEMENT")
    if not question.statement.strip() or not ast.parse(question.statement).body:
        raise UsageError("there is no statement to examine", 'mltutor diagnose -s "import json" "json.loads(\'[1]\')"')
    worker = open_worker(home, launcher)
    try:
        diagnosis = await ask(worker, question)
    finally:
        await worker.close()
    if diagnosis.problem is not None:
        kind = UsageError if diagnosis.problem.kind == "usage" else EnvironmentMissing
        raise kind(diagnosis.problem.message, diagnosis.problem.remedy)
    return diagnosis


def sorted_findings(diagnosis: Diagnosis) -> list[int]:
    """Numbers of the findings, worst first, otherwise as found."""
    findings = diagnosis.findings
    return sorted(range(len(findings)), key=lambda i: _WORST_FIRST[findings[i].finding.severity])


def open_worker(home: Home, launcher: Sequence[str] = ()) -> Zygote:
    """A worker that imports nothing of its own and has the probe; it starts with the first question."""
    configure(home.cache, settings().compiler)
    # Modules of the current folder are for the statement, not for the worker: one may be called like ours.
    return Zygote("bare", launcher, (sys.executable, "-P", "-m", "tutor.worker.zygote"), _preload)


async def ask(worker: Zygote, question: Question) -> Diagnosis:
    """The answer to one of several questions, with its `problem` where nothing was examined."""
    limits = p.Limits(seconds=max(300.0, 20 * question.seconds), rss_bytes=question.memory * _MIB, output_bytes=_MIB)
    request = p.Diagnose(
        worker.next_id(), question.statement, question.setup, question.seconds, question.faults, limits
    )
    found: Diagnosis | None = None
    async for reply in worker.request(request):
        if isinstance(reply, p.Diagnosed):
            found = reply.diagnosis
        if isinstance(reply, p.Done) and found is None:
            raise WorkerError(f"the worker could not look at the statement\n{reply.message}".strip())
    assert found is not None
    return found


def _check(text: str, what: str) -> None:
    try:
        compile(text, f"<{what}>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UsageError(f"{what} is not Python: {said}{line}", "quote it for the shell, as for python -c") from None


async def _preload() -> p.Warm:
    """The crash handler and the probe; without the probe there is nothing to do."""
    if platform.machine() != "x86_64" or not sys.platform.startswith("linux"):
        raise EnvironmentMissing("not checked here: the probe works on x86-64 Linux only", "run it on such a machine")
    paths = [await _built(build_probe(), needed=True), await _built(build_native("crash"), needed=False)]
    return p.Warm(0, preload=tuple(path for path in paths if path))


async def _built(plan: BuildPlan, needed: bool) -> str:
    for stage in plan.stages:
        for step in stage:
            done = await run_command(step) if isinstance(step, Command) else None
            if done is None or not done.ok:
                if needed:
                    said = done.output.strip() if done else ""
                    raise EnvironmentMissing(f"the probe can't be built here\n{said}".strip(), "mltutor doctor")
                return ""
    return await asyncio.to_thread(str, plan.artifact.path)
