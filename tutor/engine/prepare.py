"""Background work that makes later builds fast, one task at a time at low priority; stands still while a run is on."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from tutor.core.errors import TutorError
from tutor.core.events import Notice, Preparing
from tutor.core.exercise import Course, Exercise, ToolchainName
from tutor.engine.fanout import tell_crash
from tutor.engine.pipeline import Emit
from tutor.engine.process import CommandResult, ProcessTree, run_command
from tutor.toolchains.base import Command, WarmTask
from tutor.toolchains.registry import toolchain
from tutor.toolchains.settings import settings

PATIENCE = 1800.0


class Preparer:
    """Runs the warm tasks of the toolchains in lesson order, the current exercise's first."""

    def __init__(self, course: Course, emit: Emit, on_crash: Callable[[BaseException], None] | None = None) -> None:
        self._course, self._emit, self._on_crash = course, emit, on_crash
        self._first: ToolchainName | None = None
        self._tried: set[str] = set()
        self._told: set[str] = set()
        self._tree: ProcessTree | None = None
        self._locks = self._ended = False
        self._go = asyncio.Event()
        self._go.set()
        self._task: asyncio.Task[None] | None = None

    def start(self, first: ToolchainName | None = None) -> None:
        """Begin, or go on; `first` is the toolchain to prepare before all others."""
        self._first = first
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="prepare")
            if self._on_crash:
                tell_crash(self._task, self._on_crash)

    def pause(self) -> None:
        """Stop its processes where they are, so that a run has the machine."""
        self._go.clear()
        if self._tree:
            self._hold(self._tree)

    def resume(self) -> None:
        """Let them go on."""
        self._go.set()
        if self._tree:
            self._tree.signal(signal.SIGCONT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It stands still inside the block."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    async def done(self) -> None:
        """Wait until nothing is left to prepare; at once when it was never started."""
        while self._task and not self._task.done():
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """End it; what is half made is made again next time."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            await self._go.wait()
            try:
                pending = await self._pending()
            except (TutorError, OSError) as error:
                self._tell_once(f"nothing can be prepared: {error}")
                return
            if not pending:
                return
            for number, task in enumerate(pending):
                state = Preparing(task.label, "waiting", number, len(pending))
                if number:
                    self._emit(state)
            await self._make(pending[0], len(pending))

    def _tell_once(self, text: str) -> None:
        """It is asked again after every run."""
        if text not in self._told:
            self._told.add(text)
            self._emit(Notice("warning", text, "Builds work, only slower."))

    async def _pending(self) -> list[WarmTask]:
        """What is left to do, in the order of the lessons; asked anew each time, as the current exercise may change."""
        groups: dict[ToolchainName, list[Exercise]] = {}
        for exercise in self._course.exercises:
            groups.setdefault(exercise.toolchain, []).append(exercise)
        ordered = sorted(groups.items(), key=lambda group: group[0] != self._first)
        tasks = await asyncio.to_thread(_tasks, ordered)
        return [task for task in tasks if task.name not in self._tried]

    async def _make(self, task: WarmTask, total: int) -> None:
        self._tried.add(task.name)
        done = len(self._tried) - 1
        self._emit(Preparing(task.label, "running", done, done + total))
        try:
            problem = await self._steps(task)
        except (TutorError, OSError) as error:
            problem = str(error)
        if problem:
            self._emit(Preparing(task.label, "failed", done, done + total, problem))
            said = (problem.strip().splitlines() or ["no output"])[-1]
            full = os.strerror(errno.ENOSPC) in problem
            why = f"the disk of {settings().cache} is full" if full else said
            self._emit(Notice("warning", f"{task.label} could not be prepared: {why}", "Builds work, only slower."))
        else:
            self._emit(Preparing(task.label, "ready", done + 1, done + total))

    async def _steps(self, task: WarmTask) -> str:
        """'' or the output of the step that failed."""
        await asyncio.to_thread(lambda: task.target.parent.mkdir(parents=True, exist_ok=True))
        self._locks = task.locks
        for step in task.steps:
            patient = replace(step, timeout=max(step.timeout, PATIENCE))  # it may stand still for long
            result = await self._step(patient)
            while self._ended and not result.ok:
                result = await self._step(patient)
            if not result.ok:
                return result.output or f"`{step.label}` ended with {result.code}"
        return ""

    async def _step(self, step: Command) -> CommandResult:
        await self._go.wait()
        self._ended = False
        try:
            return await run_command(step, low=True, on_start=self._started)
        finally:
            self._tree = None

    def _started(self, tree: ProcessTree) -> None:
        self._tree = tree
        if not self._go.is_set():
            self._hold(tree)

    def _hold(self, tree: ProcessTree) -> None:
        """Stop it, or end it where the run's own build would wait for its lock; then it begins anew on `resume`."""
        if self._locks:
            self._ended = True
            tree.kill()
        else:
            tree.signal(signal.SIGSTOP)


def _tasks(groups: Iterable[tuple[ToolchainName, Sequence[Exercise]]]) -> list[WarmTask]:
    """The warm tasks of the toolchains that can build here."""
    found: dict[str, WarmTask] = {}
    for name, exercises in groups:
        chain = toolchain(name)
        if chain.probe().ready:
            for task in chain.warm(exercises):
                found.setdefault(task.name, task)
    return list(found.values())
