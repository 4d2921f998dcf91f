"""The status line: how saves are noticed, the last one seen, what runs now, how long the last verdict took."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tutor.ui.framework import line_width
from tutor.ui.typeset import Part, clock, fit, seconds
from tutor.ui.view import View

_DOING = {"build": "building", "check": "checking", "diagnose": "diagnosing", "bench": "measuring"}
# Cells of what runs now: with room for it the facts behind it stay where they are from stage to stage.
_ROOM = 16


class StatusLine(Static):
    """One line at the bottom; drawn again only when a word differs."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._view: View | None = None
        self._shown: object = None

    def show(self, view: View) -> None:
        """Take a new view."""
        self._view = view
        self._draw()

    def on_resize(self) -> None:
        """Fit the new width."""
        self._draw()

    def _draw(self) -> None:
        width = line_width(self)
        if self._view is None or width <= 0:
            return
        parts = status(self._view, width)
        if parts != self._shown:
            self._shown = parts
            self.update(Content.assemble(*parts), layout=False)


def status(view: View, width: int) -> tuple[Part, ...]:
    """The facts by importance; the ones that don't fit are shortened, then the last are cut."""
    rule: Part = (f" {view.glyphs.rule} ", "dim")
    for terse, room in ((False, _ROOM), (False, 0), (True, _ROOM), (True, 0)):
        facts = _facts(view, terse, room)
        line = [part for fact in facts for part in (rule, fact)][1:]
        if sum(len(text) for text, _ in line) <= width:
            return tuple(line)
    cut: list[Part] = []
    for text, style in line:
        text = fit(text, width, view.glyphs.ellipsis)
        width -= len(text)
        cut.append((text, style))
    return tuple(cut)


def _facts(view: View, terse: bool, room: int) -> list[Part]:
    watch = view.state.watch
    how = watch.how.replace(" ", "") if terse else f"watching by {watch.how}"
    if watch.reason and not terse:
        how += f" ({watch.reason})"
    saved = view.state.last_save
    took = view.last_seconds
    every: list[Part] = [
        _now(view, terse, room),
        ("r runs now", "bold" if not view.running else "dim"),
        (("saved " if terse else "last save ") + (clock(saved) if saved else "never" if terse else "not seen yet"), ""),
        (how, "$warning" if watch.how == "off" else ""),
    ]
    if took is not None:
        every.insert(2, (f"verdict {'' if terse else 'took '}{seconds(took, view.glyphs.micro)}", ""))
    return every


def _now(view: View, terse: bool, room: int) -> Part:
    run = view.run
    if run is None or not run.active:
        return (("idle" if view.connected else "starting").ljust(room), "")
    detail = f" {run.detail}" if run.detail and not terse else ""
    # Whole seconds: a finer clock would send a line over SSH ten times a second.
    # Who has waited for ten of them waits in steps of five.
    elapsed = int(max(view.now - run.saved_at, 0.0))
    elapsed -= elapsed % 5 if elapsed > 10 else 0
    return (
        f"{view.glyphs.running} {_DOING[run.stage]}{fit(detail, 32, view.glyphs.ellipsis)} {elapsed} s".ljust(room),
        "bold $accent",
    )
