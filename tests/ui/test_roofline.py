import fake_session as fakes
import pytest
from msgspec.structs import replace

from tutor.core import events as e
from tutor.core.roof import Roof, standing
from tutor.core.verdict import Outcome
from tutor.ui.glyphs import ASCII, UNICODE
from tutor.ui.roofline import plot, short, words
from tutor.ui.screens.roofline import RooflineSheet
from tutor.ui.typeset import amount

ROOF = Roof(((24_000, 280e9), (6_000_000, 100e9), (256_000_000, 20e9)), 120e9)


def timed(bytes, flops, seconds, case="case"):
    return replace(fakes.benches()[0], case=case, bytes=bytes, flops=flops, seconds=seconds)


def benched(*bench):
    done = fakes.verdict(Outcome.PASS, checks=fakes.results(False), bench=bench, stage="bench")
    return (*fakes.checked(1, False), *(e.BenchMeasured(1, one, True) for one in bench), e.RunFinished(1, done))


SLOW, FAST = timed(20_000_000, 10_000_000, 2e-3, "slow"), timed(20_000_000, 4_000_000_000, 50e-3, "much")


async def test_the_speed_panel_says_how_near_a_case_is_to_the_machines_limit(stage):
    async with stage() as s:
        await s.play(*benched(SLOW))
        await s.press("4")
        assert "GB/s" not in s.text
        await s.press("b")
        assert "this machine's limits are being measured" in s.text
        await s.play(e.RoofKnown(ROOF))
        assert "10.0 GB/s, 50% of one core's 20.0 GB/s (b)" in s.text


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
async def test_the_roofline_is_drawn_and_said(stage, glyphs):
    async with stage(glyphs=glyphs) as s:
        await s.play(*benched(SLOW, FAST), e.RoofKnown(ROOF))
        await s.press("b")
        assert isinstance(s.app.screen, RooflineSheet)
        assert "120 G" in s.text
        assert "1 slow  memory-bound, 0.5 flop a byte" in s.text
        assert "moves 20.0 MB a call at 10.0 GB/s: 50% of the 20.0 GB/s that one core" in s.text
        assert "2 much  arithmetic-bound, 200 flop a byte" in s.text
        await s.press("b")
        assert len(s.app.screen_stack) == 1


async def test_without_a_case_that_says_what_it_moves_there_is_no_roofline(stage):
    async with stage() as s:
        await s.play(*fakes.passing(), e.RoofKnown(ROOF))
        await s.press("b")
        assert "no roofline here: no case of this exercise" in s.text
        assert len(s.app.screen_stack) == 1


def at(lines, mark):
    """Row and column of a mark inside the frame."""
    return next((r, line.index(mark, 9)) for r, line in enumerate(lines) if mark in line[9:])


def test_a_point_lies_under_the_roof_right_of_what_needs_fewer_operations():
    cases = [standing(one, ROOF) for one in (SLOW, FAST)]
    lines = plot(ROOF, cases, 78, 12, ASCII)
    assert all(line.isascii() and len(line) <= 78 for line in lines)
    (slow_row, slow_column), (much_row, much_column) = at(lines, "1"), at(lines, "2")
    assert slow_column < much_column
    assert slow_row > much_row, "fewer operations a second are lower"
    for row, column in ((slow_row, slow_column), (much_row, much_column)):
        above = [line[column] for line in lines[1:row] if len(line) > column]
        assert {"/", "-"} & set(above), "the roof is above"


def test_on_the_roof_a_point_lies_on_it():
    best = standing(timed(20_000_000, 10_000_000, 1e-3), ROOF)
    lines = plot(ROOF, [best], 78, 12, ASCII)
    row, column = at(lines, "1")
    assert "/" in (lines[row][column - 1], lines[row][column + 1])


def test_cases_that_fall_together_stand_beside_each_other():
    one = standing(SLOW, ROOF)
    lines = plot(ROOF, [one, one, one], 78, 12, ASCII)
    assert any("123" in line for line in lines)


def test_cases_without_operations_are_said_and_not_drawn():
    one = standing(timed(20_000_000, 0, 0.5e-3), ROOF)
    assert plot(ROOF, [one], 78, 12, ASCII) == []
    assert short(one) == "40.0 GB/s, 200% of one core's 20.0 GB/s"
    assert words(one, ASCII)[1].endswith(": the caches held a part")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.18e11, "118 GB/s"), (9.81e9, "9.81 GB/s"), (84_000, "84.0 kB/s"), (12, "12 B/s"), (3.2e12, "3.20 TB/s")],
)
def test_large_numbers_have_three_digits(value, text):
    assert amount(value, "B/s") == text
