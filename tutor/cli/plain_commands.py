"""What can be typed in plain mode: the app's keys as words, and what they print."""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from tutor.cli.context import Context
from tutor.cli.doctor import show_machine
from tutor.cli.output import Output, clean
from tutor.cli.render.speed import show_speed
from tutor.cli.render.tables import show_course, show_progress, show_versions
from tutor.content import sources, texts
from tutor.content.lookup import find_exercise
from tutor.core import events as e
from tutor.core.errors import UsageError
from tutor.core.exercise import Exercise
from tutor.core.roof import standings
from tutor.core.versions import newest_first
from tutor.engine.session import Session
from tutor.toolchains.readiness import look
from tutor.ui.output import everything
from tutor.ui.roofline import plot, words

# What the app's keys are called, for hands that know them: here a word says more than a letter.
_KEYS = {"x": "reset", "u": "undo", "k": "stop", "/": "f", "help": "?", "quit": "q"}
Against = Literal["solution", "starter", "pass"]


@dataclass(frozen=True, slots=True)
class Command:
    """A word, what may follow it, what it does."""

    word: str
    rest: str
    text: str
    call: Callable[[list[str]], Awaitable[None]]


class Commands:
    """Obeys one line at a time; `say` prints a numbered line, `leave` ends the watch."""

    def __init__(
        self, context: Context, session: Session, say: Callable[[str], None], leave: Callable[[], None]
    ) -> None:
        self.context, self.session, self.say, self._leave = context, session, say, leave
        self.output: Output = context.output
        made = (*self._working(), *self._looking())
        self._by_word = {command.word: command for command in made}

    def _working(self) -> tuple[Command, ...]:
        return (
            Command("r", "", "run now (an empty line too)", self._intent(e.Run())),
            Command("stop", "", "end the run", self._intent(e.Stop())),
            Command("h", "", "one more hint", self._intent(e.Hint())),
            Command("n", "", "next exercise", self._next),
            Command("p", "", "previous exercise", self._previous),
            Command("o", "ID", "open an exercise by id, number or path; o alone is `raw`", self._open),
            Command("f", "WORDS", "find exercises", self._find),
            Command("reset", "", "put the starter back; your version is kept (x too)", self._intent(e.Reset())),
            Command("undo", "[N]", "take a reset back, or bring kept version N back (u too)", self._undo),
            Command("q", "", "quit", self._quit),
        )

    def _looking(self) -> tuple[Command, ...]:
        return (
            Command("t", "", "the task", self._task),
            Command("l", "", "all lessons, what has passed", self._lessons),
            Command("g", "", "progress: lessons, speeds, hints", self._progress),
            Command("d", "[solution|starter|pass]", "your lines that differ", self._diff),
            Command("c", "[solution|starter|pass]", "time yours and the other in one run", self._compare),
            Command("s", "[yes]", "the solution; `yes` once you really want it", self._solution),
            Command("b", "", "roofline: your cases and the bandwidth of this machine", self._roofline),
            Command("v", "", "kept versions", self._versions),
            Command("raw", "", "all that the tools and checks said, and the file it is in", self._raw),
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
        every = self.context.course.exercises
        place = [exercise.id for exercise in every].index(self.session.state.current) + step
        return every[place] if 0 <= place < len(every) else None

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

    async def _raw(self, _: list[str]) -> None:
        text = clean(everything(self.session.state.run))
        path = await asyncio.to_thread(self.context.workspace.keep_text, "output", text)
        self.output.raw(text.rstrip("\n"))
        self.say(f"all of this is in {path}")

    # -- versions of the files

    async def _undo(self, rest: list[str]) -> None:
        if not rest:
            await self.session.handle(e.Undo())
        elif rest[0].isdigit():
            await self.session.handle(e.BringBack(int(rest[0])))
        else:
            self.say("undo takes the number of a version; v lists them")

    async def _versions(self, _: list[str]) -> None:
        exercise = self.session.current()
        kept = await asyncio.to_thread(self.context.workspace.versions, exercise)
        if not kept:
            self.say("no other version is kept yet; reset, undo and every pass keep one")
            return
        mine = await asyncio.to_thread(self.context.workspace.read, exercise)
        show_versions(self.output, tuple(newest_first(kept)), mine, self.session.state.past)
        self.say("undo N brings one back; what is there now is kept")

    async def _solution(self, rest: list[str]) -> None:
        exercise = self.session.current()
        if not self._may_look(exercise) and rest != ["yes"]:
            self.say("you have not passed this yet; h may be all you need, `s yes` shows the solution")
            return
        await self.session.handle(e.SolutionSeen())
        for name, content in sources.solution_files(exercise).items():
            self.say(f"solution: {name}")
            self.output.raw(content.decode(errors="replace").rstrip("\n"))

    async def _diff(self, rest: list[str]) -> None:
        exercise = self.session.current()
        against = self._against(exercise, rest)
        if against is None:
            return
        mine = await asyncio.to_thread(self.context.workspace.read, exercise)
        other = await asyncio.to_thread(self._files, exercise, against)
        self.say(f"diff: lines with - are yours, with + the {against}'s")
        self._show_diff(mine, other)

    def _show_diff(self, mine: Mapping[str, bytes], other: Mapping[str, bytes]) -> None:
        for name in other:
            left, right = (side.get(name, b"").decode(errors="replace").splitlines() for side in (mine, other))
            lines = list(difflib.unified_diff(left, right, lineterm="", n=2))[2:]
            self.output.raw(f"{name}: {'no difference' if not lines else f'{len(lines)} lines'}")
            for line in lines:
                self.output.raw(line)

    async def _compare(self, rest: list[str]) -> None:
        against = self._against(self.session.current(), rest)
        if against is not None:
            await self.session.handle(e.Compare(against))

    def compared(self, event: e.Compared) -> None:
        """The session's answer to `c`, once it is over."""
        if event.message:
            self.say(f"comparison: {event.message}")
        if event.bench:
            self.say(f"yours beside the {event.bench[0].against}")
            show_speed(self.output, event.bench)
            sys.stdout.flush()

    def _may_look(self, exercise: Exercise) -> bool:
        done = self.session.state.progress.of(exercise.id)
        return done.passed or done.solution_seen

    def _against(self, exercise: Exercise, rest: list[str]) -> Against | None:
        """What to compare with: the solution only where it may be seen. Raises UsageError."""
        free = self._may_look(exercise)
        match rest:
            case []:
                return "solution" if free else "starter"
            case ["starter"]:
                return "starter"
            case ["pass"]:
                return "pass"
            case ["solution"] if free:
                return "solution"
            case ["solution"]:
                self.say("you have not passed this yet; `s yes` shows the solution, then it can be compared with")
                return None
        raise UsageError("compare with solution, starter or pass")

    def _files(self, exercise: Exercise, against: Against) -> Mapping[str, bytes]:
        if against == "pass":
            return self.context.workspace.last_pass(exercise).files
        return sources.solution_files(exercise) if against == "solution" else sources.starter_files(exercise)
