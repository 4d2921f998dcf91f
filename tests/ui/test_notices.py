"""What the app tells in a corner is read, kept, and never in the way of the next thing."""

from __future__ import annotations

import fake_session as fakes
from msgspec.structs import replace

from tutor.core import events as e
from tutor.core.exercise import ALL_THE_SAME, Course
from tutor.ui import notices


async def test_a_notice_that_was_read_does_not_cover_what_the_next_key_opens(stage, monkeypatch):
    monkeypatch.setattr(notices, "_UNREAD", dict.fromkeys(notices._UNREAD, 0.0))
    async with stage() as s:
        s.app.tell("this is the last exercise", level="error")
        await s.settle()
        assert "this is the last exercise" in s.text
        await s.press("x")
        assert "Put the starter back?" in s.text
        assert "this is the last exercise" not in s.text


async def test_a_key_leaves_what_is_not_read_yet(stage):
    async with stage() as s:
        await s.play(e.Notice("error", "the disk is full", "free some space"))
        await s.press("down")
        assert "the disk is full" in s.text


async def test_of_what_merely_informs_only_the_newest_is_shown_and_all_is_kept(stage):
    async with stage() as s:
        s.app.tell("first of all")
        s.app.tell("second to none", "press [r]")
        await s.settle()
        assert "second to none" in s.text
        assert "first of all" not in s.text
        await s.press("m")
        assert "info: first of all" in s.text
        assert "press [r]" in s.text


async def test_the_newest_notices_are_kept_and_no_more(stage):
    async with stage() as s:
        for number in range(30):
            s.app.tell(f"number {number}")
        assert [one.text for one in s.app.told] == [f"number {number}" for number in range(10, 30)]


async def test_an_exercise_says_once_what_it_builds_on_and_opens_all_the_same(stage, monkeypatch):
    plain = fakes.course

    def course() -> Course:
        made = plain()
        lessons = tuple(
            replace(lesson, exercises=tuple(replace(x, requires=("rs-bpe", "no-such")) for x in lesson.exercises))
            for lesson in made.lessons
        )
        return replace(made, lessons=lessons)

    monkeypatch.setattr(fakes, "course", course)
    first = course().find("rs-bpe")
    assert first is not None
    async with stage() as s:
        await s.play(e.ExerciseOpened("capi-errors"))
        assert f"builds on {first.number} {first.title}, not passed yet" in " ".join(s.text.replace("│", " ").split())
        assert ALL_THE_SAME in s.text
        told = len(s.app.told)
        progress = s.session.state.progress
        touched = progress.with_exercise("capi-errors", replace(progress.of("capi-errors"), runs=1))
        await s.play(e.ProgressChanged(touched), e.ExerciseOpened("capi-errors"))
        assert len(s.app.told) == told


async def test_the_file_to_edit_is_named_where_it_is_looked_for(stage):
    async with stage() as s:
        await s.press("2")
        assert "your file: ~/capi-refs/collate.c" in s.text


async def test_a_machine_that_fails_again_and_again_leaves_the_screen_readable(stage):
    async with stage() as s:
        for number in range(5):
            s.app.tell(f"crate {number} could not be prepared", "Builds work.", "warning")
        s.app.tell("the disk is full", "free some space", "error")
        s.app.tell("the disk is full", "free some space", "error")
        await s.settle()
        assert "crate 3" not in s.text
        assert "crate 4" in s.text
        assert s.text.count("the disk is full") == 1
        assert [one.text for one in s.app.told].count("the disk is full") == 1
