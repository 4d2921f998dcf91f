"""The three thin lines around the panels: the title on top, the tabs of a narrow screen, the keys at the bottom."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widgets import Static

from tutor.ui.typeset import Part, fit, spread
from tutor.ui.view import View


class Bar(Static):
    """A line of parts that is only drawn when they differ."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False, classes="bar")
        self._left: tuple[Part, ...] = ()
        self._right: tuple[Part, ...] = ()
        self._shown: object = None

    def put(self, left: Iterable[Part], right: Iterable[Part] = ()) -> None:
        """Show these parts at the left and the right edge."""
        self._left, self._right = tuple(left), tuple(right)
        self._draw()

    def on_resize(self) -> None:
        """Fit the new width."""
        self._draw()

    def _draw(self) -> None:
        width = self.content_size.width
        if width > 0 and (subject := (self._left, self._right, width)) != self._shown:
            self._shown = subject
            self.update(spread(self._left, self._right, width), layout=False)


def title(view: View, width: int) -> tuple[list[Part], list[Part]]:
    """Name and number of the exercise; how many have passed, and what is prepared in the background."""
    exercise = view.exercise
    left: list[Part] = [("mltutor", "bold $accent")]
    if exercise is not None:
        left += [(f"  {exercise.number} {exercise.title}", "bold"), (f"  {exercise.toolchain}", "dim")]
        if view.state.progress.of(exercise.id).passed:
            left.append((f"  {view.glyphs.passed} passed", "$success"))
    every = view.course.exercises
    done = len(view.state.progress.passed & {one.id for one in every})
    right = preparing(view, max(width // 3, 12))
    if width >= 40:
        right.append((f"{done}/{len(every)} passed", ""))
    return left, right


def preparing(view: View, width: int) -> list[Part]:
    """One phrase about the background work; empty when all of it is ready."""
    tasks = view.state.preparing
    failed = [task for task in tasks if task.state == "failed"]
    busy = [task for task in tasks if task.state in ("running", "waiting")]
    if busy:
        now = next((task for task in busy if task.state == "running"), busy[0])
        steps = f" {now.done}/{now.total}" if now.total else ""
        ready = len(tasks) - len(busy)
        text = f"preparing {ready + 1}/{len(tasks)} {now.task}{steps}"
        return [(fit(text, width, view.glyphs.ellipsis) + "  ", "dim")]
    if failed:
        return [
            (fit(f"{view.glyphs.error} {failed[0].task} not ready: m", width, view.glyphs.ellipsis) + "  ", "$warning")
        ]
    return []
