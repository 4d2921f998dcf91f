"""The event loop stays free, updates are gathered, and no size is too small."""

import asyncio
import threading

import fake_session as fakes
import pytest

from tutor.core import events as e
from tutor.core.verdict import CheckResult, Outcome
from tutor.ui.glyphs import ASCII
from tutor.ui.widgets.checks import ChecksPanel


async def test_a_key_is_answered_while_a_build_floods_the_app_with_events(stage):
    """The build goes on until the keys were answered: on a loop that it blocks, they never are."""
    order: list[str] = []
    async with stage() as s:
        handle = s.session.handle
        answered = asyncio.Event()

        async def noting(intent: e.Intent) -> None:
            order.append(type(intent).__name__)
            await handle(intent)

        s.session.handle = noting

        async def build() -> None:
            s.session.feed(*fakes.started())
            steps = 0
            while not answered.is_set():
                s.session.feed(*(e.StageStarted(1, "build", f"{steps}") for _ in range(50)))
                steps += 1
                await asyncio.sleep(0.02)
            order.append("built")
            s.session.feed(e.BuildFinished(1, True))

        task = asyncio.create_task(build())
        await s.pilot.press("k")
        await s.pilot.press("2")
        order.append("tab " + s.app.screen.tab)
        answered.set()
        await asyncio.wait_for(task, 60)
        assert order == ["Stop", "tab build", "built"]


async def test_a_flood_of_events_is_drawn_a_few_times(stage, monkeypatch):
    drawn = 0
    draw = ChecksPanel.draw

    def counting(self, view, width):
        nonlocal drawn
        drawn += 1
        return draw(self, view, width)

    monkeypatch.setattr(ChecksPanel, "draw", counting)
    async with stage((140, 40)) as s:
        ids = tuple(f"test_{i}" for i in range(2000))
        drawn = 0
        s.session.feed(*fakes.started(), e.BuildFinished(1, True), e.ChecksAnnounced(1, ids))
        s.session.feed(*(e.CheckFinished(1, CheckResult(one, Outcome.PASS, output="y" * 4000)) for one in ids))
        await s.settle()
        assert "2000/2000" in s.text
        assert 1 <= drawn < 60


async def test_equal_views_are_not_drawn_again(stage, monkeypatch):
    async with stage((140, 40)) as s:
        await s.play(*fakes.failing())
        drawn: list[str] = []
        for kind in (ChecksPanel,):
            monkeypatch.setattr(kind, "draw", lambda self, view, width: drawn.append(self.id))
        await s.play(e.WatchStatus("poll", "NFS"), e.SaveSeen("capi-refs", "collate.c", fakes.NOW))
        assert "watching by poll (NFS)" in s.text
        assert drawn == []


@pytest.mark.parametrize("scene", [fakes.failing, fakes.passing, fakes.build_error])
async def test_any_size_is_survived(stage, scene):
    async with stage((140, 40)) as s:
        await s.play(*scene(), *fakes.preparing())
        for width, height in ((20, 5), (1, 1), (80, 24), (300, 9), (20, 5), (119, 16), (140, 40)):
            await s.pilot.resize_terminal(width, height)
            await s.settle()
            for key in ("2", "3", "4", "5", "1"):
                await s.pilot.press(key)
        assert "Lessons" in s.text
        await s.pilot.resize_terminal(20, 5)
        for key in ("question_mark", "escape", "d", "escape", "h", "h", "escape", "slash", "escape", "x", "n", "o"):
            await s.press(key)
        await s.pilot.resize_terminal(80, 24)
        await s.settle()


async def test_without_utf8_every_sign_is_ascii(stage):
    async with stage((140, 40), ASCII) as s:
        await s.play(*fakes.passing(), *fakes.preparing())
        # Scrollbars are switched for the whole process, by run().
        assert {sign for sign in s.text if ord(sign) > 126} <= set("▁▂▃▄▅▆▇")
        assert "+ PASS" in s.text


async def test_no_color_drops_colours_and_keeps_the_terminals_own(stage, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with stage() as s:
        await s.play(*fakes.failing())
        segments = [segment for strip in s.app.screen._compositor.render_strips() for segment in strip]
        for colour_filter in s.app._filters:
            if colour_filter.enabled:
                segments = colour_filter.apply(segments, s.app.screen.background_colors[1])
        colours = {c for g in segments if g.style for c in (g.style.color, g.style.bgcolor) if c}
        assert all(colour.is_default for colour in colours)
        assert "FAIL" in s.text


async def test_our_own_bugs_crash_loudly(stage):
    async def breaking() -> None:
        async with stage() as s:
            s.session.refuse = ZeroDivisionError("a defect of ours")
            await s.press("r")

    with pytest.raises(ZeroDivisionError):
        await breaking()


async def test_a_panel_that_comes_to_the_front_never_shows_its_old_body_first(stage):
    """Over SSH the old body would be sent, and the new one after it."""
    async with stage() as s:
        await s.play(*fakes.passing())
        await s.press("3", "1")
        await s.play(*fakes.failing(2))
        checks = s.app._main.panels["checks"]
        assert checks.size.width == 0, "hidden"
        s.app._main.switch("checks")
        assert checks._drawn == checks.subject(s.app.view)


async def test_a_task_that_is_slow_to_read_does_not_leave_the_old_one_under_the_new_title(stage, monkeypatch):
    async with stage() as s:
        assert "What to do" in s.text
        slow = threading.Event()
        monkeypatch.setattr(s.app.material, "readme", lambda exercise: slow.wait(30) and "# The other\n\nas read")
        s.session.feed(e.ExerciseOpened("capi-errors"))
        try:
            for _ in range(200):
                await s.pilot.pause(0.05)
                if "What to do" not in s.text:
                    break
            assert "What to do" not in s.text
            assert "Collate samples without losing a reference." in s.text
        finally:
            slow.set()
        await s.settle()
        assert "as read" in s.text
