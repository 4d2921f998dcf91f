"""The progress sheet: every lesson as a bar and every exercise as a sign."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tutor.core.exercise import Exercise
from tutor.core.progress import Progress
from tutor.ui.glyphs import Glyphs
from tutor.ui.pictures import share
from tutor.ui.screens.sheet import Sheet
from tutor.ui.typeset import Part, fit, pad, plural, stack
from tutor.ui.view import View

_FRAME, _TITLE, _SIGNS, _COUNT = 6, 28, 14, 6


class ProgressSheet(Sheet[None]):
    """One page; the exercises are in the order of the course."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("g", "close", "close", show=False)]

    def __init__(self, view: View) -> None:
        super().__init__("progress", "esc closes")
        self.view = view

    def content(self) -> list[Widget]:
        """The page, scrolled where the terminal is small."""
        return [VerticalScroll(Static(markup=False, id="progress-text"), id="progress")]

    def on_mount(self) -> None:
        """Arrow keys scroll."""
        self.query_one("#progress").focus()

    def on_resize(self) -> None:
        """Draw for the width."""
        self.query_one("#progress-text", Static).update(picture(self.view, max(self.size.width - _FRAME, 40)))


def picture(view: View, width: int) -> Content:
    """A row a lesson, the sum below, and what the signs mean."""
    glyphs, progress = view.glyphs, view.state.progress
    lines: list[Content | str | Part] = []
    for lesson in view.course.lessons:
        if not lesson.exercises:
            continue
        signs = "".join(sign(exercise, progress, view.exercise, glyphs) for exercise in lesson.exercises)
        done = sum(exercise.id in progress.passed for exercise in lesson.exercises)
        title = pad(fit(f"{lesson.number} {lesson.title}", _TITLE, glyphs.ellipsis), _TITLE)
        lines.append(_row(title, signs, (done, len(lesson.exercises)), width, glyphs))
    every = view.course.exercises
    done = sum(exercise.id in progress.passed for exercise in every)
    lines += ["", _row(pad("everything", _TITLE), "", (done, len(every)), width, glyphs), ""]
    lines += [(line, "dim") for line in _sums(every, progress)]
    legend = {glyphs.gold: "gold", glyphs.passed: "passed", glyphs.here: "here", glyphs.pending: "to come"}
    return stack([*lines, "", ("  ".join(f"{one} {words}" for one, words in legend.items()), "dim")])


def sign(exercise: Exercise, progress: Progress, here: Exercise | None, glyphs: Glyphs) -> str:
    """Gold, passed, here or to come."""
    if exercise.id in progress.passed:
        return glyphs.gold if is_gold(exercise, progress) else glyphs.passed
    return glyphs.here if here is not None and exercise.id == here.id else glyphs.pending


def is_gold(exercise: Exercise, progress: Progress) -> bool:
    """True when every case that has a gold mark was once that fast, and there is one."""
    marks = [(spec.case, spec.gold) for spec in exercise.bench if spec.gold]
    best = progress.of(exercise.id).best
    return bool(marks) and all(best.get(case, 0.0) >= gold for case, gold in marks)


def _row(title: str, signs: str, count: tuple[int, int], width: int, glyphs: Glyphs) -> Content:
    done, total = count
    signs = fit(signs, _SIGNS, glyphs.ellipsis)
    room = max(width - _TITLE - _SIGNS - _COUNT - 3, 6)
    style = "$success" if done == total else "$accent"
    number = f"{f'{done}/{total}':>{_COUNT}}"
    bar = share(done, total, room, glyphs)
    return Content.assemble((title, "bold"), f" {pad(signs, _SIGNS)}{number} ", (bar, style))


def _sums(every: tuple[Exercise, ...], progress: Progress) -> list[str]:
    """Gold, hints, solutions and runs, in words."""
    mine = [progress.of(exercise.id) for exercise in every]
    gold = sum(exercise.id in progress.passed and is_gold(exercise, progress) for exercise in every)
    seen = sum(one.solution_seen and not one.passed for one in mine)
    runs, hints = (sum(getattr(one, name) for one in mine) for name in ("runs", "hints"))
    words = [f"{gold} gold", plural(runs, "run"), plural(hints, "hint")]
    return [", ".join(words) + (f", {plural(seen, 'solution')} looked at before a pass" if seen else "")]
