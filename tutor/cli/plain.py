"""Watch mode as numbered lines: for screen readers, logs, and terminals that can't draw."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from msgspec.structs import replace

from tutor.cli.context import Context
from tutor.cli.output import Output
from tutor.cli.plain_commands import Commands
from tutor.cli.typed import typed_lines
from tutor.content import texts
from tutor.core import events as e
from tutor.core.errors import TutorError
from tutor.core.exercise import ALL_THE_SAME, Exercise
from tutor.core.history import past_run
from tutor.core.nudge import nudge
from tutor.core.state import State
from tutor.engine.session import Session


class PlainWatch:
    """One session told line by line; commands are read from stdin, and its end leaves the session running."""

    def __init__(self, context: Context, session: Session) -> None:
        self.context, self.session = context, session
        self.output: Output = context.output
        self._line = 0
        self._done = asyncio.Event()
        self.commands = Commands(context, session, self.say, self._done.set)

    async def run(self, exercise: Exercise, reason: str) -> int:
        """Open the exercise, tell what happens until `q`, Ctrl+C or SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._done.set)
        self.say(f"mltutor watches in plain mode ({reason}); {self.commands.summary}")
        follower = asyncio.create_task(self._follow())
        ended = asyncio.create_task(self._done.wait())
        progress = self.session.state.progress
        if not progress.current and not progress.exercises and not self.output.as_json:
            await self.commands.obey("i")
        await self.session.handle(e.Open(exercise.id, run=True))
        # What is typed before waits: it is about the exercise.
        reader = asyncio.create_task(self._read())
        reader.add_done_callback(lambda task: None if task.cancelled() or not task.exception() else self._done.set())
        await asyncio.wait({follower, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (reader, follower, ended):
            task.cancel()
        results = await asyncio.gather(reader, follower, ended, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        return 0

    def say(self, text: str) -> None:
        """One numbered line with the time of day."""
        self._line += 1
        if not self.output.as_json:
            self.output.raw(f"{self._line:03d} {time.strftime('%H:%M:%S')} {text}")
            sys.stdout.flush()

    async def _follow(self) -> None:
        async for event, state in self.session.events():
            if isinstance(event, e.RunFinished):
                await self._show(event, state)
            elif isinstance(event, e.ExerciseOpened):
                self._opened(event, state)
            elif isinstance(event, e.HintShown):
                self._hint(event)
            elif isinstance(event, e.Compared):
                self._compared(event)
            elif isinstance(event, e.PastRuns):
                await self._nudge(event, state)
            elif isinstance(event, e.Examined):
                self._examined(event, state)
            else:
                text = describe(event)
                if text:
                    self.say(text)

    def _opened(self, event: e.ExerciseOpened, state: State) -> None:
        exercise = self.session.exercise(event.exercise)
        self.say(f"exercise {exercise.number} {exercise.title} ({exercise.id})")
        for path in self.context.workspace.paths(exercise):
            self.say(f"your file: {self.context.shown(path)}")
        if advice := self.context.course.advice(exercise, state.progress):
            self.say(f"{advice}: {ALL_THE_SAME}")

    async def _show(self, event: e.RunFinished, state: State) -> None:
        verdict = event.verdict
        if self.output.as_json:
            self.output.document(verdict.document())
            sys.stdout.flush()
            return
        # The run is not in the past yet that the state knows.
        await self.commands.report(verdict, replace(state, past=(*state.past, past_run(time.time(), verdict))))
        sys.stdout.flush()

    def _examined(self, event: e.Examined, state: State) -> None:
        """What a sanitizer says; and that a pass is none any more, once one has found something."""
        if text := describe(event):
            self.say(text)
        run = state.run
        if run is None or run.verdict is None or run.judged is None or event.state != "found":
            return
        if self.output.as_json:
            self.output.document(run.judged.document())
            sys.stdout.flush()
        elif run.verdict.passed and not run.judged.passed:
            worst = run.judged.worst
            first = f"; first mend {worst.place}: {worst.message}" if worst is not None else ""
            self.say(f"result: no longer passed{first}")

    async def _nudge(self, event: e.PastRuns, state: State) -> None:
        """After a run: one line once the same thing has failed in several versions."""
        if state.run is None or state.run.verdict is None or not event.runs:
            return
        hints = await asyncio.to_thread(texts.hints, self.session.exercise(event.exercise))
        offer = nudge(event.runs, state.progress.of(event.exercise).hints, len(hints))
        if offer is not None:
            self.say(offer.text)

    def _compared(self, event: e.Compared) -> None:
        """What a comparison does now, and its result."""
        if event.done and not self.output.as_json:
            self.commands.compared(event)
        elif not event.done and not event.bench:
            self.say(f"comparison: {event.doing}")

    def _hint(self, event: e.HintShown) -> None:
        hints = texts.hints(self.session.exercise(event.exercise))
        self.say(f"hint {event.level} of {len(hints)}")
        if not self.output.as_json:
            self.output.raw(hints[event.level - 1])
            if event.level > 1:
                self.say("h N shows hint N again")
            sys.stdout.flush()

    async def _read(self) -> None:
        async for line in typed_lines():
            try:
                await self.commands.obey(line)
            except TutorError as error:
                self.say(f"{error.message}; {error.remedy}" if error.remedy else error.message)


def describe(event: e.Event) -> str:
    """What a person must know of an event, in one line; nothing for the others."""
    match event:
        case e.SaveSeen(path=path):
            return f"saved: {os.path.basename(path)}"
        case e.FileMissing(path=path, unreadable=True):
            return f"can't be read: {path}; look at its owner and permissions, then save"
        case e.FileMissing(path=path):
            return f"missing: {path}; save it again, or `reset` brings the starter back"
        case e.WatchStatus(how=how, reason=reason):
            return f"watching by {how}" + (f": {reason}" if reason else "")
        case e.StageStarted(stage=stage, detail=detail):
            return f"{stage}: {detail}" if detail else f"{stage}"
        case e.RunCancelled(reason=reason):
            return f"run ended: {reason}" if reason else "run ended"
        case e.FilesReplaced(exercise=exercise, label=label):
            return f"{exercise}: your files are now: {label}"
        case e.Preparing(state="failed", task=task, message=message):
            return f"could not prepare {task}: {message}"
        case e.Examined() | e.Notice():
            return _told(event)
        case _:
            return ""


def _told(event: e.Examined | e.Notice) -> str:
    if isinstance(event, e.Notice):
        return f"{event.level}: {event.text}" + (f"; {event.remedy}" if event.remedy else "")
    if event.state == "running":
        return ""
    found = (f"{one.place}: {one.code}: {one.message}" for one in event.findings)
    return "; ".join((f"{event.title}: {event.message or event.state}", *found))


def run_plain(context: Context, exercise: Exercise, reason: str) -> int:
    """Watch in plain mode until the learner leaves; the exit code."""
    return asyncio.run(_run(context, exercise, reason))


async def _run(context: Context, exercise: Exercise, reason: str) -> int:
    async with Session(context.course, context.workspace, context.home, context.launcher) as session:
        return await PlainWatch(context, session).run(exercise, reason)
