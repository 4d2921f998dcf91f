"""Sheets of source and output: the solution, everything the tools said, messages, and the diff."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.binding import Binding, BindingType
from textual.widget import Widget

from tutor.ui.screens.sheet import Sheet
from tutor.ui.widgets.listing import Line, Listing
from tutor.ui.widgets.sidebyside import Row, SideBySide

Against = Literal["solution", "starter"]


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


class DiffSheet(Sheet[Against]):
    """The learner's files at the left, the starter or the solution at the right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "against('solution')", "solution", show=False),
        Binding("t", "against('starter')", "starter", show=False),
        Binding("d", "close", "close", show=False),
    ]

    def __init__(self, rows: list[Row], against: Against, rule: str) -> None:
        other = "t compares with the starter" if against == "solution" else "s compares with the solution"
        changed = sum(row.changed for row in rows)
        super().__init__(
            f"yours | {against}: {changed or 'no'} lines differ", f"{other}   left and right move the text   esc closes"
        )
        self.rows, self.rule = rows, rule

    def content(self) -> list[Widget]:
        """The two columns."""
        return [SideBySide(self.rule, id="diff")]

    def on_mount(self) -> None:
        """Fill and focus them."""
        diff = self.query_one(SideBySide)
        diff.put(self.rows)
        diff.focus()

    def action_against(self, against: Against) -> None:
        """Ask for the other comparison."""
        self.dismiss(against)
