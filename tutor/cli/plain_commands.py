"""What can be typed in plain mode: the app's keys as words, and what they print."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tutor.cli.context import Context
from tutor.cli.doctor import show_machine
from tutor.cli.output import clean
from tutor.cli.plain_versions import VersionCommands
from tutor.cli.render.tables import show_course, show_progress
from tutor.cli.render.verdict import Report, headline, show_report
from tutor.content import texts
from tutor.content.lookup import find_exercise
from tutor.core import events as e
from tutor.core.exercise import Exercise
from tutor.core.roof import standings
from tutor.core.state import State
from tutor.core.verdict import Outcome, Verdict
from tutor.engine.process import run_beside
from tutor.engine.session import Session
from tutor.toolchains.readiness import look
from tutor.ui.editor import launch
from tutor.ui.output import everything, said
from tutor.ui.roofline import plot, words

# What the app's keys are called, for hands that know them: here a word says more than a letter.
_KEYS = {"x": "reset", "u": "undo", "k": "stop", "/": "f", "help": "?", "quit": "q"}


@dataclass(frozen=True, slots=True)
class Command:
    """A word, what may follow it, what it does."""

    word: str
    rest: str
    text: str
    call: Callable[[list[str]], Awaitable[None]]


class Commands(VersionCommands):
    """Obeys one line at a time; `say` prints a numbered line, `leave` ends the watch."""

    def __init__(
        self, context: Context, session: Session, say: Callable[[str], None], leave: Callable[[], None]
    ) -> None:
        super().__init__(context, session, say)
        self._leave = leave
        made = (*self._working(), *self._looking())
        self._by_word = {command.word: command for command in made}

    def _working(self) -> tuple[Command, ...]:
        return (
            Command("r", "", "run now (an empty line too)", self._intent(e.Run())),
            Command("stop", "", "end the run", self._intent(e.Stop())),
            Command("h", "[N]", "one more hint; hint N again, once it is open", self._hint),
            Command("e", "", "your editor, where it has a window or pane of its own", self._edit),
            Command("n", "", "next exercise", self._next),
            Command("p", "", "previous exercise", self._previous),
            Command("o", "ID", "open an exercise by id, number or path; o alone is `raw`", self._open),
            Command("f", "WORDS", "find exercises", self._find),
            Command("reset", "", "put the starter back; your version is kept (x too)", self._intent(e.Reset())),
            Command("undo", "[N]", "take a reset back, or bring kept version N back (u too)", self.undo),
            Command("q", "", "quit", self._quit),
        )

    def _looking(self) -> tuple[Command, ...]:
        return (
            Command("t", "", "the task", self._task),
            Command("l", "", "all lessons, what has passed", self._lessons),
            Command("g", "", "progress: lessons, speeds, hints", self._progress),
            Command("d", "[solution|starter|pass]", "your lines that differ", self.diff),
            Command("c", "[solution|starter|pass]", "time yours and the other in one run", self.compare),
            Command("s", "[yes]", "the solution; `yes` once you really want it", self.solution),
            Command("b", "", "roofline: your cases and the bandwidth of this machine", self._roofline),
            Command("v", "", "kept versions", self.versions),
            Command("raw", "", "all that the tools and checks said, and the file it is in", self._raw),
            Command("w", "", "the last result again", self._result),
            Command("m", "", "what went wrong around your code so far, with remedies", self._messages),
            Command("i", "", "what this machine has, and what that means for the lessons", self._machine),
            Command("?", "", "this list", self._help),
        )

    async def obey(self, line: str) -> None:
        """Do what a typed line says. Raises TutorError."""
        word, *rest = line.split() or ["r"]
        command = self._by_word.get(_KEYS.get(word, word))
        if command is None:
            self.say(f"unknown: {word}; ? lists what can be typed")
            return
        await command.call(rest)
        sys.stdout.flush()

    @property
    def summary(self) -> str:
        """The words that are needed most."""
        return "r run, h hint, n next, t task, d diff, ? everything else, q quit; then Enter"

    def _intent(self, intent: e.Intent) -> Callable[[list[str]], Awaitable[None]]:
        async def send(_: list[str]) -> None:
            await self.session.handle(intent)

        return send

    async def _hint(self, rest: list[str]) -> None:
        opened = self.session.state.progress.of(self.session.state.current).hints
        if not rest:
            await self.session.handle(e.Hint())
        elif rest[0].isdecimal() and 1 <= int(rest[0]) <= opened:
            await self.session.handle(e.Hint(int(rest[0])))
        else:
            self.say("only a hint that is open can be shown again; h opens the next")

    async def _edit(self, _: list[str]) -> None:
        exercise, run = self.session.current(), self.session.state.run
        paths = dict(zip(exercise.files, self.context.workspace.paths(exercise), strict=True))
        worst = run.judged.worst if run is not None and run.judged is not None else None
        own = exercise.own(worst.file) if worst is not None else None
        name, line = (own, worst.line) if worst is not None and own is not None else (exercise.main_file, None)
        start = launch(os.environ, paths[name], line, shutil.get_terminal_size(), self.context.arguments.edit_cmd)
        if start.where == "here":
            where = self.context.shown(paths[name]) + (f", line {line}" if line else "")
            self.say(f"open it in another window: {where}")
            return
        code, said_it = await run_beside(start.argv)
        opened = f"opened {name}" + (f" at line {line}" if line else "")
        self.say(f"{start.argv[0]} did not start: {said_it}" if code else opened)

    async def _quit(self, _: list[str]) -> None:
        self._leave()

    async def _help(self, _: list[str]) -> None:
        for command in self._by_word.values():
            self.say(f"{f'{command.word} {command.rest}'.strip()}: {command.text}")

    # -- which exercise

    async def _next(self, _: list[str]) -> None:
        await self._step(1)

    async def _previous(self, _: list[str]) -> None:
        await self._step(-1)

    async def _step(self, step: int) -> None:
        there = self._neighbour(step)
        if there is None:
            self.say("there is no other exercise in that direction")
            return
        await self.session.handle(e.Open(there.id, run=True))

    def _neighbour(self, step: int) -> Exercise | None:
        every, current = self.context.course.exercises, self.session.state.current
        place = next((number for number, exercise in enumerate(every) if exercise.id == current), None)
        if place is None or not 0 <= place + step < len(every):
            return None
        return every[place + step]

    def onward(self) -> str:
        """What comes after a pass; nothing goes on by itself."""
        there = self._neighbour(1)
        if there is None:
            return "that was the last one; l lists all"
        return f"n goes on to {there.number} {there.title}: {there.summary}"

    async def _open(self, rest: list[str]) -> None:
        if not rest:
            await self._raw(rest)  # the app's key o
            return
        found = find_exercise(self.context.course, " ".join(rest), self.context.workspace.root)
        await self.session.handle(e.Open(found.id, run=True))

    async def _find(self, rest: list[str]) -> None:
        found = [exercise for exercise in self.context.course.exercises if exercise.matches(" ".join(rest))]
        for exercise in found:
            passed = ", passed" if self.session.state.progress.of(exercise.id).passed else ""
            self.say(f"{exercise.number} {exercise.id}: {exercise.title} ({exercise.technology}{passed})")
        self.say(f"{len(found)} found; o ID opens one" if found else "nothing found")

    async def _task(self, _: list[str]) -> None:
        self.output.raw(texts.readme(self.session.current()))

    async def _lessons(self, _: list[str]) -> None:
        show_course(self.output, self.context.course, self.session.state.progress)

    async def _progress(self, _: list[str]) -> None:
        show_progress(self.output, self.context.course, self.session.state.progress)

    async def _roofline(self, _: list[str]) -> None:
        run, roof = self.session.state.run, self.session.state.roof
        cases = standings(run.bench if run else (), roof)
        if not self.session.current().bench:
            self.say("this exercise has no benchmark")
            return
        if not cases or roof is None:
            self.say("no roofline yet: nothing that counts its bytes has been measured, or not yet this machine")
            return
        for number, one in enumerate(cases, 1):
            moves, here = words(one, self.output.glyphs)
            self.say(f"{number} {one.case}, {one.bound}-bound: {moves}: {here}")
        for line in plot(roof, cases, 76, 14, self.output.glyphs):
            self.output.raw(line)

    async def _machine(self, _: list[str]) -> None:
        machine = await asyncio.to_thread(look, self.context.course)
        self.say("what this machine has")
        show_machine(self.output, machine)
        self.say("nothing of this stops you: what can't run here says so and is skipped")

    async def _messages(self, _: list[str]) -> None:
        self.output.raw(said(self.session.state.notices, self.output.console.width).rstrip("\n"))

    async def _result(self, _: list[str]) -> None:
        run = self.session.state.run
        if run is None or run.judged is None:
            self.say("nothing has run to its end yet; r runs")
        else:
            await self.report(run.judged, self.session.state)

    async def report(self, verdict: Verdict, state: State) -> None:
        """What a run has shown, with the learner's lines."""
        exercise, workspace, run = self.session.exercise(verdict.exercise), self.context.workspace, state.run
        place = ", ".join(self.context.shown(path) for path in workspace.paths(exercise))
        files = await asyncio.to_thread(workspace.read, exercise)
        self.say(f"result: {headline(self.output, verdict)}")
        raw, cached, announced = (run.raw, run.cached, len(run.announced)) if run else ("", False, 0)
        show_report(
            self.output, Report(exercise, verdict, files, place, raw, cached, announced, state.past, state.roof)
        )
        if verdict.verdict is Outcome.PASS:
            self.say(self.onward())

    async def _raw(self, _: list[str]) -> None:
        text = clean(everything(self.session.state.run))
        path = await asyncio.to_thread(self.context.workspace.keep_text, "output", text)
        self.output.raw(text.rstrip("\n"))
        self.say(f"all of this is in {path}")
