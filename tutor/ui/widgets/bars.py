"""The three thin lines around the panels: the title on top, the tabs of a narrow screen, the keys at the bottom."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widgets import Static

from tutor.ui.framework import line_width
from tutor.ui.typeset import Part, fit, spread
from tutor.ui.view import View


class Bar(Static):
    """A line of parts that is only drawn when they differ."""

    def __init__(self, id: str, ellipsis: str) -> None:
        super().__init__(id=id, markup=False, classes="bar")
        self._ellipsis = ellipsis
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
        width = line_width(self)
        if width > 0 and (subject := (self._left, self._right, width)) != self._shown:
            self._shown = subject
            self.update(spread(self._left, self._right, width, self._ellipsis), layout=False)


def title(view: View, width: int) -> tuple[list[Part], list[Part]]:
    """Name and number of the exercise; how many have passed, and what is prepared in the background."""
    exercise = view.exercise
    left: list[Part] = [("mltutor", "bold $accent")]
    if exercise is not None:
        left += [(f"  {exercise.number} {exercise.title}", "bold"), (f"  {exercise.technology}", "dim")]
    every = view.course.exercises
    done = len(view.state.progress.passed & {one.id for one in every})
    count = f"{done}/{len(every)} passed" if width >= 40 else ""
    if exercise is not None and view.state.progress.of(exercise.id).passed:
        whole = f"  {view.glyphs.passed} passed"
        if sum(len(text) for text, _ in left) + len(whole) + len(count) + 1 <= width:
            left.append((whole, "$success"))
        else:  # in place of the technology the sign alone: the words would be cut
            left[-1] = (f"  {view.glyphs.passed}", "$success")
    room = width - sum(len(text) for text, _ in left) - len(count) - 6
    right = [*preparing(view, room), (count, "")]
    return left, right


def preparing(view: View, width: int) -> list[Part]:
    """One phrase about the background work, as long as there is room; empty when all of it is ready."""
    tasks = view.state.preparing
    failed = [task for task in tasks if task.state == "failed"]
    busy = [task for task in tasks if task.state in ("running", "waiting")]
    if busy:
        now = next((task for task in busy if task.state == "running"), busy[0])
        place = f"preparing {len(tasks) - len(busy) + 1}/{len(tasks)}"
        steps = f" {now.done}/{now.total}" if now.total else ""
        phrases = (f"{place} {now.task}{steps}", f"{place} {now.task}", place)
        return [(phrase + "  ", "dim") for phrase in phrases if len(phrase) <= width][:1]
    if failed and width >= 12:
        return [
            (fit(f"{view.glyphs.error} m: {failed[0].task} not ready", width, view.glyphs.ellipsis) + "  ", "$warning")
        ]
    return []
