"""Proves the exercises themselves: starters fail as declared, solutions pass, every planted fault is named."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct, structs

from tutor.content import sources
from tutor.core.errors import TutorError
from tutor.core.exercise import Course, Exercise, Fault
from tutor.core.finding import Finding, Severity
from tutor.core.verdict import CheckResult, Outcome, Verdict
from tutor.engine import snapshot
from tutor.engine.folder import folder_problems
from tutor.engine.pipeline import Job
from tutor.engine.prepare import Preparer
from tutor.engine.workbench import Workbench
from tutor.store.home import Home
from tutor.toolchains.base import BuildRequest
from tutor.toolchains.registry import toolchain
from tutor.toolchains.sanitizers import PROVEN

SPEED_RETRIES = 2
What = Literal["folder", "starter", "solution", "alternative", "fault"]


class VerifyRow(Struct, frozen=True):
    """One thing that was proved or not. `name` is the patch of a fault, the name of an alternative.

    message: what is wrong, or the reason.
    """

    exercise: str
    what: What
    name: str
    outcome: Outcome
    message: str = ""
    seconds: float = 0.0
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    exercise: Exercise
    what: What
    fault: Fault | None = None
    style: str = ""

    @property
    def name(self) -> str:
        return self.fault.patch if self.fault else self.style or self.what


async def verify(
    course: Course,
    ids: Sequence[str] = (),
    jobs: int = 1,
    home: Home | None = None,
    launcher: Sequence[str] = (),
    bench: bool = True,
) -> AsyncIterator[VerifyRow]:
    """Rows as they come, `jobs` builds and checks at a time, benchmarks alone. No ids: the whole course.

    bench=False leaves the speed targets of solutions, and faults that are only slow, out (skipped).
    """
    chosen = [exercise for exercise in course.exercises if not ids or exercise.id in ids]
    tasks = [task for exercise in chosen for task in _tasks(exercise)]
    async with Workbench(home or Home.locate(), lambda event: None, launcher) as workbench:
        await prepare(course, chosen)
        for flavour in dict.fromkeys(exercise.flavour for exercise in chosen):
            with suppress(TutorError):  # whoever needs it meets the error again, and reports it
                await workbench.zygotes.of(flavour).start()
        prover = _Prover(workbench, max(1, (os.cpu_count() or 2) // jobs), bench)
        gate = asyncio.Semaphore(jobs)
        pending = [asyncio.create_task(prover.prove(task, gate)) for task in tasks]
        try:
            for row in asyncio.as_completed(pending):
                yield await row
        finally:
            for one in pending:
                one.cancel()
            await asyncio.gather(*pending, return_exceptions=True)


def _tasks(exercise: Exercise) -> list[_Task]:
    faults = [_Task(exercise, "fault", fault) for fault in exercise.faults]
    styles = [_Task(exercise, "alternative", style=name) for name in exercise.alternatives]
    return [_Task(exercise, "folder"), _Task(exercise, "starter"), _Task(exercise, "solution"), *styles, *faults]


async def prepare(course: Course, chosen: Sequence[Exercise]) -> None:
    """Headers and shared modules first: a dozen builds of one exercise cost less than without them."""
    for exercise in chosen:
        with suppress(TutorError):  # planning a build is what asks for a header that few exercises use
            await asyncio.to_thread(_ask, exercise)
    lessons = tuple(
        structs.replace(lesson, exercises=tuple(one for one in lesson.exercises if one in chosen))
        for lesson in course.lessons
    )
    preparer = Preparer(structs.replace(course, lessons=lessons), lambda event: None)
    preparer.start()
    try:
        await preparer.done()
    finally:
        await preparer.close()


def _ask(exercise: Exercise) -> None:
    toolchain(exercise.toolchain).plan(BuildRequest(exercise, exercise.solution, exercise.solution))


class _Prover:
    """Runs one task through the same pipeline that a learner's save goes through."""

    def __init__(self, workbench: Workbench, check_jobs: int, bench: bool) -> None:
        self._workbench, self._check_jobs, self._bench = workbench, check_jobs, bench
        self._ids = itertools.count(1)

    async def prove(self, task: _Task, gate: asyncio.Semaphore) -> VerifyRow:
        """One row. A malformed exercise is a failed row."""
        async with gate:
            started = time.perf_counter()
            try:
                outcome, message, verdict = await self._judge(task)
            except TutorError as error:
                outcome, message, verdict = Outcome.FAIL, error.message, None
            seconds = time.perf_counter() - started
            return VerifyRow(task.exercise.id, task.what, task.name, outcome, message, seconds, verdict)

    async def _judge(self, task: _Task) -> tuple[Outcome, str, Verdict | None]:
        exercise = task.exercise
        if task.what == "folder":
            problems = await asyncio.to_thread(folder_problems, exercise)
            return (Outcome.FAIL if problems else Outcome.PASS), "; ".join(problems), None
        if task.what == "starter":
            files = sources.starter_files(exercise)
            verdict = await self._run(exercise, files, exercise.starter.stage == "bench")
            return _row(verdict, lambda: starter_problem(exercise, verdict))
        if task.what == "solution":
            verdict = await self._examined(exercise, sources.solution_files(exercise))
            outcome, words, verdict = _row(verdict, lambda: solution_problem(verdict))
            return outcome, words or _undecided(verdict), verdict
        if task.what == "alternative":
            verdict = await self._run(exercise, sources.alternative_files(exercise, task.style), False)
            return _row(verdict, lambda: solution_problem(verdict))
        assert task.fault
        fault, slow = task.fault, task.fault.code == "slow"
        if slow and not self._bench:
            return Outcome.SKIPPED, "benchmarks are switched off", None
        line = sources.fault_line(exercise, fault)
        # The check that names a fault proves it; a dozen others that it makes fail or hang would cost half the time.
        verdict = await self._run(
            exercise,
            sources.faulted_files(exercise, fault),
            slow,
            lambda result: names(fault, line, result.findings),
            fault.code,
        )
        return _row(verdict, lambda: fault_problem(fault, line, verdict))

    async def _examined(self, exercise: Exercise, files: dict[str, bytes]) -> Verdict:
        """A measured run, and the sanitizers of PROVEN, which must be silent on a solution as well."""
        verdict = await self._measure(exercise, files)
        if not verdict.passed:
            return verdict
        wave, taken = self._workbench.second_wave, snapshot.of(files)
        try:
            return verdict.joined(await wave.examine(next(self._ids), exercise, taken, only=PROVEN))
        finally:
            await self._workbench.builder.forget(taken)

    async def _measure(self, exercise: Exercise, files: dict[str, bytes]) -> Verdict:
        """A run with its benchmark, taken again while the machine is too noisy to say whether the targets are met."""
        verdict = await self._run(exercise, files, True)
        for _ in range(SPEED_RETRIES):
            if not any(finding.code == "slow" for finding in verdict.findings):
                break
            verdict = await self._run(exercise, files, True)
        return verdict

    async def _run(
        self,
        exercise: Exercise,
        files: dict[str, bytes],
        bench: bool,
        enough: Callable[[CheckResult], bool] | None = None,
        first: str = "",
    ) -> Verdict:
        job = Job(
            next(self._ids),
            exercise,
            snapshot.of(files),
            time.time(),
            "command",
            bench=bench and self._bench,
            jobs=self._check_jobs,
            enough=enough,
            first=first,
        )
        try:
            return await self._workbench.pipeline.run(job)
        finally:  # kept to the end, the builds of a whole course would fill the disk
            await self._workbench.builder.forget(job.taken)


