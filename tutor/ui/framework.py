"""What Textual does that we need otherwise, kept in one place: its own signs, and its slow imports."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from textual.app import App
from textual.scrollbar import ScrollBar, ScrollBarRender

from tutor.ui.glyphs import ASCII, Glyphs

if TYPE_CHECKING:
    from textual.theme import Theme
    from textual.widget import Widget
    from textual.widgets import Markdown

CUT = "cut off: the arrow keys move it"
CUT_BESIDE = f"{CUT}, z widens"


class PlainScrollBar(ScrollBarRender):
    """A scrollbar whose ends are whole cells: no block elements."""

    VERTICAL_BARS = (" ",) * 8  # type: ignore[assignment]
    HORIZONTAL_BARS = (" ",) * 8  # type: ignore[assignment]


def speak_ascii() -> None:
    """Scrollbars without block elements, for the whole process: a terminal does not learn UTF-8 later."""
    ScrollBar.renderer = PlainScrollBar


def wear(app: App[int], theme: Theme) -> None:
    """Give an app that has not started its theme: set as an attribute, it has every rule parsed a second time."""
    app.register_theme(theme)
    app.set_reactive(App.theme, theme.name)
    app.update_classes({f"-theme-{theme.name}": True, "-dark-mode": theme.dark}, update=False)
    app.stylesheet.set_variables(app.get_css_variables())


def line_width(widget: Widget) -> int:
    """Cells in a line with a blank at both ends, before it is laid out too: so that the first frame shows its text."""
    return widget.content_size.width or max(widget.app.size.width - 2, 0)


@lru_cache(maxsize=2)
def load_markdown(glyphs: Glyphs) -> type[Markdown]:
    """Textual's Markdown widget; importing it takes 0.17 s, so it is done in a thread after the first paint."""
    from textual.widgets import Markdown
    from textual.widgets._markdown import MarkdownFence

    class Fence(MarkdownFence):
        """Code and pictures are not wrapped; what is cut off says how to see it."""

        def on_resize(self) -> None:
            """Another width cuts another part, or none: known when the code in it is laid out too."""
            self.call_after_refresh(self._mark)

        def _mark(self) -> None:
            cut = self.max_scroll_x > 0
            self.set_class(cut, "-cut")
            self.border_subtitle = (CUT if self.screen.has_class("-tabs") else CUT_BESIDE) if cut else ""
            if not cut:
                self.scroll_to(x=0, animate=False)

    class OurMarkdown(Markdown):
        """With fences of our own, and lists with ASCII bullets where nothing else can be drawn."""

        BLOCKS = {**Markdown.BLOCKS, "fence": Fence, "code_block": Fence}  # noqa: RUF012 (as the framework declares it)
        BULLETS = ["* ", "- ", "+ ", "* ", "- "] if glyphs is ASCII else Markdown.BULLETS

    return OurMarkdown
