"""What the keys do that show, compare or replace whole versions of the learner's files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from textual import work
from textual.screen import Screen

from tutor.core import events as e
from tutor.core.errors import TutorError
from tutor.core.exercise import Exercise
from tutor.core.versions import Version
from tutor.ui.host import Host

# The sheets are imported when they are opened: none is needed for the first paint.
if TYPE_CHECKING:
    from tutor.ui.screens.diff import Against
    from tutor.ui.widgets.listing import Line
    from tutor.ui.widgets.sidebyside import Row

P = ParamSpec("P")
T = TypeVar("T")


class VersionActions(Screen[None]):
    """Solution, diff, comparison, kept versions, reset and undo."""

    host: Host

    @property
    def exercise(self) -> Exercise | None:
        """The exercise that is open."""
        return self.host.view.exercise

    async def ask(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `read` returns, in a thread; None when it can't be read, which is told: lessons may change under us."""
        try:
            return await asyncio.to_thread(read, *args, **kwargs)
        except TutorError as error:
            self.host.tell(error.message, error.remedy, "warning")
            return None

    def _may_look(self, exercise: Exercise) -> bool:
        done = self.host.view.state.progress.of(exercise.id)
        return done.passed or done.solution_seen

    async def _asked(self, exercise: Exercise) -> bool:
        """True when the solution may be shown; asks first until the exercise has passed."""
        if not self._may_look(exercise):
            from tutor.ui.screens.confirm import Confirm

            question = "You have not passed this yet. A hint (h) may be all you need.\nShow the solution?"
            answer: bool | None = await self.app.push_screen_wait(Confirm("solution", question))
            if not answer:
                return False
        self.host.send(e.SolutionSeen())
        return True

    @work(exclusive=True, group="sheet")
    async def action_solution(self) -> None:
        """The reference, after a question."""
        from tutor.ui.screens.listings import ListingSheet

        exercise = self.exercise
        if exercise is None or not await self._asked(exercise):
            return
        lines = await self.ask(_listed, self.host.material.solution, exercise)
        if lines is not None:
            self.app.push_screen(ListingSheet(f"solution: {', '.join(exercise.files)}", lines))

    @work(exclusive=True, group="sheet")
    async def action_diff(self) -> None:
        """Side by side with the solution once it may be seen, with the starter until then."""
        await self._diff(timed=False)

    @work(exclusive=True, group="sheet")
    async def action_compare(self) -> None:
        """The same, and both timed in one run."""
        await self._diff(timed=True)

    async def _diff(self, timed: bool) -> None:
        from tutor.ui.screens.diff import DiffSheet

        exercise = self.exercise
        if exercise is None:
            return
        against: Against | None = "solution" if self._may_look(exercise) else "starter"
        while against is not None:
            if against == "solution" and not await self._asked(exercise):
                against = "starter"
            other = await self.ask(self._other, exercise, against)
            if other is None:
                return
            if not other:
                self.host.tell("no version that passed has been kept yet", "the next one that passes will be")
                against = "starter"
                continue
            rows = await asyncio.to_thread(_compared, self.host.material.learner, other, exercise)
            against = await self.app.push_screen_wait(DiffSheet(self.host, rows, against, timed))

    def _other(self, exercise: Exercise, against: Against) -> dict[str, bytes]:
        """The files of the right side; none when no pass was kept. Runs in a thread."""
        if against == "pass":
            passed = [v for v in self.host.material.versions(exercise) if v.kind == "passed"]
            return dict(passed[-1].files) if passed else {}
        return self.host.material.solution(exercise) if against == "solution" else self.host.material.starter(exercise)

    @work(exclusive=True, group="sheet")
    async def action_versions(self) -> None:
        """The kept versions; one can be brought back."""
        from tutor.ui.screens.versions import VersionsSheet

        exercise = self.exercise
        if exercise is None:
            return
        kept: tuple[Version, ...] | None = await self.ask(self.host.material.versions, exercise)
        if kept is None:
            return
        if not kept:
            self.host.tell("no other version is kept yet", "reset, undo and every pass keep one")
            return
        mine = await asyncio.to_thread(self.host.material.learner, exercise)
        number = await self.app.push_screen_wait(VersionsSheet(self.host.view, kept, mine))
        if number is not None:
            self.host.send(e.BringBack(number))

    @work(exclusive=True, group="sheet")
    async def action_reset(self) -> None:
        """Put the starter back, after a question."""
        from tutor.ui.screens.confirm import Confirm

        question = "Put the starter back? Your file is kept: u brings it back."
        answer: bool | None = await self.app.push_screen_wait(Confirm("reset", question))
        if answer:
            self.host.send(e.Reset())

    def action_undo(self) -> None:
        """Swap back what reset or undo replaced."""
        self.host.send(e.Undo())


def _listed(read: Callable[[Exercise], dict[str, bytes]], exercise: Exercise) -> list[Line]:
    """All files of an exercise under each other, coloured; runs in a thread."""
    from tutor.ui.widgets.listing import highlight

    files = read(exercise)
    lines: list[Line] = []
    for name, data in files.items():
        if len(files) > 1:
            lines.extend(highlight(f"== {name} ==\n", ""))
        lines.extend(highlight(data.decode("utf-8", "replace"), name))
    return lines


def _compared(left: Callable[[Exercise], dict[str, bytes]], right: dict[str, bytes], exercise: Exercise) -> list[Row]:
    """Rows of the learner's files and another version; reads and compares in a thread."""
    from tutor.ui.widgets.sidebyside import compare

    return compare(left(exercise), right)
