"""The diff sheet: the learner's files beside another version, and both timed in one run where that was asked for."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tutor.core.events import Compare, Compared
from tutor.core.verdict import BenchResult
from tutor.ui.glyphs import Glyphs
from tutor.ui.host import Host
from tutor.ui.pictures import duel
from tutor.ui.screens.sheet import Sheet
from tutor.ui.typeset import Part, fit, ratio, stack
from tutor.ui.view import View
from tutor.ui.widgets.sidebyside import Row, SideBySide

Against = Literal["solution", "starter", "pass"]
NAMES: dict[Against, str] = {"solution": "solution", "starter": "starter", "pass": "last pass"}
_KEYS: dict[Against, str] = {"solution": "s solution", "starter": "t starter", "pass": "p last pass"}

_FRAME = 4


class DiffSheet(Sheet[Against]):
    """Yours at the left, the other at the right; closes with the version to compare with next."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "against('solution')", "solution", show=False),
        Binding("t", "against('starter')", "starter", show=False),
        Binding("p", "against('pass')", "last pass", show=False),
        Binding("c", "time", "time both", show=False),
        Binding("d", "close", "close", show=False),
    ]

    def __init__(self, host: Host, rows: list[Row], against: Against, timed: bool = False) -> None:
        others = "   ".join(words for name, words in _KEYS.items() if name != against)
        changed = sum(row.changed for row in rows)
        super().__init__(
            f"yours | {NAMES[against]}: {changed or 'no'} lines differ",
            f"{others}   c times both   left, right move   esc closes",
        )
        self.host, self.rows, self.against, self._timed = host, rows, against, timed
        self._asked = False
        self._shown: object = None
        self.timing = Static(markup=False, id="timing")

    def content(self) -> list[Widget]:
        """What was measured, and the two columns."""
        self.timing.display = False
        return [self.timing, SideBySide(self.host.view.glyphs, id="diff")]

    def on_mount(self) -> None:
        """Fill and focus the columns."""
        diff = self.query_one(SideBySide)
        diff.put(self.rows)
        diff.focus()
        if self._timed:
            self.action_time()

    def action_against(self, against: Against) -> None:
        """Ask for another comparison."""
        self.dismiss(against)

    def action_time(self) -> None:
        """Ask the session to time both; it answers with Compared."""
        exercise = self.host.view.exercise
        if exercise is None or not exercise.bench:
            self.host.tell("this exercise has no benchmark")
            return
        self._asked = True
        self.host.send(Compare(self.against))

    def show(self, view: View) -> None:
        """Draw what the comparison has come to, when it is the one that was asked for here."""
        compared, width = view.state.compared, self.size.width - _FRAME
        if not self._asked or compared is None or compared.against != self.against or width <= 0:
            return
        if (compared, width) != self._shown:
            self._shown = compared, width
            self.timing.display = True
            self.timing.update(timing(compared, NAMES[self.against], width, view.glyphs))


def timing(compared: Compared, other: str, width: int, glyphs: Glyphs) -> Content:
    """Two bars a case, the longer one is the slower; what is going on now, or why there is no result."""
    lines: list[Content | str | Part] = []
    for bench in compared.bench:
        lines.extend(_case(bench, other, width, glyphs))
    if not compared.done:
        lines.append((fit(f"{glyphs.running} {compared.doing}", width, glyphs.ellipsis), "$accent"))
    elif compared.message:
        lines.append((fit(f"{glyphs.error} {compared.message}", width, glyphs.ellipsis), "$warning"))
    return stack(lines)


def _case(bench: BenchResult, other: str, width: int, glyphs: Glyphs) -> list[Content | str | Part]:
    def between(low: float, high: float) -> str:
        return f"{ratio(low, '')}{glyphs.dash}{ratio(high, glyphs.times)}"

    if bench.low > 1:
        fast, style = f"yours is {ratio(bench.speedup, glyphs.times)} as fast", "$success"
        words = f"{fast} ({between(bench.low, bench.high)})"
    elif 0 < bench.high < 1:
        fast, style = f"the {other} is {ratio(1 / bench.speedup, glyphs.times)} as fast", "$warning"
        words = f"{fast} ({between(1 / bench.high, 1 / bench.low)})"
    else:
        words, style = f"no difference that can be told ({between(bench.low, bench.high)})", ""
    title = Content.assemble((bench.case, "bold"), (f"  {words}", style))
    rows = duel(bench, other, glyphs, width)
    return [title, *(Content.assemble((text, "dim"), "  ", (bar, "$accent")) for text, bar in rows)]
