"""The roofline as lines of text for both faces: a plot on logarithmic axes, and what it says of each case."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tutor.core.roof import Roof, Standing
from tutor.ui.glyphs import Glyphs
from tutor.ui.typeset import amount

_LEAD = 8
_MARKS = "123456789"
# A byte and an operation more or less far from the corner: what the axes show at least.
_AROUND = 16.0


def words(one: Standing, glyphs: Glyphs) -> tuple[str, str]:
    """`moves 21.0 MB a call at 6.21 GB/s`, and how much of what is possible here that is."""
    moves = f"moves {amount(one.size, 'B')} a call at {amount(one.rate, 'B/s')}"
    if one.bound == "arithmetic":
        here = f"{one.share:.0%} of the arithmetic of {one.whose}, at {amount(one.flops, 'flop/s')}"
    else:
        here = f"{one.share:.0%} of the {amount(one.limit, 'B/s')} that {one.whose} gets here"
    return moves, here + (": the caches held a part" if one.share > 1.05 and one.bound == "memory" else "")


def short(one: Standing) -> str:
    """The same in one phrase."""
    if one.bound == "arithmetic":
        return f"{amount(one.flops, 'flop/s')}, {one.share:.0%} of {one.whose}'s arithmetic"
    return f"{amount(one.rate, 'B/s')}, {one.share:.0%} of {one.whose}'s {amount(one.limit, 'B/s')}"


def plot(roof: Roof, cases: Sequence[Standing], width: int, height: int, glyphs: Glyphs) -> list[str]:
    """Operations a second over operations a byte: the roof as a line, each case as its number.

    Cases that declare no operations have no place in it. Where a case lies in a cache its own roof is higher.
    """
    placed = [(mark, one) for mark, one in zip(_MARKS, cases, strict=False) if one.intensity > 0]
    if not placed:
        return []
    columns, rows = max(width - _LEAD - 1, 16), max(height - 2, 5)
    left, right = _span([one.intensity for _, one in placed] + [roof.flops / roof.memory])
    top = roof.flops * 1.5
    bottom = min(min(one.flops for _, one in placed), roof.memory * left) / 1.5
    grid = [[" "] * columns for _ in range(rows)]

    def row(flops: float) -> int:
        part = math.log(max(flops, bottom) / bottom) / math.log(top / bottom)
        return rows - 1 - min(max(round(part * (rows - 1)), 0), rows - 1)

    def intensity(column: int) -> float:
        return left * math.exp(math.log(right / left) * column / (columns - 1))

    for column in range(columns):
        reach = min(roof.flops, roof.memory * intensity(column))
        grid[row(reach)][column] = glyphs.flat if reach >= roof.flops else "/"
    for mark, one in placed:
        column = round(math.log(one.intensity / left) / math.log(right / left) * (columns - 1))
        line = grid[row(one.flops)]
        # Two that fall together stand beside each other.
        free = next((c for c in range(column, columns) if line[c] not in _MARKS), columns - 1)
        line[free] = mark
    return _framed(grid, {row(roof.flops): roof.flops, rows - 1: bottom}, (left, right), glyphs)


def _span(values: list[float]) -> tuple[float, float]:
    """Powers of two around all of these."""
    low, high = min(values) / 2, max(values) * 2
    middle = math.sqrt(low * high)
    low, high = min(low, middle / _AROUND), max(high, middle * _AROUND)
    return 2.0 ** math.floor(math.log2(low)), 2.0 ** math.ceil(math.log2(high))


def _framed(grid: list[list[str]], marks: dict[int, float], ends: tuple[float, float], glyphs: Glyphs) -> list[str]:
    """The rows behind their axis, operations a second at the left, operations a byte below."""
    lines = []
    for at, cells in enumerate(grid):
        name = amount(marks[at], "").strip() if at in marks else ""
        lines.append(f"{name:>{_LEAD - 1}} {glyphs.rule}{''.join(cells)}".rstrip())
    low, high = (_power(value) for value in ends)
    columns = len(grid[0])
    middle = "flop a byte"
    scale = f"{low}{middle:^{max(columns - len(low) - len(high), len(middle))}}{high}"
    return ["  flop/s", *lines, " " * (_LEAD + 1) + scale]


def _power(value: float) -> str:
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"
