"""The second wave: after the verdict the same sources once more, instrumented, on the idle core."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import aclosing
from functools import cached_property
from pathlib import Path

from tutor.core import events as e
from tutor.core import protocol as p
from tutor.core.errors import TutorError
from tutor.core.exercise import Exercise
from tutor.core.finding import Finding
from tutor.core.progress import ExerciseProgress
from tutor.core.verdict import Verdict
from tutor.engine.builder import Builder
from tutor.engine.pipeline import GPU_JOBS, Job
from tutor.engine.quiet import Quiet
from tutor.engine.record import Record
from tutor.engine.snapshot import Snapshot
from tutor.engine.zygote import Zygote
from tutor.engine.zygotes import Zygotes
from tutor.toolchains.sanitizers import BY_NAME, Choice, Sanitizer, choices

# An instrumented call takes two to twenty times as long, and freed memory is kept for a while.
SLOWER, LARGER = 6.0, 3
# A check under compute-sanitizer spends most of its time in making a CUDA context, on one core.
_KERNEL_JOBS = max(1, min(GPU_JOBS, (os.cpu_count() or 2) // 2))


class SecondWave:
    """Runs the sanitizers that fit an exercise, one after the other. A newer save cancels it like any run."""

    def __init__(self, builder: Builder, zygotes: Zygotes, quiet: Quiet, emit: Callable[[e.Event], None]) -> None:
        self._builder, self._zygotes, self._quiet, self._emit = builder, zygotes, quiet, emit

    @cached_property
    def _logs(self) -> tempfile.TemporaryDirectory[str]:
        """Where compute-sanitizer writes; made with the first look, not when the app starts."""
        return tempfile.TemporaryDirectory(prefix="mltutor-sanitizer-", ignore_cleanup_errors=True)

    async def examine(
        self,
        run_id: int,
        exercise: Exercise,
        taken: Snapshot,
        passed: bool = False,
        only: tuple[str, ...] = tuple(BY_NAME),
        found: list[Finding] | None = None,
    ) -> tuple[Finding, ...]:
        """All findings, each told as it comes. Never raises what the environment lacks: it tells that too.

        passed: look first for what compiled only because a precompiled header brought an #include along. only: names
        of sanitizers; ThreadSanitizer takes minutes where a hundred checks fork. found: gets the findings as they come,
        for a caller that needs them when it is cancelled before the last sanitizer.
        """
        if passed:
            await self._look_for_hidden_includes(exercise)
        text = b"\n".join(taken.files.values()).decode("utf-8", "replace")
        found = [] if found is None else found
        for choice in await asyncio.to_thread(choices, exercise, text):
            if choice.sanitizer.name not in only:
                continue
            look = await self._look(run_id, choice, exercise, taken)
            self._emit(look)
            found += look.findings
        return tuple(found)

    async def _look_for_hidden_includes(self, exercise: Exercise) -> None:
        for finding in (await self._builder.missing_includes(exercise))[:1]:
            text = f"{finding.place}: builds here only with mltutor's precompiled header: {finding.message}"
            self._emit(e.Notice("warning", text, "add the #include that declares it"))

    async def _look(self, run_id: int, choice: Choice, exercise: Exercise, taken: Snapshot) -> e.Examined:
        title, started = choice.sanitizer.title, time.perf_counter()
        if choice.problem:
            return e.Examined(run_id, title, "unavailable", message=f"not checked here: {choice.problem}")
        self._emit(e.Examined(run_id, title, "running"))
        try:
            async with self._quiet.shared():
                found = await self._found(choice.sanitizer, exercise, taken)
        except asyncio.CancelledError:
            self._emit(e.Examined(run_id, title, "stopped", message="a newer run came first"))
            raise
        except TutorError as error:
            words = error.message.partition("\n")[0]
            return e.Examined(run_id, title, "unavailable", message=f"not checked here: {words}")
        seconds = time.perf_counter() - started
        return e.Examined(run_id, title, "found" if found else "clean", found, seconds=seconds)

    async def _found(self, sanitizer: Sanitizer, exercise: Exercise, taken: Snapshot) -> tuple[Finding, ...]:
        built = await self._builder.build(exercise, taken, sanitizer=sanitizer.name if sanitizer.flags else "")
        if built.artifact is None:
            raise TutorError(f"the instrumented build fails: {built.findings[0].message}")
        prefix = sanitizer.prefix(Path(self._logs.name, f"{sanitizer.name}.log"))
        zygote = self._zygotes.instrumented(sanitizer.name, prefix, exercise.flavour)
        return await _findings(zygote, exercise, built.artifact, _KERNEL_JOBS if sanitizer.kernels else 1)


async def judged(wave: SecondWave, record: Record, job: Job, verdict: Verdict, before: ExerciseProgress) -> Verdict:
    """The verdict with what the second wave finds; a pass that it refutes is taken back, to progress `before`.

    What it has found before a newer save cancels it counts too.
    """
    started = time.perf_counter()
    found: list[Finding] = []
    try:
        await wave.examine(job.run_id, job.exercise, job.taken, verdict.passed, found=found)
    finally:
        now = verdict.joined(tuple(found), time.perf_counter() - started)
        if verdict.passed and not now.passed:
            await asyncio.shield(record.taken_back(verdict, before))
    return now


async def _findings(zygote: Zygote, exercise: Exercise, artifact: p.Artifact, jobs: int) -> tuple[Finding, ...]:
    """What the checks' output holds of reports; whether they pass without the probe says nothing."""
    limits = p.Limits(exercise.time_limit * SLOWER, exercise.memory_limit_mb * LARGER << 20)
    folder = str(exercise.folder.absolute())
    message = p.Check(zygote.next_id(), exercise.id, folder, artifact, limits, jobs=jobs)
    found: dict[Finding, None] = {}
    async with aclosing(zygote.request(message)) as replies:
        async for reply in replies:
            match reply:
                case p.Checked(result=result):
                    found.update(dict.fromkeys(result.findings))
                case p.Done(outcome="broken", message=words):
                    raise TutorError(f"the instrumented worker failed: {words}")
    return tuple(found)
