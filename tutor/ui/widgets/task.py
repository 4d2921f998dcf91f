"""The task panel: the exercise's text, plain at first paint and as Markdown as soon as that is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from tutor.core.exercise import Exercise
from tutor.ui.framework import load_markdown
from tutor.ui.glyphs import Glyphs
from tutor.ui.typeset import clean

_STEP = 8
_SLOW = 0.3


class TaskPanel(VerticalScroll):
    """Panel 1."""

    TITLE = "Task"

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self.border_title = self.TITLE
        self._text = self._awaited = ""

    def compose(self) -> ComposeResult:
        """A plain placeholder."""
        yield Static(markup=False, classes="body", id="task-plain")

    def announce(self, exercise: Exercise) -> None:
        """Title and summary at once; the text follows."""
        self.query_one("#task-plain", Static).update(clean(f"{exercise.title}\n\n{exercise.summary}"))
        self._awaited = exercise.id
        if self.query(".task-text"):
            # Mostly the new text is there before the eye: only where it is slow the old one must not stay.
            self.set_timer(_SLOW, partial(self._show_plain, exercise.id))
        else:
            self._show_plain(exercise.id)

    def _show_plain(self, exercise: str) -> None:
        if self._awaited == exercise:
            self.query_one("#task-plain").display = True
            self.query(".task-text").set(display=False)

    async def read(self, text: str, glyphs: Glyphs) -> None:
        """Show a Markdown text from its top; an equal one is left alone."""
        if text == self._text:
            self._show_text()
            return
        self._text = text
        kind = await asyncio.to_thread(load_markdown, glyphs)
        widget = next(iter(self.query(".task-text").results(kind)), None)
        if widget is None:
            await self.mount(kind(clean(text), classes="task-text", open_links=False))
        else:
            await widget.update(clean(text))
        self._show_text()
        self.scroll_home(animate=False)

    def _show_text(self) -> None:
        self._awaited = ""
        self.query_one("#task-plain").display = False
        self.query(".task-text").set(display=True)

    def action_scroll_left(self) -> None:
        """Pictures and code that are cut move, the text is wrapped."""
        self._slide(-_STEP)

    def action_scroll_right(self) -> None:
        """The same to the other side."""
        self._slide(_STEP)

    def _slide(self, cells: int) -> None:
        for fence in self._fences():
            fence.scroll_relative(x=cells, animate=False)

    def _fences(self) -> Iterable[Widget]:
        # By its name: the class is not imported before the first paint.
        return self.query("MarkdownFence")
