"""Every main screen at the three sizes people have: a learner's way through the app, dumped step by step."""

import fake_session as fakes
import pytest
from syrupy.assertion import SnapshotAssertion
from textual.scrollbar import ScrollBar

from tutor.core.progress import Progress
from tutor.core.state import State
from tutor.ui.framework import PlainScrollBar
from tutor.ui.glyphs import ASCII

SIZES = [(80, 24), (100, 30), (140, 40)]
# Step: its name, what the engine says before it, the keys that lead to the screen, the keys that leave it.
STEPS = (
    ("exercise", fakes.failing, "1", ""),
    ("findings", None, "5", ""),
    ("checks", None, "3", ""),
    ("hint", None, "h h", "escape"),
    ("diff", None, "d", "escape"),
    ("diff asks before the solution", None, "d s", "escape escape"),
    ("reset asks", None, "x", "escape"),
    ("kept versions", None, "v", "escape"),
    ("raw output", None, "o", "escape"),
    ("find", None, "slash", "escape"),
    ("help", None, "question_mark", "escape"),
    ("palette", None, "colon", "escape"),
    ("messages", None, "m", "escape"),
    ("machine", None, "i", "escape"),
    ("build error", fakes.build_error, "2", ""),
    ("speed", fakes.passing, "4", ""),
    ("references", None, "5", ""),
    ("progress", None, "g", "escape"),
    ("solution", None, "s", "escape"),
    ("compare", None, "c", "escape"),
    ("roofline", fakes.measured, "b", "escape"),
    ("lessons", None, "l", ""),
)


async def walk(s, snapshot: SnapshotAssertion) -> None:
    """Each step in turn; every run has its own number, so that none is stale."""
    run_id = 0
    for name, scene, keys, back in STEPS:
        if scene is not None:
            run_id += 1
            await s.play(*scene(run_id))
        await s.press(*keys.split())
        assert max(map(len, s.text.splitlines())) <= s.app.size.width
        if s.app._view.glyphs is ASCII:
            assert s.text.isascii(), f"{name}: {[sign for sign in s.text if not sign.isascii()]}"
        assert s.text == snapshot(name=name)
        await s.press(*back.split())
        assert len(s.app.screen_stack) == 1, f"{name} was left"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_learners_way(stage, snapshot: SnapshotAssertion, size):
    async with stage(size) as s:
        await walk(s, snapshot)


async def test_the_learners_way_in_ascii(stage, snapshot: SnapshotAssertion, monkeypatch):
    monkeypatch.setattr(ScrollBar, "renderer", PlainScrollBar)  # what run() does for a terminal without UTF-8
    async with stage((80, 24), ASCII) as s:
        await walk(s, snapshot)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_first_start(stage, snapshot: SnapshotAssertion, size, monkeypatch):
    made = fakes.FakeSession.__init__

    def init(self, script=()):
        made(self, script)
        self.state = State(progress=Progress())

    monkeypatch.setattr(fakes.FakeSession, "__init__", init)
    async with stage(size) as s:
        assert s.text == snapshot
