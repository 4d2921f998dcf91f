import fake_session as fakes
import pytest
from msgspec.structs import replace

from tutor.core import events as e
from tutor.core.history import PastRun
from tutor.core.progress import ExerciseProgress, Progress
from tutor.core.verdict import Outcome, Seconds
from tutor.ui.glyphs import ASCII, UNICODE
from tutor.ui.pictures import over_saves, share, sparkline, stages, waterfall


def test_a_sparkline_runs_from_zero_to_its_largest_value():
    assert sparkline((0, 1, 2, 4), UNICODE, 10) == "▁▃▅█"
    assert sparkline((0, 1, 2, 4), ASCII, 2) == "+#"
    assert sparkline((0.0, 0.0), UNICODE, 9) == "▁▁"
    assert sparkline((), UNICODE, 9) == ""


def test_a_history_says_in_words_what_it_draws_and_keeps_its_width():
    picture, words = over_saves((1.1, 3.5, 3.4), ASCII, 60)
    assert words == "3 versions: 1.10 > 3.40x, best 3.50x"
    assert len(picture) == 3
    assert over_saves((2.0,), ASCII, 60) == ("", "")
    picture, words = over_saves(tuple(range(1, 500)), ASCII, 60)
    assert len(picture) + 2 + len(words) <= 60


@pytest.mark.parametrize("width", [20, 78, 140])
def test_the_stages_of_a_run_follow_each_other_and_add_up(width):
    spent = Seconds(0.11, 0.18, 0.0, 0.9, 1.24)
    assert [(name, round(value, 2)) for name, value in stages(spent)] == [
        ("build", 0.11),
        ("checks", 0.18),
        ("measure", 0.9),
        ("the rest", 0.05),
    ]
    rows = waterfall(spent, ASCII, width)
    ends = [len(bar) for _, bar in rows]
    assert ends == sorted(ends)
    assert all("#" in bar for _, bar in rows)
    assert max(len(words) + 2 + len(bar) for words, bar in rows) <= max(width, 27)
    assert waterfall(Seconds(total=2.0), ASCII, width) == []


def speeds_over(*values: float) -> e.PastRuns:
    runs = tuple(PastRun(at, f"d{at}", Outcome.PASS, speeds={"batch-4096": v}) for at, v in enumerate(values))
    return e.PastRuns("capi-refs", runs)


async def test_the_speed_panel_shows_the_versions_before_and_where_the_time_went(stage):
    async with stage() as s:
        await s.play(*fakes.passing(), speeds_over(1.0, 1.2, 2.2, 3.4))
        await s.press("4")
        assert "▃▃▆█  4 versions: 1.00 → 3.40×" in s.text
        assert "1.24 s from save to verdict" in s.text
        await s.play(*fakes.failing(2))
        await s.press("4")
        assert "4 versions" in s.text, "the history stays while nothing can be measured"
        assert "checks" in s.text


async def test_progress_is_a_bar_a_lesson_and_a_sign_an_exercise(stage):
    mine = {
        "cpp-view": ExerciseProgress("a", 1.0, {"batch-4096": 3.5}, 1, False, 9),
        "rs-bpe": ExerciseProgress("a", 1.0, {"batch-4096": 2.9}, runs=2),
        "capi-errors": ExerciseProgress("a", 1.0),
        "cy-decay": ExerciseProgress(hints=2, solution_seen=True),
    }
    async with stage() as s:
        await s.play(e.ProgressChanged(Progress(mine)))
        await s.press("g")
        rows = s.text.splitlines()
        assert "★                1/1 ███████████████████████" in rows[1]
        assert "✓                1/1 " in rows[2], "below its gold mark"
        assert "●✓               1/2 ████████████···········" in rows[3]
        assert "3/10" in s.text
        assert "1 gold, 11 runs, 3 hints, 1 solution looked at before a pass" in s.text
        await s.press("g")
        assert len(s.app.screen_stack) == 1


def test_a_share_is_full_only_when_all_is_done():
    assert share(0, 9, 6, ASCII) == "------"
    assert share(1, 99, 6, ASCII) == "#-----"
    assert share(98, 99, 6, ASCII) == "#####-"
    assert share(9, 9, 6, ASCII) == "######"
    assert share(0, 0, 6, ASCII) == "------"


def test_every_sign_that_stands_beside_another_differs():
    for glyphs in (UNICODE, ASCII):
        signs = (glyphs.gold, glyphs.passed, glyphs.here, glyphs.pending, glyphs.failed, glyphs.unsure)
        assert len(set(signs)) == len(signs)


def leaks(count: int) -> e.PastRuns:
    runs = tuple(PastRun(i, f"d{i}", Outcome.FAIL, "ref-leak", "list") for i in range(count))
    return e.PastRuns("capi-refs", runs)


async def test_after_the_same_finding_in_three_versions_a_hint_is_offered(stage):
    async with stage() as s:
        await s.play(*fakes.failing(), leaks(2))
        assert "in a row" not in s.text
        await s.play(leaks(3))
        assert "ref-leak 3 times in a row: h opens hint 1 of 3   e opens line 6" in s.text
        await s.play(e.ProgressChanged(Progress({"capi-refs": replace(ExerciseProgress(), hints=1)})))
        assert "h opens hint 2 of 3" in s.text
        await s.play(*fakes.started(2))
        assert "in a row" not in s.text
        await s.play(*fakes.passing(3))
        assert "in a row" not in s.text
