"""The first frame is the app, not a frame of it: whoever starts sees at once where he is."""

import pytest
from textual._compositor import CompositorUpdate

from tutor.ui.app import TutorApp
from tutor.ui.keys import TABS

WIDE = (140, 40)


@pytest.fixture
def frames(monkeypatch):
    """Every frame as text, in order."""
    drawn = []
    display = TutorApp._display

    def record(app, screen, renderable):
        if isinstance(renderable, CompositorUpdate):
            strips = screen._compositor.render_strips()
            drawn.append("\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips))
        display(app, screen, renderable)

    monkeypatch.setattr(TutorApp, "_display", record)
    return drawn


@pytest.mark.parametrize("size", [(80, 24), WIDE, (40, 12)])
async def test_it_says_what_the_learner_works_on(stage, frames, size):
    async with stage(size) as s:
        exercise = next(one for one in s.app.view.course.exercises if one.id == "capi-refs")
    first = frames[0]
    assert exercise.title[:12] in first
    assert exercise.summary.split()[0] in first
    assert "starting the engine" in first
    assert "run" in first.splitlines()[-1]


async def test_a_wide_one_has_every_panel(stage, frames):
    async with stage(WIDE):
        pass
    assert all(word in frames[0] for word in ("Lessons", "Task", "Build", "Checks", "Speed", "References"))


@pytest.mark.parametrize("size", [(80, 24), WIDE])
async def test_behind_it_everything_is_mounted_in_its_order(stage, size):
    async with stage(size) as s:
        main = s.app._main
        assert [child.id for child in main.columns.children] == ["lessons", "task", "panels"]
        assert main.lessons.cursor_node is not None
        assert main.lessons.cursor_node.data.id == "capi-refs"
        for name in ("lessons", *TABS):
            main.switch(name)
            await s.settle()
            assert main.focused_name() == name


async def test_the_theme_is_the_apps_own_from_the_first_rule_on(stage):
    async with stage() as s:
        assert s.app.current_theme.name == "mltutor"
        assert s.app.has_class("-theme-mltutor")
        assert s.app.stylesheet._variables["accent"] == "ansi_cyan"
