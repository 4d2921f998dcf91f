import asyncio
from pathlib import Path

import fake_session as fakes
import pytest
from textual.widgets import OptionList

from tutor.core import events as e
from tutor.core.errors import WorkspaceError
from tutor.ui import shell
from tutor.ui.keys import ACTIONS, shown
from tutor.ui.screens.confirm import Confirm
from tutor.ui.screens.diff import DiffSheet
from tutor.ui.screens.listings import ListingSheet


async def test_run_stop_undo_next_and_previous_send_their_intents(stage):
    async with stage() as s:
        await s.press("r", "k", "u", "n", "p", "f5")
        assert s.intents[1:] == [
            e.Run(),
            e.Stop(),
            e.Undo(),
            e.Open("capi-errors", run=True),
            e.Open("capi-refs", run=True),
            e.Run(),
        ]


async def test_each_press_of_h_opens_one_more_hint(stage):
    async with stage() as s:
        await s.press("h")
        assert s.intents[-1] == e.Hint(1)
        assert "Count what Py_INCREF adds." in s.text
        await s.press("h")
        assert s.intents[-1] == e.Hint(2)
        assert "Who gives it back" in s.text
        await s.press("h", "h", "h")
        assert [i for i in s.intents if isinstance(i, e.Hint)] == [e.Hint(1), e.Hint(2), e.Hint(3)]
        assert "all hints are open" in s.text


async def test_the_solution_asks_first(stage):
    async with stage() as s:
        await s.press("s")
        assert isinstance(s.app.screen, Confirm)
        await s.press("n")
        assert e.SolutionSeen() not in s.intents
        await s.press("s", "y")
        assert isinstance(s.app.screen, ListingSheet)
        assert "PyFloat_FromDouble(score * 0.5)" in s.text
        assert e.SolutionSeen() in s.intents


async def test_once_passed_nothing_is_asked(stage):
    async with stage() as s:
        await s.play(*fakes.passing())
        await s.press("s")
        assert isinstance(s.app.screen, ListingSheet)


async def test_the_diff_shows_both_sides_and_asks_before_the_solution(stage):
    async with stage((140, 40)) as s:
        await s.press("d")
        assert isinstance(s.app.screen, DiffSheet)
        assert "yours | starter" in s.text
        assert "Py_INCREF(list);" in s.text
        assert "/* TODO */" in s.text
        await s.press("s")
        assert isinstance(s.app.screen, Confirm)
        await s.press("y")
        assert "yours | solution: 2 lines differ" in s.text
        await s.press("escape")
        assert len(s.app.screen_stack) == 1


async def test_reset_asks_and_says_what_the_file_is_now(stage):
    async with stage() as s:
        await s.press("x", "n")
        assert e.Reset() not in s.intents
        await s.press("x", "y")
        assert s.intents[-1] == e.Reset()
        assert "your file is now: the starter" in s.text


async def test_find_narrows_and_opens(stage):
    async with stage() as s:
        await s.press("slash")
        await s.press(*"sum tr".replace(" ", "_").split("_")[0], "space", *"tr")
        assert "A replay buffer's sum tree" in s.text
        assert "Merge the pairs" not in s.text
        await s.press("enter")
        assert s.intents[-1] == e.Open("pb-sumtree", run=True)
        assert s.app.view.exercise.id == "pb-sumtree"
        await s.press("slash", *"zzz", "enter")
        assert "nothing matches all of these words" in s.text
        await s.press("escape")
        assert s.intents[-1] == e.Open("pb-sumtree", run=True)


@pytest.mark.parametrize("key", ["slash", "v", "colon"])
async def test_the_marked_entry_of_a_list_is_seen_with_and_without_colours(stage, key):
    async with stage() as s:
        await s.press(key, "down")
        await s.settle()
        entries = s.app.screen.query_one(OptionList)
        rows = [entries.render_line(y) for y in range(entries.size.height)]
        words = [seg for row in rows for seg in row if seg.text.strip() and seg.style]
        marked = [seg for seg in words if seg.style.underline and seg.style.bgcolor and seg.style.bgcolor.number == 6]
        assert marked
        assert len(marked) < len(words)


