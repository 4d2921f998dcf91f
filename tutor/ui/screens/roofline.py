"""The roofline sheet: the learner's cases under what one core of this machine, or its GPU, can do at most."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tutor.core.roof import Roof, Standing, standings
from tutor.ui.glyphs import Glyphs
from tutor.ui.roofline import plot, words
from tutor.ui.screens.sheet import Sheet
from tutor.ui.typeset import Part, amount, stack, wrap
from tutor.ui.view import View

_FRAME = 6
_HEIGHT = 14


class RooflineSheet(Sheet[None]):
    """A plot, then a line or two a case."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("b", "close", "close", show=False)]

    def __init__(self, view: View, roof: Roof, cases: tuple[Standing, ...]) -> None:
        super().__init__(f"roofline: {roof.whose} of this machine", "esc closes")
        self.view, self.roof, self.cases = view, roof, cases

    def content(self) -> list[Widget]:
        """The page, scrolled where the terminal is small."""
        return [VerticalScroll(Static(markup=False, id="roofline-text"), id="roofline")]

    def on_mount(self) -> None:
        """Arrow keys scroll."""
        self.query_one("#roofline").focus()

    def on_resize(self) -> None:
        """Draw for the width."""
        width = max(self.size.width - _FRAME, 40)
        height = min(max(self.size.height - 15, 8), _HEIGHT)
        drawn = page(self.roof, self.cases, width, height, self.view.glyphs)
        self.query_one("#roofline-text", Static).update(drawn)


def page(roof: Roof, cases: tuple[Standing, ...], width: int, height: int, glyphs: Glyphs) -> Content:
    """Everything in words below the picture, so that nobody needs the picture."""
    lines: list[Content | str | Part] = list(plot(roof, cases, min(width, 100), height, glyphs))
    lines += [""] if lines else []
    for number, one in enumerate(cases, 1):
        moves, here = words(one, glyphs)
        operations = f", {one.intensity:.3g} flop a byte" if one.intensity else ""
        lines.append(Content.assemble((f"{number} {one.case}", "bold"), (f"  {one.bound}-bound{operations}", "dim")))
        lines += [f"  {row}" for row in wrap(f"{moves}: {here}", width - 2)]
    levels = ", ".join(f"{amount(size, 'B')} {amount(rate, 'B/s')}" for size, rate in roof.bandwidth)
    limits = f"measured here: {amount(roof.flops, 'flop/s')}; with so much data: {levels}"
    lines += ["", *((row, "dim") for row in wrap(limits, width))]
    return stack(lines)


def found(view: View) -> tuple[Standing, ...]:
    """The cases of the run that is shown that can be placed."""
    run = view.benched()
    return standings(run.bench if run else (), view.state.roof)
