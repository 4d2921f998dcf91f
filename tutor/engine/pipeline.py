"""One run from snapshot to verdict: build, check, benchmark, each told as events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from tutor.core import events as e
from tutor.core import protocol as p
from tutor.core.errors import TutorError, WorkerError
from tutor.core.exercise import Exercise, Stage
from tutor.core.finding import Finding, Severity
from tutor.core.verdict import BenchResult, CheckResult, Outcome, Seconds, Verdict
from tutor.engine.builder import Builder, BuildOutcome, ToolchainMissing
from tutor.engine.judge import judge_bench, judge_checks, undecided
from tutor.engine.quiet import Quiet
from tutor.engine.snapshot import Snapshot
from tutor.engine.zygote import Zygote
from tutor.engine.zygotes import Zygotes

Emit = Callable[[e.Event], None]
BENCH_SECONDS = 3.0
# The driver makes one CUDA context after the other: sixteen checks at once take longer than four at a time.
GPU_JOBS = 4
WITHOUT_GPU = "Run it where there is an NVIDIA GPU, or through --launcher."


@dataclass(frozen=True, slots=True)
class Job:
    """One run to do. `saved_at` is time.time() of what caused it; `jobs` checks run side by side.

    enough: a failed check after which no other need run; those that stand for the finding `first` begin.
    """

    run_id: int
    exercise: Exercise
    taken: Snapshot
    saved_at: float
    reason: Literal["save", "open", "key", "command"] = "save"
    checks: bool = True
    bench: bool = True
    against: Snapshot | None = None
    against_name: str = "baseline"
    jobs: int = 2
    seed: int | None = None
    enough: Callable[[CheckResult], bool] | None = None
    first: str = ""


class Pipeline:
    """Runs jobs; several may be under way at once, but a benchmark always runs alone."""

    def __init__(self, builder: Builder, zygotes: Zygotes, quiet: Quiet, emit: Emit) -> None:
        self._builder, self._zygotes, self._quiet, self._emit = builder, zygotes, quiet, emit

    async def run(self, job: Job, keep: Callable[[Verdict], Awaitable[None]] | None = None) -> Verdict:
        """Do one job. Emits RunStarted first and RunFinished, or RunCancelled when this task is cancelled, last.

        keep: gets the verdict before anybody is told, so that a version said to have passed is there already.
        """
        self._emit(e.RunStarted(job.run_id, job.exercise.id, job.taken.digest, job.saved_at, job.reason))
        run = _Run(job, self._builder, self._zygotes, self._quiet, self._emit)
        try:
            verdict = await run.verdict()
            if keep is not None:
                await keep(verdict)
        except asyncio.CancelledError as error:
            self._emit(e.RunCancelled(job.run_id, str(error)))
            raise
        self._emit(e.RunFinished(job.run_id, verdict))
        return verdict


class _Run:
    """The state of one job while it runs."""

    def __init__(self, job: Job, builder: Builder, zygotes: Zygotes, quiet: Quiet, emit: Emit) -> None:
        self.job, self.exercise = job, job.exercise
        self.builder, self.quiet, self.emit = builder, quiet, emit
        self.zygote: Zygote = zygotes.of(job.exercise.flavour)
        self.stage: Stage = "build"
        self.seconds: dict[str, float] = {}
        self.findings: tuple[Finding, ...] = ()
        self.checks: dict[str, CheckResult] = {}
        self.bench: dict[str, BenchResult] = {}

    async def verdict(self) -> Verdict:
        try:
            return await self._stages()
        except ToolchainMissing as missing:
            return self._end(Outcome.SKIPPED, missing.message, missing.remedy)
        except TutorError as error:
            return self._end(Outcome.ERROR, error.message, error.remedy)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            return self._end(Outcome.ERROR, f"{error.strerror}{where}", "Is the disk full or read-only?")

    async def _stages(self) -> Verdict:
        async with self.quiet.shared():
            built = await self._build()
            if built.artifact is None:
                return self._end(Outcome.FAIL, built.findings[0].message)
            gone = await self._device_missing()
            if gone and "gpu" in self.exercise.needs:
                return self._end(Outcome.SKIPPED, gone, WITHOUT_GPU)
            other = await self._build_other()
            if self.job.checks:
                outcome, message = await self._check(built.artifact)
                if outcome is not Outcome.PASS:
                    return self._end(outcome, message)
            else:
                message = ""
            if gone:
                return self._end(Outcome.SKIPPED, f"{gone}{'; ' if message else ''}{message}", WITHOUT_GPU)
        if self.job.bench and self.exercise.bench:
            return await self._bench(built.artifact, other, message)
        return self._end(Outcome.PASS, message)

    # -- build

    async def _build(self) -> BuildOutcome:
        job = self.job
        self.emit(e.StageStarted(job.run_id, "build", self.exercise.main_file))
        built = await self.builder.build(
            self.exercise, job.taken, lambda label: self.emit(e.StageStarted(job.run_id, "build", label))
        )
        self.seconds["build"] = built.seconds
        self.findings = built.findings
        self.emit(e.BuildFinished(job.run_id, built.ok, built.findings, built.raw, built.seconds, built.cached))
        return built

    async def _build_other(self) -> p.Artifact | None:
        if self.job.against is None:
            return None
        built = await self.builder.build(self.exercise, self.job.against)
        if built.artifact is None:
            raise TutorError(f"the {self.job.against_name} does not build: {built.findings[0].message}")
        return built.artifact

    async def _device_missing(self) -> str:
        if "gpu" not in self.exercise.needs and self.exercise.toolchain != "cuda":
            return ""
        ready = await self._worker()
        return "" if ready.gpu else "compiled; what needs a GPU did not run: none here"

    # -- check

    async def _worker(self) -> p.Ready:
        """The worker that runs the learner's code, with what its launcher says while it waits for a place."""
        if not self.zygote.running:
            self._enter("check", "starting the worker")
        with self.zygote.heard(lambda words: self._enter("check", f"waiting: {words}")):
            return await self.zygote.start()

    async def _check(self, artifact: p.Artifact) -> tuple[Outcome, str]:
        started = time.perf_counter()
        await self._worker()
        self._enter("check")
        announced: tuple[str, ...] = ()
        done: p.Done | None = None
        message = p.Check(
            self.zygote.next_id(),
            self.exercise.id,
            str(self.exercise.folder.absolute()),
            artifact,
            p.Limits(self.exercise.time_limit, self.exercise.memory_limit_mb << 20),
            jobs=min(self.job.jobs, GPU_JOBS) if self.exercise.toolchain == "cuda" else self.job.jobs,
            seed=self.job.seed,
            first=self.job.first,
        )
        async with aclosing(self.zygote.request(message)) as replies:
            async for reply in replies:
                match reply:
                    case p.Announced(ids=ids) if ids != announced:
                        announced = ids
                        self.emit(e.ChecksAnnounced(self.job.run_id, ids))
                    case p.Checked(result=result):
                        self._checked(result)
                        if self.job.enough is not None and self.job.enough(result):
                            return Outcome.FAIL, result.message
                    case p.Done():
                        done = reply
        self.seconds["check"] = time.perf_counter() - started
        return self._judge_checks(announced, done)

    def _judge_checks(self, announced: tuple[str, ...], done: p.Done | None) -> tuple[Outcome, str]:
        assert done is not None
        self._must_be_whole(done)
        if done.result:
            self._checked(done.result)
        outcome, message, silent = judge_checks(announced, self.checks, done)
        for result in silent:
            self._checked(result)
        return outcome, message

    def _checked(self, result: CheckResult) -> None:
        """Keep and tell a result once; a restarted worker repeats itself, and then the worse of two counts."""
        before = self.checks.get(result.id)
        if before is not None and (before.outcome is result.outcome or before.outcome is not Outcome.PASS):
            return
        self.checks[result.id] = result
        self.emit(e.CheckFinished(self.job.run_id, result))

    def _must_be_whole(self, done: p.Done) -> None:
        if done.outcome == "broken":
            raise WorkerError(f"the worker failed: {done.message}", "This is a defect of mltutor; please report it.")
        if done.outcome == "cancelled":
            raise WorkerError("the worker ended this run although nobody asked for that", "Run it again.")

    # -- bench

    async def _bench(self, artifact: p.Artifact, other: p.Artifact | None, message: str) -> Verdict:
        self._enter("bench", "waiting for a quiet machine")
        started = time.perf_counter()
        async with self.quiet.alone():
            failed = await self._time(artifact, other, self._cases(), BENCH_SECONDS)
            again = undecided(self.bench)
            if failed is None and again:
                failed = await self._time(artifact, other, self._cases(again), 2 * BENCH_SECONDS)
        self.seconds["bench"] = time.perf_counter() - started
        if failed is not None:
            return self._end(Outcome.FAIL, failed)
        outcome, words, findings = judge_bench(self.exercise, self.bench, self.job.against_name)
        self.findings = (*self.findings, *findings)
        return self._end(outcome, words or message)

    async def _time(
        self, artifact: p.Artifact, other: p.Artifact | None, cases: tuple[p.BenchCaseRequest, ...], budget: float
    ) -> str | None:
        """Measure the cases; None, or why the learner's code failed under measurement."""
        request = p.Bench(
            self.zygote.next_id(),
            self.exercise.id,
            str(self.exercise.folder.absolute()),
            artifact,
            cases,
            against=other,
            against_name=self.job.against_name,
            limits=p.Limits(max(60.0, self.exercise.time_limit), self.exercise.memory_limit_mb << 20),
            budget_seconds=budget,
            seed=self.job.seed,
        )
        async with aclosing(self.zygote.request(request)) as replies:
            async for reply in replies:
                match reply:
                    case p.Started(id=case):
                        self.emit(e.StageStarted(self.job.run_id, "bench", case))
                    case p.Benched(result=result, final=final):
                        if final:
                            self.bench[result.case] = result
                        self.emit(e.BenchMeasured(self.job.run_id, result, final))
                    case p.Done():
                        return self._bench_failure(reply, cases)
        raise WorkerError("the worker ended a benchmark without saying so")

    def _bench_failure(self, done: p.Done, cases: tuple[p.BenchCaseRequest, ...]) -> str | None:
        self._must_be_whole(done)
        silent = [case.case for case in cases if case.case not in self.bench]
        if done.outcome == "ok" and not silent:
            return None
        words = done.message or f"no result for {', '.join(silent)}"
        found = done.result.findings if done.result else ()
        found = found or (Finding("wrong-result", words, file=self.exercise.main_file),)
        self.findings = (*self.findings, *found)
        return (done.result.message if done.result else "") or words

    def _cases(self, only: frozenset[str] = frozenset()) -> tuple[p.BenchCaseRequest, ...]:
        return tuple(
            p.BenchCaseRequest(b.case, b.baseline, b.target, b.gold, b.gated)
            for b in self.exercise.bench
            if not only or b.case in only
        )

    # -- end

    def _enter(self, stage: Stage, detail: str = "") -> None:
        self.stage = stage
        self.emit(e.StageStarted(self.job.run_id, stage, detail))

    def _end(self, outcome: Outcome, message: str = "", remedy: str = "") -> Verdict:
        found = (*self.findings, *(f for check in self.checks.values() for f in check.findings))
        if outcome is Outcome.PASS and any(f.severity is Severity.ERROR for f in found):
            outcome = Outcome.FAIL
        seconds = Seconds(**self.seconds, total=max(0.0, time.time() - self.job.saved_at))
        return Verdict(
            self.exercise.id,
            self.job.taken.digest,
            outcome,
            self.stage,
            tuple(self.checks.values()),
            found,
            tuple(self.bench.values()),
            seconds,
            message,
            remedy,
        )