def _row(verdict: Verdict, problem: Callable[[], str]) -> tuple[Outcome, str, Verdict]:
    if verdict.verdict is Outcome.SKIPPED:
        return Outcome.SKIPPED, verdict.message, verdict
    if verdict.verdict is Outcome.ERROR:
        return Outcome.ERROR, verdict.message, verdict
    words = problem()
    return (Outcome.FAIL if words else Outcome.PASS), words, verdict


def starter_problem(exercise: Exercise, verdict: Verdict) -> str:
    """'' when the starter failed as declared: at its stage, with one of its codes, without an undeclared crash."""
    if verdict.passed:
        return "the starter passes"
    declared, codes = exercise.starter, {finding.code for finding in verdict.findings}
    if verdict.stage != declared.stage:
        return f"the starter fails at {verdict.stage}, declared is {declared.stage}: {_told(verdict)}"
    if declared.codes and not codes & set(declared.codes):
        return f"the starter reports {_told(verdict)}, declared is {' or '.join(declared.codes)}"
    if "crash" in codes and "crash" not in declared.codes:
        return "the starter crashes"
    return ""


def solution_problem(verdict: Verdict) -> str:
    """'' when the solution passes everything without any finding."""
    if not verdict.passed:
        return f"the solution fails at {verdict.stage}: {verdict.message} ({_told(verdict)})"
    found = [f for f in verdict.findings if f.code != "slow" or f.severity is not Severity.NOTE]
    return f"the solution passes, with findings: {_told(verdict)}" if found else ""


def _undecided(verdict: Verdict) -> str:
    """What a passing row must still say: a speed that this machine was too noisy to decide on is not a proof."""
    notes = [f.message for f in verdict.findings if f.code == "slow" and f.severity is Severity.NOTE]
    return f"speed not proven: {notes[0]}" if notes else ""


def fault_problem(fault: Fault, line: int | None, verdict: Verdict) -> str:
    """'' when a finding has the declared code, and where declared the file and line."""
    if verdict.passed:
        return f"escaped: all checks pass, declared is {fault.code}"
    named = [finding for finding in verdict.findings if finding.code == fault.code]
    if not named:
        return f"declared is {fault.code}, reported {_told(verdict)}"
    if names(fault, line, named):
        return ""
    places = ", ".join(finding.place or "no line" for finding in named)
    return f"{fault.code} is reported at {places}, declared is {fault.file}:{line}"


def names(fault: Fault, line: int | None, findings: Sequence[Finding]) -> bool:
    """Does one of the findings have the declared code, and where declared the file and line?"""
    return any(one.code == fault.code and (line is None or _is_at(one, fault, line)) for one in findings)


def _is_at(finding: Finding, fault: Fault, line: int) -> bool:
    return finding.line == line and os.path.basename(finding.file) == os.path.basename(fault.file)


def _told(verdict: Verdict) -> str:
    found = [f"{f.code}{f' at {f.place}' if f.place else ''}" for f in verdict.findings]
    return ", ".join(found) or verdict.message or "nothing"
