"""The base of every panel: a scrolled body that is drawn again only when what it shows has changed."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tutor.ui.typeset import Part
from tutor.ui.view import View


class Panel(VerticalScroll):
    """A titled part of the screen. Subclasses say what they depend on (`subject`) and how it looks (`draw`)."""

    TITLE = ""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self._view: View | None = None
        self._drawn: object = None
        self._width, self._height = 0, -1
        self._badge: Part = ("", "")
        self.body = Static(markup=False, classes="body")
        self.border_title = self.TITLE

    def compose(self) -> ComposeResult:
        """The one body."""
        yield self.body

    def subject(self, view: View) -> object:
        """What the drawing depends on; equal subjects are not drawn twice."""
        raise NotImplementedError

    def draw(self, view: View, width: int) -> Content:
        """The body for a width in cells."""
        raise NotImplementedError

    def badge(self, view: View) -> Part:
        """A few cells beside the title, with their style."""
        return ("", "")

    def show(self, view: View) -> None:
        """Take a new view; draws when visible and different."""
        self._view = view
        badge = self.badge(view)
        if badge != self._badge:
            self._badge = badge
            self.border_title = Content.assemble(self.TITLE, (f" {badge[0]}" if badge[0] else "", badge[1]))
        self._redraw()

    def on_resize(self) -> None:
        """Wrap for the new width."""
        self._redraw()

    def on_show(self) -> None:
        """Catch up with what happened while hidden."""
        self._redraw()

    def _redraw(self) -> None:
        # A panel that is just being shown has no size yet: drawn for its last one, its old body is never sent first.
        width = self.scrollable_content_region.width or self._width
        if self._view is None or width <= 0 or not self.display:
            return
        subject = self.subject(self._view)
        if width == self._width and subject == self._drawn:
            return
        content = self.draw(self._view, width)
        height = content.plain.count("\n")
        # Laying out again repaints all columns; a body of the same height does not need it.
        same = width == self._width and height == self._height
        self._width, self._height, self._drawn = width, height, subject
        self.body.update(content, layout=not same)
