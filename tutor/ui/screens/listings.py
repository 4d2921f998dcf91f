"""Sheets of source and output: the solution, everything the tools said, messages."""

from __future__ import annotations

from textual.widget import Widget

from tutor.ui.screens.sheet import Sheet
from tutor.ui.widgets.listing import Line, Listing


class ListingSheet(Sheet[None]):
    """Read-only lines."""

    def __init__(
        self, title: str, lines: list[Line], keys: str = "arrows, page up and down scroll   esc closes"
    ) -> None:
        super().__init__(title, keys)
        self.lines = lines

    def content(self) -> list[Widget]:
        """The listing."""
        return [Listing(id="listing")]

    def on_mount(self) -> None:
        """Fill and focus it."""
        listing = self.query_one(Listing)
        listing.put(self.lines)
        listing.focus()
