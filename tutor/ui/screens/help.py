"""Help: every key on one page of 80x24, and what fits the moment on top."""

from __future__ import annotations

from itertools import zip_longest

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tutor.core.verdict import Outcome
from tutor.ui.keys import ACTIONS, Action, shown
from tutor.ui.screens.sheet import Sheet
from tutor.ui.typeset import Part, pad, stack
from tutor.ui.view import View


def moment(view: View) -> str:
    """One sentence for where the learner stands."""
    run = view.run
    if run is None:
        return "Edit the file in your own editor and save it: every save is built, checked and measured."
    if run.active:
        return "A run is on its way. Saving again ends it and starts over with the newest text; k ends it."
    if run.build_ok is False:
        return "It does not build yet. Panel 2 shows each error on your line; e opens the first, o shows all output."
    verdict = run.verdict
    if verdict is None:
        return "The last run was ended. r runs again."
    if verdict.verdict is Outcome.PASS:
        return "Passed. n goes on; d compares with the solution; you may also make it faster and save again."
    if verdict.verdict is Outcome.FAIL:
        return "Something fails. The line above the status says what to fix first; e opens it, h opens a hint."
    return "This can't run here as things are. The line above the status says what is missing; `mltutor doctor` too."


def page(view: View) -> Content:
    """The sentence and two columns of keys."""
    half = (len(ACTIONS) + 1) // 2
    lines: list[Content | str | Part] = [(moment(view), ""), ""]
    for left, right in zip_longest(ACTIONS[:half], ACTIONS[half:]):
        lines.append(Content.assemble(*_cell(left, 3, 34), *_cell(right, 7, 31)))
    lines += ["", ("tab moves between panels, arrows and page keys scroll; F1 to F8, F10 also work", "dim")]
    return stack(lines)


def _cell(action: Action | None, key: int, text: int) -> list[Part]:
    if action is None:
        return []
    return [(pad(shown(action.keys[0]), key), "bold $accent"), (pad(action.text, text), "")]


class HelpSheet(Sheet[None]):
    """A page of text."""

    def __init__(self, view: View) -> None:
        super().__init__("help")
        self.view = view

    def content(self) -> list[Widget]:
        """The page, scrolled where the terminal is small."""
        return [VerticalScroll(Static(page(self.view), markup=False), id="help")]

    def on_mount(self) -> None:
        """Arrow keys scroll."""
        self.query_one("#help").focus()
