"""The task panel: the exercise's text, plain at first paint and as Markdown as soon as that is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from tutor.core.exercise import Exercise
from tutor.ui.framework import load_markdown
from tutor.ui.glyphs import Glyphs
from tutor.ui.typeset import clean

_STEP = 8


class TaskPanel(VerticalScroll):
    """Panel 1."""

    TITLE = "Task"

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self.border_title = self.TITLE
        self._text = ""

    def compose(self) -> ComposeResult:
        """A plain placeholder."""
        yield Static(markup=False, classes="body", id="task-plain")

    def announce(self, exercise: Exercise) -> None:
        """Title and summary at once; the text follows."""
        plain = self.query_one("#task-plain", Static)
        plain.update(clean(f"{exercise.title}\n\n{exercise.summary}"))
        plain.display = not self.query(".task-text")

    async def read(self, text: str, glyphs: Glyphs) -> None:
        """Show a Markdown text from its top; an equal one is left alone."""
        if text == self._text:
            return
        self._text = text
        kind = await asyncio.to_thread(load_markdown, glyphs)
        widget = next(iter(self.query(".task-text").results(kind)), None)
        if widget is None:
            await self.mount(kind(clean(text), classes="task-text", open_links=False))
        else:
            await widget.update(clean(text))
        self.query_one("#task-plain").display = False
        self.scroll_home(animate=False)

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
