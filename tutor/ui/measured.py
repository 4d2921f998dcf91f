"""When a call held the GIL and what it kept in memory, as lines for both faces; races with what was seen of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.cells import cell_len

from tutor.core.finding import Finding
from tutor.core.history import PastRun, since
from tutor.core.verdict import CheckResult, GilReport, MemoryReport
from tutor.ui.glyphs import Glyphs
from tutor.ui.typeset import amount, clock, fit, pad, seconds

Row = TypeVar("Row", GilReport, MemoryReport)
_NAME = 24
_LEAST_STRIP = 10


def lasting(finding: Finding, past: Sequence[PastRun]) -> str:
    """Since when a defect is there: `since 14:02:31, 3 versions`; nothing for one that the newest version brought."""
    seen = since(past, finding.code, finding.type)
    return f"since {clock(seen[0].at)}, {seen[1]} versions" if seen and seen[1] > 1 else ""


def gil_reports(checks: Iterable[CheckResult]) -> list[GilReport]:
    """One row a call: the last that was measured."""
    return _last(row for check in checks for row in check.gil)


def memory_reports(checks: Iterable[CheckResult]) -> list[MemoryReport]:
    """One row a call, with the leak and the peak of whatever checks measured them."""
    rows: dict[str, MemoryReport] = {}
    for row in (row for check in checks for row in check.memory):
        before = rows.get(row.what, row)
        leaks = [one.leaked for one in (before, row) if one.leaked is not None]
        peaks = [one.peak for one in (before, row) if one.peak is not None]
        rows[row.what] = MemoryReport(row.what, max(leaks, default=None), max(peaks, default=None))
    return list(rows.values())


def gil_lines(rows: Sequence[GilReport], glyphs: Glyphs, width: int) -> list[tuple[str, str, str]]:
    """(name, strip, words) of each row, at most `width`; where they are too long the words want a line of their own.

    The strip is empty where even alone it has no room.
    """
    name = _name_width([row.what for row in rows])
    made = []
    for row in rows:
        words = (
            f"held {1 - row.released:.0%} of {seconds(row.seconds, glyphs.micro)}, "
            f"{seconds(row.longest_held, glyphs.micro)} at a stretch"
        )
        beside = width - name - cell_len(words) - 2
        room = beside if beside >= _LEAST_STRIP else width - name
        made.append((pad(fit(row.what, name - 2, glyphs.ellipsis), name), timeline(row.strip, glyphs, room), words))
    return made


def timeline(strip: Sequence[float], glyphs: Glyphs, width: int) -> str:
    """From the begin of a call to its end: full with the GIL, half in part, a low line without."""
    cells = min(width, len(strip))
    if cells < _LEAST_STRIP:
        return ""
    drawn = []
    for i in range(cells):
        part = strip[i * len(strip) // cells : max((i + 1) * len(strip) // cells, i * len(strip) // cells + 1)]
        released = sum(part) / len(part)
        drawn.append(glyphs.flat if released > 0.9 else glyphs.between if released > 0.1 else glyphs.full)
    return "".join(drawn)


def timeline_key(glyphs: Glyphs) -> str:
    """What the signs of a timeline mean."""
    return f"{glyphs.full} holds the GIL  {glyphs.between} in part  {glyphs.flat} other threads may run"


def memory_lines(rows: Sequence[MemoryReport], glyphs: Glyphs) -> list[tuple[str, str]]:
    """(name, words) of each row."""
    name = _name_width([row.what for row in rows])
    made = []
    for row in rows:
        kept = "" if row.leaked is None else f"{_bytes(row.leaked)} kept a call"
        peak = "" if row.peak is None else f"{_bytes(row.peak)} more at its peak"
        words = f" {glyphs.dot} ".join(part for part in (kept, peak) if part)
        made.append((pad(fit(row.what, name - 2, glyphs.ellipsis), name), words))
    return made


def _bytes(value: float) -> str:
    return amount(value, "B") if value else "0 B"


def _name_width(names: Sequence[str]) -> int:
    return min(max((cell_len(name) for name in names), default=0), _NAME) + 2


def _last(rows: Iterable[Row]) -> list[Row]:
    return list({row.what: row for row in rows}.values())
