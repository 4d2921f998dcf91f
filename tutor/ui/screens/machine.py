"""The first minute: what this machine has, what is missing, what that means for which lesson. Nothing of it stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tutor.ui.glyphs import Glyphs
from tutor.ui.screens.sheet import Sheet
from tutor.ui.typeset import Part, fit, stack, wrap
from tutor.ui.view import View

if TYPE_CHECKING:
    from tutor.toolchains.doctor import DoctorLine
    from tutor.toolchains.readiness import LessonReadiness, Machine

_TITLE, _FRAME = 28, 6
_STYLES = {"ok": "$success", "limited": "$warning", "missing": "bold $error"}
# Facts that say nothing to somebody who has just come.
_QUIET = ("compiler in use", "addr2line", "Rust crates")

_WELCOME = "Each save is built, checked and measured; e opens your file, ? lists keys."


class MachineSheet(Sheet[None]):
    """One page at 80x24 where little is missing; it scrolls where more is."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space,i,n", "close", "close", show=False)]

    def __init__(self, view: View, machine: Machine, first: bool, file: str = "") -> None:
        number = view.exercise.number if view.exercise else view.course.exercises[0].number
        keys = f"enter begins with {number}, whose first verdict is on its way" if first else "esc closes"
        super().__init__("welcome: what this machine has" if first else "this machine", keys)
        self.view, self.machine, self.first, self.file = view, machine, first, file

    def content(self) -> list[Widget]:
        """The page."""
        return [VerticalScroll(Static(markup=False, id="machine-text"), id="machine")]

    def on_mount(self) -> None:
        """Arrow keys scroll."""
        self.query_one("#machine").focus()

    def on_resize(self) -> None:
        """Wrap for the width."""
        width = max(self.size.width - _FRAME, 20)
        page = machine_page(self.machine, width, self.view.glyphs)
        if self.first:
            where = wrap(f"your file: {self.file}", width) if self.file else ()
            page = stack([*((row, "bold") for row in wrap(_WELCOME, width)), *where, "", page])
        self.query_one("#machine-text", Static).update(page)


def machine_page(machine: Machine, width: int, glyphs: Glyphs) -> Content:
    """What is here in a few lines, a line a lesson, and for what is missing the way to get it."""
    lines: list[Content | str | Part] = []
    there = ", ".join(_short(line) for line in machine.here if line.name not in _QUIET)
    lines += _named(f"{glyphs.passed} here", there or "nothing", "$success", width)
    wanting = machine.wanting
    if wanting:
        lines += _named(f"{glyphs.failed} not here", ", ".join(x.name for x in wanting), "$warning", width)
    lines.append("")
    for lesson in machine.lessons:
        lines += _lesson(lesson, width, glyphs)
    lines.append(("Nothing of this stops you: what can't run here says so and is skipped.", "dim"))
    for line in wanting:
        lines += ["", *_remedy(line, width, glyphs)]
    return stack(lines)


def _short(line: DoctorLine) -> str:
    """`clang 16.0.6`: the first name and version, without paths."""
    name, version = line.name.partition(",")[0], line.found.partition(" at ")[0].partition(",")[0]
    return f"{name} {version}" if version[:1].isdigit() else name


def _named(name: str, words: str, style: str, width: int) -> list[Content | str | Part]:
    lead = 12
    rows = wrap(words, width - lead)
    first = Content.assemble((f"{name:<{lead}}", style), rows[0])
    return [first, *(" " * lead + row for row in rows[1:])]


def _lesson(lesson: LessonReadiness, width: int, glyphs: Glyphs) -> list[Content | str | Part]:
    sign = {"ok": glyphs.passed, "limited": glyphs.unsure, "missing": glyphs.failed}[lesson.status]
    name = f"{lesson.number} {fit(lesson.title, _TITLE - 2, glyphs.ellipsis)}"
    rows = wrap(lesson.text, max(width - _TITLE - 3, 20))
    head = Content.assemble((f"{sign} ", _STYLES[lesson.status]), (f"{name:<{_TITLE}} ", "bold"), (rows[0], "dim"))
    return [head, *((" " * (_TITLE + 3) + row, "dim") for row in rows[1:])]


def _remedy(line: DoctorLine, width: int, glyphs: Glyphs) -> list[Content | str | Part]:
    what = ": ".join(part for part in (line.found, line.meaning) if part)
    rows = wrap(what, width - len(line.name) - 2)
    made: list[Content | str | Part] = [Content.assemble((line.name, "bold"), f"  {rows[0]}")]
    made += [" " * (len(line.name) + 2) + row for row in rows[1:]]
    for at, row in enumerate(wrap(line.remedy, width - 4) if line.remedy else ()):
        made.append((f"  {' ' if at else glyphs.arrow} {row}", "$accent"))
    return made
