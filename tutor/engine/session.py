"""A learner's session: owns the state, takes intents, runs the newest save, and alone writes progress."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

from tutor.content import texts
from tutor.content.workspace import Workspace
from tutor.core import events as e
from tutor.core.errors import TutorError, UsageError
from tutor.core.exercise import Course, Exercise
from tutor.core.state import State
from tutor.core.verdict import Verdict
from tutor.engine import clangd, snapshot
from tutor.engine.compare import Against, Comparer, comparison, keep_pass
from tutor.engine.fanout import Fanout, tell_crash
from tutor.engine.pipeline import Job
from tutor.engine.prepare import Preparer
from tutor.engine.record import Record
from tutor.engine.runner import Order, Runner
from tutor.engine.secondwave import judged
from tutor.engine.watcher import Watcher
from tutor.engine.workbench import Workbench
from tutor.engine.zygote import Flavour
from tutor.store.home import Home


class Session:
    """One engine for both faces. Use as `async with`; `watch=False` neither watches nor prepares (the command line)."""

    def __init__(
        self,
        course: Course,
        workspace: Path | Workspace,
        home: Home,
        launcher: Sequence[str] = (),
        watch: bool = True,
        worker: Sequence[str] = (),
    ) -> None:
        self.course = course
        self.workspace = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
        self.home = home
        self._watching = watch
        self._launcher, self._worker = tuple(launcher), tuple(worker)
        self._fanout = Fanout()
        self._emit = self._fanout.emit
        self._by_id = {exercise.id: exercise for exercise in course.exercises}
        self._run_ids = itertools.count(1)
        self._background: set[asyncio.Task[None]] = set()
        self._record = Record(home, self._emit)
        self._intents = asyncio.Lock()

    async def __aenter__(self) -> Session:
        self._bench = Workbench(self.home, self._emit, self._launcher, self._worker)
        self._comparer = Comparer(self._bench, self.workspace, self._emit)
        self._runner = Runner(self._work, self._fanout.crash)
        self._preparer = Preparer(self.course, self._emit, self._fanout.crash)
        self._watcher = Watcher(
            self._saved, self._missing, lambda how, why: self._emit(e.WatchStatus(how, why)), self._fanout.crash
        )
        self._spawn(self._start_worker("plain"))
        await self._record.load()
        if not self._watching:
            self._emit(e.WatchStatus("off", "one command, no watching"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.close()
        await self._preparer.close()
        await self._watcher.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._bench.__aexit__(kind, error, trace)
        self._fanout.close()

    def events(self) -> AsyncGenerator[tuple[e.Event, State], None]:
        """Every event from this call on, with the state after it; ends when the session closes, raises what crashed."""
        return self._fanout.follow()

    @property
    def state(self) -> State:
        """The state after the last event."""
        return self._fanout.state

    async def handle(self, intent: e.Intent) -> None:
        """Do what a face asks. What the environment refuses becomes a Notice; the methods below raise it instead."""
        try:
            async with self._intents:
                await self._handle(intent)
        except TutorError as error:
            self._emit(e.Notice("error", error.message, error.remedy))

    async def _handle(self, intent: e.Intent) -> None:
        match intent:
            case e.Open(exercise=name, run=run):
                await self.open(self.exercise(name), run=run)
            case e.Run(bench=bench):
                self._order("key", time.time(), bench)
            case e.Stop():
                await self._stop("stopped")
            case e.Compare(against=against):
                self._compare(against)
            case _:
                await self._handle_files(intent)

    async def _handle_files(self, intent: e.Intent) -> None:
        match intent:
            case e.Hint(level=level):
                await self.hint(self.current(), level)
            case e.Reset():
                await self.reset(self.current())
            case e.Undo():
                await self.undo(self.current())
            case e.BringBack(number=number):
                await self.bring_back(self.current(), number)
            case e.SolutionSeen():
                await self._record.solution_seen(self.current().id)

    def exercise(self, name: str) -> Exercise:
        """The exercise of an id. Raises UsageError."""
        if name not in self._by_id:
            raise UsageError(f"no exercise `{name}`", "mltutor list shows them all")
        return self._by_id[name]

    def current(self) -> Exercise:
        """The exercise that is open. Raises UsageError when none is."""
        return self.exercise(self.state.current)

    async def restore(self) -> Exercise:
        """Open the exercise where the learner left off: the current one, else the first that has not passed."""
        progress = self.state.progress
        left = [ex for ex in self.course.exercises if ex.id not in progress.passed]
        found = self._by_id.get(progress.current) or next(iter(left or self.course.exercises))
        await self.open(found)
        return found

    async def open(self, exercise: Exercise, *, run: bool = False) -> None:
        """Turn to an exercise: create what is missing in the workspace, watch it, warm what it needs."""
        if self._runner.busy_with(lambda order: order.exercise.id != exercise.id):
            await self._stop("another exercise was opened")
        await asyncio.to_thread(self.workspace.start, exercise)
        self._emit(e.ExerciseOpened(exercise.id))
        await self._record.opened(exercise.id)
        if exercise.flavour != "plain":
            self._spawn(self._start_worker(exercise.flavour))
        if exercise.toolchain == "cython":
            self._spawn(self._start_worker("cython"))
        if self._watching:
            await self._watcher.watch(self.workspace.paths(exercise))
            self._spawn(self._settle_in(exercise))
        if run:
            self._order("open", time.time())

    async def _settle_in(self, exercise: Exercise) -> None:
        """What may follow the opening: the editor's compile commands, then background preparation."""
        try:
            await clangd.describe(self._bench.builder, exercise, self.workspace)
        except TutorError as error:
            self._emit(e.Notice("info", f"no compile_commands.json: {error.message}", error.remedy))
        self._preparer.start(exercise.toolchain)

    async def hint(self, exercise: Exercise, level: int | None = None) -> int:
        """Open one more hint, or all up to `level`; returns how many are open. Raises ContentError, UsageError."""
        there = len(await asyncio.to_thread(texts.hints, exercise))
        opened = self.state.progress.of(exercise.id).hints
        wanted = min(opened + 1 if level is None else level, there)
        if wanted < 1:
            raise UsageError(f"hints of {exercise.id} go from 1 to {there}")
        await self._record.hint(exercise.id, wanted)
        self._emit(e.HintShown(exercise.id, wanted))
        return wanted

    async def reset(self, exercise: Exercise) -> None:
        """Put the starter back; what was there is kept. Raises WorkspaceError."""
        await asyncio.to_thread(self.workspace.reset, exercise)
        await self._replaced(exercise, "starter")

    async def undo(self, exercise: Exercise) -> None:
        """Bring back what the last reset or undo replaced. Raises UsageError when there is nothing."""
        kept = await asyncio.to_thread(self.workspace.undo, exercise)
        await self._replaced(exercise, _named(kept.at))

    async def bring_back(self, exercise: Exercise, number: int) -> None:
        """Put a kept version back; what was there is kept. Raises UsageError, WorkspaceError."""
        kept = await asyncio.to_thread(self.workspace.bring_back, exercise, number)
        await self._replaced(exercise, _named(kept.at))

    async def _replaced(self, exercise: Exercise, label: str) -> None:
        self._emit(e.FilesReplaced(exercise.id, label))
        if self._watching and self.state.current == exercise.id:
            await self._watcher.accept()
            self._order("command", time.time())

    async def prepared(self) -> None:
        """Wait until the worker of the open exercise is up and no background work is left."""
        while self._background:
            await asyncio.wait(set(self._background))
        await self._preparer.done()

    # -- runs

    async def run_once(self, exercise: Exercise, bench: bool = True, sanitize: bool = False) -> Verdict:
        """One run of what is in the workspace (the starter when nothing is), recorded like any other."""
        if not await asyncio.to_thread(self.workspace.started, exercise):
            await asyncio.to_thread(self.workspace.start, exercise)
        if not self.state.current:
            self._emit(e.ExerciseOpened(exercise.id))
        return await self._job(Order(exercise, "command", time.time(), bench, sanitize=sanitize))

    async def bench_against(self, exercise: Exercise, against: Against = "baseline") -> Verdict:
        """Only the benchmark: the learner's files against the baseline or another version of them."""
        return await self._bench.pipeline.run(await comparison(next(self._run_ids), exercise, self.workspace, against))

    async def _take(self, exercise: Exercise) -> snapshot.Snapshot:
        folder = self.workspace.folder(exercise)
        return await asyncio.to_thread(snapshot.take, exercise, folder, self.workspace.root)

    def _order(self, reason: Literal["save", "open", "key", "command"], at: float, bench: bool = True) -> None:
        self._comparer.forget("ended: a run came before it")
        self._runner.order(Order(self.current(), reason, at, bench))

    def _compare(self, against: Literal["solution", "starter", "pass"]) -> None:
        self._comparer.announce(self.current(), against)
        if not self._runner.order(Order(self.current(), "key", time.time(), against=against)):
            self._comparer.forget("ended: a run came before it")

    async def _stop(self, why: str) -> None:
        await self._runner.stop(why)
        self._comparer.forget(why)

    async def _work(self, order: Order) -> object:
        """What the runner runs: a run, or a comparison, of which nothing is recorded."""
        if order.against is None:
            return await self._job(order)
        try:
            with self._preparer.paused():
                return await self._comparer.run(order.exercise, order.against)
        except TutorError as error:
            self._comparer.forget(error.message)
            return None

    async def _job(self, order: Order) -> Verdict:
        """One run from reading the files to the written progress; background work stands still meanwhile."""
        before = self.state.progress.of(order.exercise.id)
        try:
            with self._preparer.paused():
                taken = await self._take(order.exercise)
                job = Job(next(self._run_ids), order.exercise, taken, order.at, order.reason, bench=order.bench)
                verdict = await self._bench.pipeline.run(job, lambda verdict: self._keep(order, taken, verdict))
                await asyncio.shield(self._record.finished(verdict, complete=order.bench))
                # Measured once and kept: it needs the machine as much as the run did.
                if roof := await self._bench.roof.asked(verdict.bench, self.state.roof, self._watching):
                    self._emit(e.RoofKnown(roof))
        finally:
            if self._watching:
                self._preparer.start(order.exercise.toolchain)  # the plan may have asked for a header
        if (self._watching or order.sanitize) and verdict.stage != "build":
            verdict = await judged(self._bench.second_wave, self._record, job, verdict, before)
        self._bench.builder.forget_old()
        return verdict

    async def _keep(self, order: Order, taken: snapshot.Snapshot, verdict: Verdict) -> None:
        if verdict.passed and order.bench:
            await asyncio.shield(keep_pass(self.workspace, order.exercise, taken, self._emit))

    def _saved(self, paths: tuple[Path, ...], at: float) -> None:
        exercise = self.current()
        for path in paths:
            self._emit(e.SaveSeen(exercise.id, str(path), at))
        self._order("save", at)

    def _missing(self, path: Path) -> None:
        self._emit(e.FileMissing(self.state.current, str(path), unreadable=path.exists()))

    async def _start_worker(self, flavour: Flavour) -> None:
        try:
            await self._bench.zygotes.of(flavour).start()
        except TutorError as error:
            self._emit(e.Notice("error", error.message, error.remedy))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        tell_crash(task, self._fanout.crash)


def _named(at: float) -> str:
    return f"your version of {time.strftime('%H:%M:%S', time.localtime(at))}"
