"""Timelines of the GIL and rows of memory, as both faces draw them."""

from __future__ import annotations

import pytest

from tutor.core.verdict import CheckResult, GilReport, MemoryReport, Outcome
from tutor.ui.glyphs import ASCII, UNICODE
from tutor.ui.measured import gil_lines, gil_reports, memory_lines, memory_reports, timeline
from tutor.worker.fixtures.gil import strip


@pytest.mark.parametrize(
    ("spans", "wanted"),
    [
        ([], (0.0, 0.0, 0.0, 0.0)),
        ([(0, 100)], (1.0, 1.0, 1.0, 1.0)),
        ([(25, 50), (75, 80), (90, 200)], (0.0, 1.0, 0.0, 0.6)),
    ],
)
def test_a_strip_is_the_share_of_each_part(spans: list[tuple[int, int]], wanted: tuple[float, ...]) -> None:
    assert strip(spans, 100, 4) == pytest.approx(wanted)


def test_a_timeline_has_three_signs_and_vanishes_where_there_is_no_room() -> None:
    parts = (0.0,) * 10 + (0.5,) * 5 + (1.0,) * 25
    assert timeline(parts, ASCII, 40) == "#" * 10 + "=" * 5 + "-" * 25
    assert len(timeline(parts, UNICODE, 20)) == 20
    assert timeline(parts, UNICODE, 9) == ""


def test_one_row_a_call_with_leak_and_peak_together() -> None:
    first = CheckResult("a", Outcome.PASS, memory=(MemoryReport("parse", leaked=0.0), MemoryReport("parse", peak=5000)))
    second = CheckResult("b", Outcome.FAIL, memory=(MemoryReport("parse", leaked=48.0), MemoryReport("view", peak=0)))
    rows = memory_reports([first, second])
    assert rows == [MemoryReport("parse", 48.0, 5000), MemoryReport("view", None, 0)]
    words = [words for _, words in memory_lines(rows, ASCII)]
    assert words == ["48 B kept a call - 5.00 kB more at its peak", "0 B more at its peak"]


@pytest.mark.parametrize("width", [40, 60, 78, 120])
def test_a_gil_row_fits(width: int) -> None:
    report = GilReport("a_function_with_a_rather_long_name", 0.0121, 0.93, 0.00042, (0.0,) * 40)
    checks = [CheckResult("a", Outcome.PASS, gil=(report,)), CheckResult("b", Outcome.PASS, gil=(report,))]
    assert gil_reports(checks) == [report]
    ((name, drawn, words),) = gil_lines([report], UNICODE, width)
    assert words == "held 7% of 12.1 ms, 420 µs at a stretch"
    assert len(name + drawn) <= width
    assert drawn
