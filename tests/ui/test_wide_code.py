"""Code and pictures of the task that are wider than the panel: they are not wrapped, they move."""

from __future__ import annotations

import fake_session as fakes
import pytest

WIDE = "picture: " + "-" * 90 + "> the end"
TEXT = f"# A task\n\nSome words.\n\n```\n{WIDE}\n```\n"


@pytest.fixture(autouse=True)
def wide_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes.FakeMaterial, "readme", lambda self, exercise: TEXT)


async def test_arrows_move_what_is_cut_off_and_say_so(stage):
    async with stage() as s:
        assert "picture:" in s.text
        assert "the end" not in s.text
        assert "cut off: the arrow keys move it\n" in s.text.replace(" \n", "\n")
        await s.press("1", *["right"] * 6)
        assert "picture:" not in s.text
        assert "the end" in s.text
        assert "Some words." in s.text
        await s.press(*["left"] * 6)
        assert "picture:" in s.text


async def test_zoom_gives_it_the_whole_width(stage):
    async with stage((140, 40)) as s:
        assert "cut off: the arrow keys move it, z widens" in s.text
        await s.press("1", "right", "z")
        await s.settle()
        assert WIDE in s.text
        assert "cut off" not in s.text
        await s.press("z")
        await s.settle()
        assert "cut off: the arrow keys move it, z widens" in s.text
