"""What can be typed in plain mode about versions of the learner's files: solution, diff, comparison, undo."""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import Callable, Mapping
from typing import Literal

from tutor.cli.context import Context
from tutor.cli.output import Output
from tutor.cli.render.speed import show_speed
from tutor.cli.render.tables import show_versions
from tutor.content import sources
from tutor.core import events as e
from tutor.core.errors import UsageError
from tutor.core.exercise import Exercise
from tutor.core.versions import newest_first
from tutor.engine.session import Session

Against = Literal["solution", "starter", "pass"]


class VersionCommands:
    """Each method obeys a word; `say` prints a numbered line."""

    def __init__(self, context: Context, session: Session, say: Callable[[str], None]) -> None:
        self.context, self.session, self.say = context, session, say
        self.output: Output = context.output

    async def undo(self, rest: list[str]) -> None:
        """Take a reset back, or bring a kept version back."""
        if not rest:
            await self.session.handle(e.Undo())
        elif rest[0].isdecimal():
            await self.session.handle(e.BringBack(int(rest[0])))
        else:
            self.say("undo takes the number of a version; v lists them")

    async def versions(self, _: list[str]) -> None:
        """List what is kept."""
        exercise = self.session.current()
        kept = await asyncio.to_thread(self.context.workspace.versions, exercise)
        if not kept:
            self.say("no other version is kept yet; reset, undo and every pass keep one")
            return
        mine = await asyncio.to_thread(self.context.workspace.read, exercise)
        show_versions(self.output, tuple(newest_first(kept)), mine, self.session.state.past)
        self.say("undo N brings one back; what is there now is kept")

    async def solution(self, rest: list[str]) -> None:
        """Print the solution, once it may be seen."""
        exercise = self.session.current()
        if not self._may_look(exercise) and rest != ["yes"]:
            self.say("you have not passed this yet; h may be all you need, `s yes` shows the solution")
            return
        await self.session.handle(e.SolutionSeen())
        for name, content in sources.solution_files(exercise).items():
            self.say(f"solution: {name}")
            self.output.raw(content.decode(errors="replace").rstrip("\n"))

    async def diff(self, rest: list[str]) -> None:
        """Print the lines that differ."""
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

    async def compare(self, rest: list[str]) -> None:
        """Have two versions timed in one run."""
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
