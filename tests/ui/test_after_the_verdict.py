"""What keys and words do once a verdict is there, was taken back, or lessons have changed under the app."""

import asyncio
import os
import time
from pathlib import Path

import fake_session as fakes
import pytest
from msgspec.structs import replace
from textual.scrollbar import ScrollBar

from tutor.core import events as e
from tutor.core.errors import ContentError
from tutor.core.finding import Finding
from tutor.core.history import PastRun
from tutor.core.progress import ExerciseProgress
from tutor.core.verdict import CheckResult, Outcome
from tutor.engine.process import run_beside
from tutor.ui.framework import PlainScrollBar
from tutor.ui.glyphs import ASCII

FOUND = Finding("out-of-bounds", "reads 4 bytes behind out", "collate.c", 4)


async def test_a_pass_that_was_taken_back_is_none_for_any_key(stage, tmp_path: Path, vs_code: Path):
    async with stage() as s:
        await s.play(*fakes.passing())
        await s.press("question_mark")
        assert "Passed. n goes on" in s.text
        await s.press("escape")
        await s.play(e.Examined(1, "AddressSanitizer", "found", (FOUND,)))
        assert "FAIL  collate.c:4" in s.text
        await s.press("question_mark")
        assert "Passed. n goes on" not in s.text
        await s.press("escape", "e")
        while not vs_code.exists():
            await asyncio.sleep(0.02)
        assert vs_code.read_text().splitlines() == ["--goto", f"{tmp_path}/capi-refs/collate.c:4"]


async def test_the_offered_hint_is_what_h_opens(stage):
    async with stage() as s:
        await s.press("h", "escape")
        await s.play(*fakes.failing())
        past = tuple(
            PastRun(fakes.NOW + n, f"d{n}", Outcome.FAIL, fakes.LEAK.code, fakes.LEAK.message) for n in range(3)
        )
        progress = s.session.state.progress.with_exercise("capi-refs", ExerciseProgress(hints=1))
        await s.play(e.ProgressChanged(progress), e.PastRuns("capi-refs", past))
        assert "h opens hint 2 of 3" in s.text
        await s.press("h")
        assert s.intents[-1] == e.Hint(2)
        assert "Who gives it back" in s.text


@pytest.mark.parametrize("keys", [["h"], ["s", "y"], ["d"], ["c"], ["v"]], ids=lambda keys: keys[0])
async def test_lessons_that_changed_under_the_app_are_told(stage, keys):
    def gone(*_: object) -> dict[str, bytes]:
        raise ContentError("hints.md is gone", "restore the lesson's folder")

    async with stage() as s:
        for name in ("hints", "solution", "starter", "versions"):
            setattr(s.app.material, name, gone)
        await s.press(*keys)
        assert "hints.md is gone" in s.text
        assert s.app.is_running


async def test_tab_turns_the_panels_of_a_narrow_screen(stage):
    async with stage() as s:
        seen = []
        for key in ("tab", "tab", "tab", "tab", "tab", "shift+tab"):
            await s.press(key)
            seen.append(s.app.screen.tab)
        assert seen == ["build", "checks", "speed", "references", "task", "references"]
    async with stage((140, 40)) as s:
        before = s.app.focused
        await s.press("tab")
        assert s.app.focused is not before
        await s.press("shift+tab")
        assert s.app.focused is before


async def test_an_exercise_without_a_benchmark_promises_none(stage):
    async with stage() as s:
        s.app._view = replace(s.app._view, exercise=replace(s.app._view.exercise, bench=()))
        await s.press("b")
        assert "this exercise has no benchmark" in s.text


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
async def test_what_is_cut_off_is_marked_in_ascii(stage, size, monkeypatch):
    monkeypatch.setattr(ScrollBar, "renderer", PlainScrollBar)
    long = "word " * 60
    check = CheckResult("test_" + "long_" * 40, Outcome.FAIL, long, detail=long, output=long, seconds=0.2)
    async with stage(size, ASCII) as s:
        for key in "2345":
            run = (e.BuildFinished(1, True, (), long, 0.1), e.ChecksAnnounced(1, (check.id, "test_" + "other_" * 40)))
            await s.play(*fakes.started(), *run, e.CheckFinished(1, check))
            await s.press(key)
            assert s.text.isascii(), [sign for sign in s.text if not sign.isascii()]
            assert max(map(len, s.text.splitlines())) <= size[0]
        assert "~" in s.text or size[0] == 40


async def test_a_window_that_stays_open_holds_nothing(tmp_path: Path):
    program, pids = tmp_path / "window", tmp_path / "pids"
    program.write_text(f"#!/bin/sh\necho $$ >> {pids}\nexec sleep 100\n")
    program.chmod(0o755)
    started = time.monotonic()
    every = await asyncio.gather(*(run_beside((str(program),), patience=0.3) for _ in range(12)))
    assert every == [(0, "")] * 12
    assert await asyncio.to_thread(lambda: "a thread is free") == "a thread is free"
    assert time.monotonic() - started < 60
    for pid in pids.read_text().split():
        os.kill(int(pid), 15)  # they are alive: ProcessLookupError else


async def test_a_window_that_does_not_open_says_why(tmp_path: Path):
    program = tmp_path / "window"
    program.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    program.chmod(0o755)
    assert await run_beside((str(program),)) == (3, "no display")