async def test_the_lesson_list_opens_an_exercise_and_gives_way(stage):
    async with stage() as s:
        await s.press("l")
        assert "▾ 3 C extensions" in s.text
        await s.press("down", "enter")
        assert s.intents[-1] == e.Open("capi-errors", run=True)
        assert "▾ 3 C extensions" not in s.text
    async with stage((140, 40)) as s:
        assert "▾ 3 C extensions" in s.text
        await s.press("l", "l")
        assert "▾ 3 C extensions" not in s.text


async def test_number_keys_switch_tabs_and_zoom_fills_the_screen(stage):
    async with stage() as s:
        await s.play(*fakes.failing())
        await s.press("5")
        assert "argument 0[0]" in s.text
        assert "FAIL" in s.text
        await s.press("4")
        assert "batch-4096: at least 1.50×" in s.text
    async with stage((140, 40)) as s:
        await s.press("3", "z")
        assert "Lessons" not in s.text
        await s.press("z")
        assert "Lessons" in s.text


async def test_help_names_every_action_on_one_small_page(stage):
    async with stage() as s:
        await s.press("question_mark")
        for action in ACTIONS:
            assert action.text in s.text
            assert shown(action.keys[0]) in s.text
        assert "tab moves between panels" in s.text, "it all fits"
        await s.press("escape", "4", "question_mark")
        assert "Speed: bars against target and gold" in s.text
        await s.press("escape")


async def test_the_palette_has_every_action(stage):
    async with stage() as s:
        entries = {entry.title for entry in s.app.get_system_commands(s.app.screen)}
        assert {f"{a.label.capitalize()} ({shown(a.keys[0])})" for a in ACTIONS} - entries == {"Palette (ctrl+p)"}
        assert {"Redraw (ctrl+l)", "To shell (ctrl+z)"} <= entries
        await s.press("ctrl+p", *"stop", "enter")
        await s.settle()
        assert s.intents[-1] == e.Stop()


@pytest.mark.parametrize("key", ["q", "f10", "ctrl+c"])
async def test_quit_leaves_the_session(stage, key):
    async with stage() as s:
        await s.pilot.press(key)
        await s.pilot.pause(0.1)
        assert not s.app.is_running or s.app._exit


async def test_ctrl_c_quits_from_a_sheet_too_and_ctrl_q_does_nothing(stage):
    async with stage() as s:
        await s.press("ctrl+q")
        assert not s.app._exit
        await s.press("question_mark")
        await s.pilot.press("ctrl+c")
        await s.pilot.pause(0.1)
        assert s.app._exit


async def test_an_environment_error_becomes_a_notice_with_its_remedy(stage):
    async with stage() as s:
        s.session.refuse = WorkspaceError("the workspace [w] is read-only", "remount it, or use --workspace")
        await s.press("r")
        assert "the workspace [w] is read-only" in s.text
        assert "remount it, or use --workspace" in s.text
        s.session.refuse = None
        await s.press("r")
        assert s.intents[-1] == e.Run()


async def test_messages_keep_what_a_toast_has_said(stage):
    async with stage() as s:
        await s.play(e.Notice("warning", "no mold", "apt install mold"))
        await s.press("m")
        assert "warning: no mold" in s.text
        assert "apt install mold" in s.text


async def test_e_opens_the_editor_at_the_line_to_fix_first(stage, tmp_path: Path, vs_code: Path, monkeypatch):
    async with stage() as s:
        await s.play(*fakes.failing())
        await s.press("e")
        while not vs_code.exists():
            await asyncio.sleep(0.02)
        assert vs_code.read_text().splitlines() == ["--goto", f"{tmp_path}/capi-refs/collate.c:6"]
        monkeypatch.setenv("EDITOR", "no-such-editor")
        await s.press("e")
        assert "`no-such-editor` is not on PATH" in s.text


async def test_ctrl_z_stays_where_no_shell_could_bring_it_back(stage, monkeypatch):
    stopped = []
    async with stage() as s:
        monkeypatch.setattr(s.app, "action_suspend_process", lambda: stopped.append(True))
        monkeypatch.setattr(shell, "shell_waits", lambda: False)
        await s.press("ctrl+z")
        assert "no shell waits behind mltutor here" in s.text
        assert not stopped
        monkeypatch.setattr(shell, "shell_waits", lambda: True)
        await s.press("ctrl+z")
        assert stopped
