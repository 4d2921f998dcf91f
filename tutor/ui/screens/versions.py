"""The sheet of kept versions: what each changed, the marked one beside the present files, enter brings it back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tutor.core.history import speed_of
from tutor.core.versions import Version, changes, newest_first
from tutor.ui.screens.sheet import Sheet
from tutor.ui.typeset import Part, clock, ratio
from tutor.ui.view import View
from tutor.ui.widgets.sidebyside import SideBySide, compare

_DAY = 86400.0


class VersionsSheet(Sheet[int]):
    """Closes with the number of the version to bring back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "close", "close", show=False)]

    def __init__(self, view: View, kept: tuple[Version, ...], mine: Mapping[str, bytes]) -> None:
        super().__init__(
            "kept versions, and yours | the marked one",
            "enter brings it back (yours is kept)   tab to scroll below   esc closes",
        )
        self.view, self.mine = view, mine
        self.kept = tuple(newest_first(kept))

    def content(self) -> list[Widget]:
        """The list above, the two columns below."""
        return [OptionList(id="kept", markup=False), SideBySide(self.view.glyphs, id="diff")]

    def on_mount(self) -> None:
        """Fill the list; the newest that differs is marked."""
        chosen = self.query_one(OptionList)
        for version in self.kept:
            chosen.add_option(Option(self._line(version), id=str(version.number)))
        differs = (i for i, version in enumerate(self.kept) if dict(version.files) != dict(self.mine))
        chosen.highlighted = next(differs, 0)
        chosen.focus()

    def _line(self, version: Version) -> Content:
        """When, why, how far from now, and how fast it was."""
        glyphs = self.view.glyphs
        passed = version.kind == "passed"
        sign = glyphs.passed if passed else glyphs.pending  # colours would be lost on the mark's own
        why: Part = (f"{version.title:<32.32}", "bold" if passed else "")
        fast = speed_of(self.view.state.past, version.digest)
        words = f"{changes(version, self.mine).text:<16}" + (f" {ratio(fast, glyphs.times)}" if fast else "")
        return Content.assemble(sign, f" {when(version.at, self.view.now):<16} ", why, words)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show what the marked version would change."""
        self._preview(self.kept[event.option_index])

    @work(exclusive=True, group="preview")
    async def _preview(self, version: Version) -> None:
        rows = await asyncio.to_thread(compare, self.mine, version.files)
        self.query_one(SideBySide).put(rows)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or a click."""
        self.dismiss(self.kept[event.option_index].number)


def when(at: float, now: float) -> str:
    """The time of day for the last day, the date with it for what is older."""
    return clock(at) if now - at < _DAY else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
