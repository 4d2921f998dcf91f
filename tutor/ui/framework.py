"""What Textual does that we need otherwise, kept in one place: its own signs, and its slow imports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.scrollbar import ScrollBar, ScrollBarRender

from tutor.ui.glyphs import ASCII, Glyphs

if TYPE_CHECKING:
    from textual.widgets import Markdown


class PlainScrollBar(ScrollBarRender):
    """A scrollbar whose ends are whole cells: no block elements."""

    VERTICAL_BARS = (" ",) * 8  # type: ignore[assignment]
    HORIZONTAL_BARS = (" ",) * 8  # type: ignore[assignment]


def speak_ascii() -> None:
    """Scrollbars without block elements, for the whole process: a terminal does not learn UTF-8 later."""
    ScrollBar.renderer = PlainScrollBar


def load_markdown(glyphs: Glyphs) -> type[Markdown]:
    """Textual's Markdown widget; importing it takes 0.17 s, so it is done in a thread after the first paint."""
    from textual.widgets import Markdown

    class PlainMarkdown(Markdown):
        """Lists with ASCII bullets."""

        BULLETS = ["* ", "- ", "+ ", "* ", "- "]  # noqa: RUF012 (as the framework declares it)

    return PlainMarkdown if glyphs is ASCII else Markdown
