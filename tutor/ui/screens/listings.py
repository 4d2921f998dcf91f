"""Sheets of source and output: the solution, everything the tools said, messages. Searched, and copied whole."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from tutor.core.errors import TutorError
from tutor.ui.screens.sheet import Sheet
from tutor.ui.typeset import homely
from tutor.ui.widgets.listing import Line, Listing

# Terminals drop an OSC 52 that is longer than some 75 KB in base64.
CLIPBOARD = 50_000


class ListingSheet(Sheet[None]):
    """Read-only lines. `keep` writes the text into a file and says where; without it nothing can be copied."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "find", show=False),
        Binding("n", "step(1)", "next", show=False),
        Binding("N,p", "step(-1)", "previous", show=False),
        Binding("y", "copy", "copy", show=False),
    ]

    def __init__(self, title: str, lines: list[Line], keep: Callable[[str], Path] | None = None) -> None:
        copies = "y copies   " if keep else ""
        # All of it fits 80 columns; that a file is kept too is said when it has been.
        super().__init__(title, f"/ finds   n N next, previous   {copies}arrows scroll   esc closes")
        self.lines, self.keep = lines, keep

    def content(self) -> list[Widget]:
        """The listing, and the line to type on, hidden until it is asked for."""
        words = Input(placeholder="find in this text", id="search")
        words.display = False
        return [Listing(id="listing"), words]

    def on_mount(self) -> None:
        """Fill and focus it."""
        listing = self.query_one(Listing)
        listing.put(self.lines)
        listing.focus()

    def action_find(self) -> None:
        """Open the line to type on."""
        words = self.query_one("#search", Input)
        words.display = True
        words.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Mark all that matches, and go to the first below."""
        self._leave_search()
        found = self.query_one(Listing).search(event.value)
        if event.value and not found:
            self._say(f"nothing here matches {event.value!r}")
        elif event.value:
            self.action_step(0)
        else:
            self._say(self.keys)

    def action_step(self, step: int) -> None:
        """The next or the previous match."""
        listing = self.query_one(Listing)
        place = listing.step(step)
        if place is not None:
            self._say(f"match {place + 1} of {listing.found}   n N next, previous   / finds   esc closes")

    def action_close(self) -> None:
        """Close the line to type on, else the sheet."""
        if self.query_one("#search").display:
            self._leave_search()
        else:
            self.dismiss(None)

    def _leave_search(self) -> None:
        self.query_one("#search").display = False
        self.query_one(Listing).focus()

    @work(exclusive=True, group="copy")
    async def action_copy(self) -> None:
        """To the terminal's clipboard as far as that takes, and wholly into a file."""
        if self.keep is None:
            return
        text = "\n".join("".join(segment.text for segment in line) for line in self.lines) + "\n"
        try:
            path = await asyncio.to_thread(self.keep, text)
        except TutorError as error:
            self._say(error.message)
            return
        self.app.copy_to_clipboard(text[-CLIPBOARD:])
        part = "" if len(text) <= CLIPBOARD else "the end "
        tmux = " (in tmux it takes: set -s set-clipboard on)" if os.environ.get("TMUX") else ""
        self._say(f"{part}copied by OSC 52{tmux}; all of it is in {homely(path)}")

    def _say(self, words: str) -> None:
        line = self.query_one(".sheet-keys", Static)
        line.update(words)
        # A path that is cut is of no use: the line grows.
        line.styles.height = "auto" if words != self.keys else 1
