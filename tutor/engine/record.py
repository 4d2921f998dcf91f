"""Writes what happened into progress and history, and tells the change as an event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from msgspec.structs import replace

from tutor.core.errors import TutorError
from tutor.core.events import Notice, PastRuns, ProgressChanged
from tutor.core.history import KEPT, PastRun, from_record, past_run
from tutor.core.progress import ExerciseProgress, Progress
from tutor.core.verdict import Outcome, Verdict
from tutor.engine.pipeline import Emit
from tutor.store.history import History
from tutor.store.home import Home
from tutor.store.progress import ProgressStore


class Record:
    """Progress and history of one session. A disk that refuses becomes a Notice; the session goes on."""

    def __init__(self, home: Home, emit: Emit) -> None:
        self._store, self._history = ProgressStore(home.progress), History(home.history)
        self._emit = emit
        self._past: tuple[str, tuple[PastRun, ...]] = ("", ())

    async def load(self) -> None:
        """Read progress and tell it, with what had to be set aside."""
        try:
            progress, notices = await asyncio.to_thread(self._store.load)
        except TutorError as error:
            self._emit(Notice("error", error.message, error.remedy))
            return
        for notice in notices:
            self._emit(notice)
        self._emit(ProgressChanged(progress))

    async def opened(self, exercise: str) -> None:
        """The learner turned to this exercise."""
        await self._update(lambda progress: replace(progress, current=exercise))
        await self._recall(exercise)

    async def hint(self, exercise: str, level: int) -> None:
        """Hints up to `level` are open; a level once opened stays open."""
        await self._change(exercise, lambda was: replace(was, hints=max(was.hints, level)))

    async def solution_seen(self, exercise: str) -> None:
        """The learner has looked at the solution."""
        await self._change(exercise, lambda was: replace(was, solution_seen=True))

    async def finished(self, verdict: Verdict, complete: bool) -> None:
        """A run is over. Only a `complete` one (benchmark included) can pass the exercise."""
        now = time.time()
        await self._recall(verdict.exercise)
        # First of all: told in the same moment as the verdict, the panels are drawn once for both.
        self._tell_past(verdict.exercise, (*self._past[1], past_run(now, verdict))[-KEPT:])
        await self._change(verdict.exercise, lambda was: after_run(was, verdict, complete, now))
        try:
            await asyncio.to_thread(self._history.append, {"at": now, **verdict.document()})
        except TutorError as error:
            self._emit(Notice("warning", error.message, error.remedy))

    async def taken_back(self, verdict: Verdict, before: ExerciseProgress) -> None:
        """The second wave found an error in what had passed: progress says again what it said `before` that run."""
        await self._change(verdict.exercise, lambda was: without_pass(was, verdict.digest, before))

    async def _recall(self, exercise: str) -> None:
        """Read the past runs of an exercise, once as long as it is the same."""
        if self._past[0] == exercise:
            return
        try:
            records = await asyncio.to_thread(self._history.recent, exercise)
        except TutorError as error:
            self._emit(Notice("warning", error.message, error.remedy))
            records = []
        runs = tuple(run for run in map(from_record, records) if run is not None)
        self._tell_past(exercise, runs[-KEPT:])

    def _tell_past(self, exercise: str, runs: tuple[PastRun, ...]) -> None:
        self._past = (exercise, runs)
        self._emit(PastRuns(exercise, runs))

    async def _change(self, exercise: str, change: Callable[[ExerciseProgress], ExerciseProgress]) -> None:
        await self._update(lambda progress: progress.with_exercise(exercise, change(progress.of(exercise))))

    async def _update(self, change: Callable[[Progress], Progress]) -> None:
        try:
            progress = await asyncio.to_thread(self._store.update, change)
        except TutorError as error:
            self._emit(Notice("error", error.message, error.remedy))
            return
        self._emit(ProgressChanged(progress))


def without_pass(was: ExerciseProgress, digest: str, before: ExerciseProgress) -> ExerciseProgress:
    """Progress without the pass of `digest`; an earlier version that passed still counts."""
    if was.passed_digest != digest:
        return was
    earlier = before if before.passed_digest != digest else ExerciseProgress()
    return replace(was, passed_digest=earlier.passed_digest, passed_at=earlier.passed_at, failures=was.failures + 1)


def after_run(was: ExerciseProgress, verdict: Verdict, complete: bool, now: float) -> ExerciseProgress:
    """Progress after a verdict: passes and best speedups are kept, failures in a row counted."""
    if verdict.verdict in (Outcome.ERROR, Outcome.SKIPPED):
        return replace(was, runs=was.runs + 1)
    if not verdict.passed:
        return replace(was, runs=was.runs + 1, failures=was.failures + 1)
    best = dict(was.best)
    for result in verdict.bench:
        best[result.case] = max(result.speedup, best.get(result.case, 0.0))
    if not complete:
        return replace(was, runs=was.runs + 1, failures=0, best=best)
    return replace(was, runs=was.runs + 1, failures=0, best=best, passed_digest=verdict.digest, passed_at=now)
