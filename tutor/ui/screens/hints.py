"""The hint sheet: the hints opened so far, one more at each press of h."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from tutor.core.events import Hint
from tutor.ui.framework import load_markdown
from tutor.ui.host import Host
from tutor.ui.screens.sheet import Sheet
from tutor.ui.typeset import clean


class HintSheet(Sheet[None]):
    """A ladder: `level` hints are open."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("h,f7", "more", "one more hint", show=False)]

    def __init__(self, host: Host, title: str, hints: tuple[str, ...], level: int) -> None:
        super().__init__(title)
        self.host, self.hints, self.level = host, hints, level

    def content(self) -> list[Widget]:
        """The scrolled text."""
        return [VerticalScroll(id="hints", classes="markdown")]

    async def on_mount(self) -> None:
        """Show what is open already."""
        self.query_one("#hints").focus()
        await self.open(self.level)

    async def open(self, level: int) -> None:
        """Show hints up to `level`."""
        self.level = min(level, len(self.hints))
        scroll = self.query_one("#hints", VerticalScroll)
        kind = await asyncio.to_thread(load_markdown, self.host.view.glyphs)
        for index in range(len(scroll.children), self.level):
            text = clean(self.hints[index]).strip()
            heading = "" if text.startswith("#") else f"## Hint {index + 1}\n\n"
            await scroll.mount(kind(heading + text, open_links=False))
        scroll.scroll_end(animate=False)
        left = len(self.hints) - self.level
        more = f"h opens hint {self.level + 1} of {len(self.hints)}" if left else "all hints are open"
        self.query_one(".sheet-keys", Static).update(f"{more}   esc closes")

    def action_more(self) -> None:
        """Ask the session for the next hint; it answers with HintShown."""
        if self.level < len(self.hints):
            self.host.send(Hint(self.level + 1))
