"""Two versions of the learner's files beside each other, changes marked by sign and colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rich.segment import Segment
from rich.style import Style
from textual.events import Key
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tutor.ui.glyphs import UNICODE, Glyphs
from tutor.ui.widgets.listing import Line, highlight

_CONTEXT = 4
_MANY = 4000
_DIM, _BOLD = Style(dim=True), Style(bold=True)
_OLD, _NEW = Style(color="red", bold=True), Style(color="green", bold=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: number (0: none) and text of each side, whether they differ; or a heading."""

    left: int = 0
    right: int = 0
    left_line: Line | None = None
    right_line: Line | None = None
    changed: bool = False
    heading: str = ""


def compare(left: Mapping[str, bytes], right: Mapping[str, bytes], context: int = _CONTEXT) -> list[Row]:
    """Rows for all files of either side; long equal stretches are folded into a heading. Runs in a thread."""
    rows: list[Row] = []
    for name in dict.fromkeys((*left, *right)):
        texts = [side.get(name, b"").decode("utf-8", "replace") for side in (left, right)]
        if len(left) + len(right) > 2:
            rows.append(Row(heading=name))
        rows.extend(_file(texts[0], texts[1], name, context))
    return rows


def _file(left: str, right: str, name: str, context: int) -> list[Row]:
    a, b = left.splitlines(), right.splitlines()
    shown = highlight(left, name), highlight(right, name)
    matcher = SequenceMatcher(None, a[:_MANY], b[:_MANY], autojunk=len(a) + len(b) > 1000)
    rows: list[Row] = []
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        if tag == "equal":
            rows.extend(_equal(shown, a1, a2, b1, context, (a1 == 0, a2 == len(a))))
            continue
        for step in range(max(a2 - a1, b2 - b1)):
            i, j = a1 + step, b1 + step
            rows.append(_row(shown, i if i < a2 else None, j if j < b2 else None, True))
    if len(a) > _MANY or len(b) > _MANY:
        rows.append(Row(heading=f"only the first {_MANY} lines are compared"))
    return rows


def _equal(
    shown: tuple[list[Line], list[Line]], a1: int, a2: int, b1: int, context: int, edge: tuple[bool, bool]
) -> list[Row]:
    every = [_row(shown, a1 + step, b1 + step, False) for step in range(a2 - a1)]
    head, tail = 0 if edge[0] else context, 0 if edge[1] else context
    hidden = len(every) - head - tail
    if hidden <= 2:
        return every
    return [*every[:head], Row(heading=f"{hidden} equal lines"), *every[len(every) - tail :]]


def _row(shown: tuple[list[Line], list[Line]], i: int | None, j: int | None, changed: bool) -> Row:
    left = shown[0][i] if i is not None and i < len(shown[0]) else None
    right = shown[1][j] if j is not None and j < len(shown[1]) else None
    return Row(i + 1 if i is not None else 0, j + 1 if j is not None else 0, left, right, changed)


class SideBySide(ScrollView, can_focus=True):
    """Both columns scroll together; left and right keys move the text under them."""

    def __init__(self, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: Sequence[Row] = ()
        self._glyphs = glyphs
        self._shift = 0

    def put(self, rows: Sequence[Row]) -> None:
        """Show these rows from the top."""
        self._rows, self._shift = rows, 0
        self.virtual_size = Size(0, len(rows))
        self.scroll_home(animate=False)
        self.refresh()

    def on_key(self, event: Key) -> None:
        """Left and right."""
        step = {"left": -8, "right": 8}.get(event.key)
        if step is not None:
            self._shift = max(self._shift + step, 0)
            self.refresh()
            event.stop()

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        width, at = self.size.width, self.scroll_offset.y + y
        if at >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[at]
        if row.heading:
            text = f" {row.heading} ".center(width, self._glyphs.dot)
            return Strip([Segment(text, _DIM)]).crop_extend(0, width, self.rich_style)
        half = (width - 1) // 2
        left = self._cell(row.left, row.left_line, row.changed, ("-", _OLD), half)
        right = self._cell(row.right, row.right_line, row.changed, ("+", _NEW), width - half - 1)
        return Strip.join([left, Strip([Segment(self._glyphs.rule, _DIM)]), right]).apply_style(self.rich_style)

    def _cell(self, number: int, line: Line | None, changed: bool, mark: tuple[str, Style], width: int) -> Strip:
        if line is None:
            return Strip.blank(width)
        sign, style = mark if changed else (" ", _DIM)
        lead = Strip([Segment(f"{number:>4}", style if changed else _DIM), Segment(f"{sign} ", style)])
        whole, room = Strip(line), max(width - 6, 0)
        text = whole.crop_extend(self._shift, self._shift + room, None)
        if whole.cell_length > self._shift + room:
            # The right key shows the rest: say that there is one.
            text = Strip.join([text.crop(0, room - 1), Strip([Segment(self._glyphs.ellipsis, _DIM)])])
        return Strip.join([lead, text if changed else text.apply_style(_DIM)]).crop_extend(0, width, None)
