import fake_session as fakes

from tutor.core import events as e
from tutor.core.history import PastRun
from tutor.core.verdict import Outcome
from tutor.ui.screens.diff import DiffSheet
from tutor.ui.screens.versions import VersionsSheet


async def test_the_last_pass_is_one_key_away_in_the_diff(stage):
    async with stage((140, 40)) as s:
        await s.press("d", "p")
        assert "yours | last pass: 3 lines differ" in s.text
        assert "0.5 * score" in s.text
        await s.press("t")
        assert "yours | starter" in s.text
        s.app.material.kept = fakes.KEPT[:1]
        await s.press("p")
        assert "no version that passed has been kept yet" in s.text
        assert "yours | starter" in s.text


async def test_compare_times_both_beside_the_diff(stage):
    async with stage() as s:
        await s.play(*fakes.passing())
        await s.press("c")
        assert s.intents[-1] == e.Compare("solution")
        assert isinstance(s.app.screen, DiffSheet)
        assert "batch-4096  the solution is 1.25× as fast (1.22–1.28×)" in s.text
        assert "batch-16  no difference that can be told (0.97–1.04×)" in s.text
        bars = [line for line in s.text.splitlines() if "µs" in line]
        assert bars[0].count("█") > bars[1].count("█"), "what took longer is longer"
        assert "PyList_New" in s.text, "the diff is still there"
        await s.press("p", "c")
        assert s.intents[-1] == e.Compare("pass")
        assert "last pass" in s.text


async def test_a_diff_that_was_not_timed_shows_no_older_comparison(stage):
    async with stage() as s:
        await s.play(*fakes.passing(), e.Compared("capi-refs", "solution", "", (), True, "ended: a save"))
        await s.press("d")
        assert "ended" not in s.text
        await s.press("c")
        await s.play(e.Compared("capi-refs", "solution", "measuring batch-4096"))
        assert "measuring batch-4096" in s.text
        await s.play(e.Compared("capi-refs", "solution", "", (), True, "it does not build"))
        assert "! it does not build" in s.text


async def test_kept_versions_say_when_why_and_what_changed_and_one_comes_back(stage):
    async with stage() as s:
        runs = (PastRun(1, "d1", Outcome.PASS, speeds={"a": 2.5, "b": 1.25}), PastRun(2, "d1", Outcome.PASS))
        await s.play(e.PastRuns("capi-refs", runs))
        await s.press("v")
        assert isinstance(s.app.screen, VersionsSheet)
        lines = [line for line in s.text.splitlines() if "before" in line or "passed" in line]
        assert ["as now" in line for line in lines] == [True, False, False]
        assert "14:03:20" in lines[1]
        assert "+2 -3 lines" in lines[1]
        assert "1.25×" in lines[1]
        assert "2026-09-20 13:13" in lines[2]
        await s.press("down")
        assert "now what" in s.text, "the marked version is shown beside the present one"
        await s.press("up", "enter")
        assert s.intents[-1] == e.BringBack(2)
        assert "your file is now: version 2" in s.text
        await s.press("v", "escape")
        assert s.intents[-1] == e.BringBack(2)


async def test_without_kept_versions_it_says_what_keeps_one(stage):
    async with stage() as s:
        s.app.material.kept = ()
        await s.press("v")
        assert "reset, undo and every pass keep one" in s.text
