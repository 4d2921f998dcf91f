"""Timing the learner's files against another version of them, told beside the session's runs and never as one."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Literal

from msgspec import structs

from tutor.content import sources
from tutor.content.workspace import Workspace
from tutor.core import events as e
from tutor.core.errors import TutorError, UsageError
from tutor.core.exercise import Exercise
from tutor.core.verdict import Verdict
from tutor.engine import snapshot
from tutor.engine.pipeline import Emit, Job, Pipeline
from tutor.engine.workbench import Workbench

Against = Literal["baseline", "solution", "starter", "pass"]


async def comparison(run_id: int, exercise: Exercise, workspace: Workspace, against: Against) -> Job:
    """The job that only measures. Raises UsageError when there is no such version."""
    folder = workspace.folder(exercise)
    taken = await asyncio.to_thread(snapshot.take, exercise, folder, workspace.root)
    other = await asyncio.to_thread(_files, exercise, workspace, against)
    named = "last pass" if against == "pass" else against
    return Job(
        run_id,
        exercise,
        taken,
        time.time(),
        "command",
        checks=False,
        against=None if other is None else snapshot.of(other),
        against_name=named,
    )


def _files(exercise: Exercise, workspace: Workspace, against: Against) -> dict[str, bytes] | None:
    match against:
        case "baseline":
            return None
        case "solution":
            return sources.solution_files(exercise)
        case "starter":
            return sources.starter_files(exercise)
        case "pass":
            return dict(workspace.last_pass(exercise).files)


async def keep_pass(workspace: Workspace, exercise: Exercise, taken: snapshot.Snapshot, emit: Emit) -> None:
    """Keep what has passed, to compare later versions with; a disk that refuses is told."""
    try:
        await asyncio.to_thread(workspace.keep_pass, exercise, taken.files)
    except TutorError as error:
        emit(e.Notice("warning", error.message, error.remedy))


class Comparer:
    """Runs comparisons for a face that shows them beside a diff: every step is one Compared event."""

    def __init__(self, bench: Workbench, workspace: Workspace, emit: Emit) -> None:
        self._pipeline = Pipeline(bench.builder, bench.zygotes, bench.quiet, self._translate)
        self._workspace, self._emit = workspace, emit
        self._numbers = itertools.count(1)
        self._now: e.Compared | None = None

    def announce(self, exercise: Exercise, against: Against) -> None:
        """It was asked for and waits for its turn. Raises UsageError when there is nothing to time."""
        if not exercise.bench:
            raise UsageError(f"{exercise.id} has no benchmark")
        self._tell(e.Compared(exercise.id, against, "waiting for the run before it"))

    def forget(self, why: str) -> None:
        """Something else came before it, or in its way."""
        if self._now is not None and not self._now.done:
            self._tell(structs.replace(self._now, doing="", done=True, message=why))

    async def run(self, exercise: Exercise, against: Against) -> Verdict:
        """Build and time both. Raises TutorError; cancelled when a save comes."""
        self._tell(e.Compared(exercise.id, against, "building"))
        try:
            job = await comparison(next(self._numbers), exercise, self._workspace, against)
            verdict = await self._pipeline.run(job)
        except asyncio.CancelledError as error:
            self.forget(f"ended: {error}" if str(error) else "ended")
            raise
        assert self._now is not None
        said = "" if verdict.passed else verdict.message or "it could not be measured"
        bench = verdict.bench
        if said and verdict.stage == "bench":
            # A wrong answer is fast: what was measured before it was noticed says nothing either.
            said, bench = f"no time counts while one side is wrong: {said}", ()
        self._tell(structs.replace(self._now, doing="", bench=bench, done=True, message=said))
        return verdict

    def _translate(self, event: e.Event) -> None:
        """What of a run's events concerns a comparison."""
        if self._now is None:
            return
        match event:
            case e.StageStarted(stage=stage, detail=detail):
                doing = {"build": "building", "bench": "measuring"}.get(stage, stage)
                between = ": " if detail.startswith("waiting") else " "
                self._tell(structs.replace(self._now, doing=f"{doing}{between}{detail}".strip(": ")))
            case e.BenchMeasured(result=result):
                kept = tuple(b for b in self._now.bench if b.case != result.case)
                self._tell(structs.replace(self._now, bench=(*kept, result)))

    def _tell(self, event: e.Compared) -> None:
        self._now = event
        self._emit(event)
