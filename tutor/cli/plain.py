"""Watch mode as numbered lines: for screen readers, logs, and terminals that can't draw."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

from tutor.cli.context import Context
from tutor.cli.output import Output
from tutor.cli.render.verdict import Report, show_report
from tutor.content import texts
from tutor.content.course import find_exercise
from tutor.core import events as e
from tutor.core.errors import TutorError
from tutor.core.exercise import Exercise
from tutor.core.state import State
from tutor.engine.session import Session

HELP = "r run, h hint, n next, p previous, o ID open, t text, reset, undo, stop, ? help, q quit; then Enter"


class PlainWatch:
    """One session told line by line; commands are read from stdin, and its end leaves the session running."""

    def __init__(self, context: Context, session: Session) -> None:
        self.context, self.session = context, session
        self.output: Output = context.output
        self._line = 0
        self._done = asyncio.Event()

    async def run(self, exercise: Exercise, reason: str) -> int:
        """Open the exercise, tell what happens until `q`, Ctrl+C or SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._done.set)
        self.say(f"mltutor watches in plain mode ({reason}); {HELP}")
        follower = asyncio.create_task(self._follow())
        reader = asyncio.create_task(self._read())
        ended = asyncio.create_task(self._done.wait())
        await self.session.handle(e.Open(exercise.id, run=True))
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
            elif isinstance(event, e.HintShown):
                self._hint(event)
            else:
                text = describe(event)
                if text:
                    self.say(text)

    async def _show(self, event: e.RunFinished, state: State) -> None:
        verdict = event.verdict
        if self.output.as_json:
            self.output.document(verdict.document())
            sys.stdout.flush()
            return
        exercise = self.session.exercise(verdict.exercise)
        workspace, run = self.context.workspace, state.run
        place = ", ".join(self.context.shown(path) for path in workspace.paths(exercise))
        files = await asyncio.to_thread(workspace.read, exercise)
        self.say("result")
        raw, cached, announced = (run.raw, run.cached, len(run.announced)) if run else ("", False, 0)
        show_report(self.output, Report(exercise, verdict, files, place, raw, cached, announced))
        sys.stdout.flush()

    def _hint(self, event: e.HintShown) -> None:
        hints = texts.hints(self.session.exercise(event.exercise))
        self.say(f"hint {event.level} of {len(hints)}")
        if not self.output.as_json:
            self.output.raw(hints[event.level - 1])
            sys.stdout.flush()

    async def _read(self) -> None:
        async for line in _lines():
            words = line.split()
            try:
                await self._obey(words[0] if words else "r", words[1:])
            except TutorError as error:
                self.say(f"{error.message}; {error.remedy}" if error.remedy else error.message)

    async def _obey(self, word: str, rest: list[str]) -> None:
        intents: dict[str, e.Intent] = {
            "r": e.Run(),
            "h": e.Hint(),
            "reset": e.Reset(),
            "undo": e.Undo(),
            "stop": e.Stop(),
        }
        if word == "q":
            self._done.set()
        elif word in intents:
            await self.session.handle(intents[word])
        elif word in ("n", "p", "o"):
            await self._turn_to(word, rest)
        elif word == "t":
            self.output.raw(texts.readme(self.session.current()))
            sys.stdout.flush()
        else:
            self.say(HELP if word == "?" else f"unknown: {word}; {HELP}")

    async def _turn_to(self, word: str, rest: list[str]) -> None:
        course = self.context.course
        if word == "o":
            found = find_exercise(course, " ".join(rest), self.context.workspace.root)
        else:
            ids = [exercise.id for exercise in course.exercises]
            place = ids.index(self.session.state.current) + (1 if word == "n" else -1)
            if not 0 <= place < len(ids):
                self.say("there is no other exercise in that direction")
                return
            found = course.exercises[place]
        await self.session.handle(e.Open(found.id, run=True))


def describe(event: e.Event) -> str:
    """What a person must know of an event, in one line; nothing for the others."""
    match event:
        case e.ExerciseOpened(exercise=exercise):
            return f"exercise {exercise}"
        case e.SaveSeen(path=path):
            return f"saved: {os.path.basename(path)}"
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


async def _lines() -> AsyncIterator[str]:
    """Lines of stdin; ends with it. A stdin that can't be waited for (a closed one, a plain file) is read at once."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    except (OSError, ValueError, AttributeError):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            for line in sys.stdin:
                yield line
        return
    while line_bytes := await reader.readline():
        yield line_bytes.decode(errors="replace")


def run_plain(context: Context, exercise: Exercise, reason: str) -> int:
    """Watch in plain mode until the learner leaves; the exit code."""
    return asyncio.run(_run(context, exercise, reason))


async def _run(context: Context, exercise: Exercise, reason: str) -> int:
    async with Session(context.course, context.workspace, context.home, context.launcher) as session:
        return await PlainWatch(context, session).run(exercise, reason)
