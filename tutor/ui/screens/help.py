"""Help: every key on one page of 80x24, and what fits the moment and the panel on top."""

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
    verdict = run.judged
    if verdict is None:
        return "The last run was ended. r runs again."
    if verdict.verdict is Outcome.PASS:
        return "Passed. n goes on; d compares with the solution; you may also make it faster and save again."
    if verdict.verdict is Outcome.FAIL:
        return "Something fails. The line above the status says what to fix first; e opens it, h opens a hint."
    return "This can't run here as things are. The line above the status says what is missing; `mltutor doctor` too."


_PANELS = {
    "lessons": "Lessons: arrows move, enter opens an exercise or folds a lesson.",
    "task": "Task: what to write, what is checked; left and right move code, z widens.",
    "build": "Build: each error on your line, what it means; o has the compiler's own words.",
    "checks": "Checks: failures first, with what they expected and what your code printed.",
    "speed": "Speed: bars against target and gold, your versions, where the time went.",
    "references": "References: what each call gains, each finding with its rule and remedy.",
}


def page(view: View, panel: str = "") -> Content:
    """The sentence, one about the panel that has the focus, and two columns of keys."""
    half = (len(ACTIONS) + 1) // 2
    lines: list[Content | str | Part] = [(moment(view), ""), (_PANELS.get(panel, ""), "dim"), ""]
    for left, right in zip_longest(ACTIONS[:half], ACTIONS[half:]):
        lines.append(Content.assemble(*_cell(left, 3, 34), *_cell(right, 7, 31)))
    lines.append(("tab moves between panels, arrows scroll; F1 to F8 and F10 also work", "dim"))
    lines.append(("ctrl+z goes to the shell, fg comes back; ctrl+l draws everything again", "dim"))
    return stack(lines)


def _cell(action: Action | None, key: int, text: int) -> list[Part]:
    if action is None:
        return []
    return [(pad(shown(action.keys[0]), key), "bold $accent"), (pad(action.text, text), "")]


class HelpSheet(Sheet[None]):
    """A page of text."""

    def __init__(self, view: View, panel: str = "") -> None:
        super().__init__("help")
        self.view, self.panel = view, panel

    def content(self) -> list[Widget]:
        """The page, scrolled where the terminal is small."""
        return [VerticalScroll(Static(page(self.view, self.panel), markup=False), id="help")]

    def on_mount(self) -> None:
        """Arrow keys scroll."""
        self.query_one("#help").focus()
