"""What each key of the main screen does."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING

from textual import work

from tutor.core import events as e
from tutor.core.errors import TutorError
from tutor.core.exercise import Exercise
from tutor.ui.output import everything, said
from tutor.ui.typeset import homely
from tutor.ui.versions import VersionActions
from tutor.ui.widgets.lessons import LessonTree

if TYPE_CHECKING:
    from tutor.core.events import Notice
    from tutor.ui.editor import Launch

# What a sheet's frame and scrollbar take of the width.
_FRAME = 6


class ExerciseActions(VersionActions):
    """Actions over the exercise that is open; the layout belongs to MainScreen."""

    zoomed: bool
    lessons_hidden: bool
    tab: str

    def switch(self, name: str) -> None:
        """Bring a panel to the front."""
        raise NotImplementedError

    def lay_out(self, width: int, height: int) -> None:
        """Lay out again."""
        raise NotImplementedError

    def focused_name(self) -> str:
        """The panel that has the focus."""
        raise NotImplementedError

    def action_next(self) -> None:
        """Go on."""
        self._go(1, "this is the last exercise")

    def action_previous(self) -> None:
        """Go back."""
        self._go(-1, "this is the first exercise")

    def _go(self, step: int, otherwise: str) -> None:
        there = self.host.view.neighbour(step)
        if there is None:
            self.host.tell(otherwise)
        else:
            self.open_exercise(there.id)

    def open_exercise(self, exercise: str) -> None:
        """Turn to an exercise and run what is there."""
        self.host.send(e.Open(exercise, run=True))
        self.switch("task")

    def on_lesson_tree_chosen(self, message: LessonTree.Chosen) -> None:
        """Enter in the lesson list."""
        self.open_exercise(message.exercise)

    def action_run(self) -> None:
        """Run now."""
        self.host.send(e.Run())

    def action_stop(self) -> None:
        """End the run."""
        self.host.send(e.Stop())

    def action_panel(self, name: str) -> None:
        """Bring a panel to the front."""
        self.switch(name)

    def action_zoom(self) -> None:
        """One panel over the whole screen, or all of them."""
        if not self.zoomed and (name := self.focused_name()):
            self.tab = name
        self.zoomed = not self.zoomed
        self.lay_out(self.size.width, self.size.height)

    def action_lessons(self) -> None:
        """Show and focus the list; hide it when it has the focus."""
        if self.focused_name() == "lessons" and self.query_one("#lessons").display:
            self.lessons_hidden = True
            self.switch("task")
        else:
            self.lessons_hidden = False
            before = self.tab
            self.switch("lessons")
            if not self.has_class("-tabs"):
                self.tab = before

    @work(exclusive=True, group="sheet")
    async def action_find(self) -> None:
        """Choose from a list that typing narrows."""
        from tutor.ui.screens.find import FindSheet

        chosen = await self.app.push_screen_wait(FindSheet(self.host.view))
        if chosen:
            self.open_exercise(chosen)

    @work(exclusive=True, group="sheet")
    async def action_machine(self) -> None:
        """What this machine has, and what that means for the lessons."""
        await self._show_machine(first=False)

    @work(exclusive=True, group="sheet")
    async def welcome(self) -> None:
        """The same as the first thing that a learner sees; the run behind it goes on."""
        await self._show_machine(first=True)

    async def _show_machine(self, first: bool) -> None:
        from tutor.ui.screens.machine import MachineSheet

        found = await self.ask(self.host.material.machine, self.host.view.course)
        if found is None:
            return
        file = homely(self.host.material.path(exercise, exercise.main_file)) if (exercise := self.exercise) else ""
        self.app.push_screen(MachineSheet(self.host.view, found, first, file))

    def action_progress(self) -> None:
        """Every lesson as a bar."""
        from tutor.ui.screens.progress import ProgressSheet

        self.app.push_screen(ProgressSheet(self.host.view))

    def action_roofline(self) -> None:
        """The cases under the limits of this machine."""
        from tutor.ui.screens.roofline import RooflineSheet, found

        view = self.host.view
        measured = run.bench if (run := view.benched()) is not None else ()
        cases, roof = found(view), view.state.roof
        if cases and roof is not None:
            self.app.push_screen(RooflineSheet(view, roof, cases))
        elif any(result.bytes for result in measured):
            self.host.tell("this machine's limits are being measured", "a few seconds, once")
        elif measured:
            self.host.tell("no roofline here: no case of this exercise counts the bytes that it moves")
        elif view.exercise is not None and not view.exercise.bench:
            self.host.tell("this exercise has no benchmark")
        else:
            self.host.tell("nothing has been measured yet", "speed is measured once every check passes")

    def action_help(self) -> None:
        """The page of keys."""
        from tutor.ui.screens.help import HelpSheet

        self.app.push_screen(HelpSheet(self.host.view, self.focused_name()))

    @work(exclusive=True, group="sheet")
    async def action_hint(self) -> None:
        """Open the hints; the first press opens the first of them."""
        from tutor.ui.screens.hints import HintSheet

        exercise = self.exercise
        if exercise is None:
            return
        hints = await self.ask(self.host.material.hints, exercise)
        if hints is None:
            return
        opened = self.host.view.state.progress.of(exercise.id).hints
        if not hints:
            self.host.tell("this exercise has no hints")
            return
        # The first one; and the next where the banner has just said that this key opens it.
        offered = offer.hint if (offer := self.host.view.nudge) is not None else 0
        level = max(opened, offered, 1)
        if level > opened:
            self.host.send(e.Hint(level))
        self.app.push_screen(HintSheet(self.host, f"hints: {exercise.title}", hints, level))

    def action_raw(self) -> None:
        """All output of the newest run."""
        self._list("output", everything(self.host.view.built()))

    def action_messages(self) -> None:
        """Notices with their remedies."""
        self._list("messages", said(self._notices(), self.app.size.width - _FRAME))

    def _notices(self) -> tuple[Notice, ...]:
        """The session's that came before anybody listened, and all that have been shown."""
        told = self.host.told
        return (*(notice for notice in self.host.view.state.notices if notice not in told), *told)

    @work(exclusive=True, group="sheet")
    async def _list(self, title: str, text: str) -> None:
        from tutor.ui.screens.listings import ListingSheet
        from tutor.ui.widgets.listing import paint

        lines = await asyncio.to_thread(paint, text)
        self.app.push_screen(ListingSheet(title, lines, partial(self.host.material.keep_text, title)))

    @work(exclusive=True, group="editor")
    async def action_edit(self) -> None:
        """The learner's editor, at the line to fix first."""
        from tutor.ui.editor import launch

        exercise = self.exercise
        if exercise is None:
            return
        name, line = self._place(exercise)
        path = self.host.material.path(exercise, name)
        try:
            start = launch(os.environ, path, line, (self.app.size.width, self.app.size.height), self.host.edit_command)
            await self._start(start)
        except TutorError as error:
            self.host.tell(error.message, error.remedy, "warning")

    def _place(self, exercise: Exercise) -> tuple[str, int | None]:
        """The file and line of the finding to fix first; the main file where there is none."""
        run = self.host.view.run
        finding = run.judged.worst if run and run.judged else None
        if finding is None or self.host.view.editable(finding) is None:
            finding = next((f for f in run.findings if f.line), None) if run else None
        return self.host.view.editable(finding) or (exercise.main_file, None)

    async def _start(self, start: Launch) -> None:
        """Run the editor: beside the app, or in its place while the app sleeps and the engine goes on."""
        from tutor.engine.process import run_attached, run_beside  # after the first paint

        if start.where == "beside":
            code, words = await run_beside(start.argv)
            if code:
                self.host.tell(f"{start.argv[0]} did not start: {words}", "", "warning")
            return
        # The batch keeps every repaint back: a writer that nobody drains would block the loop.
        with self.app.batch_update(), self.app.suspend():
            await run_attached(start.argv)
