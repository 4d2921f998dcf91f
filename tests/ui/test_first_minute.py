import fake_session as fakes
import pytest

from tutor.core import events as e
from tutor.core.errors import EnvironmentMissing
from tutor.core.progress import Progress
from tutor.core.state import State
from tutor.ui.screens.machine import MachineSheet


@pytest.fixture
def nothing_done(monkeypatch):
    """Somebody who starts for the first time."""
    made = fakes.FakeSession.__init__

    def init(self, script=()):
        made(self, script)
        self.state = State(progress=Progress())

    monkeypatch.setattr(fakes.FakeSession, "__init__", init)


async def test_the_first_start_says_on_one_page_what_is_here_and_begins_anyway(stage, nothing_done):
    async with stage() as s:
        assert isinstance(s.app.screen, MachineSheet)
        for words in (
            "Each save is built",
            "here      Python 3.11.7",
            "clang 16.0.6",
            "not here  cargo, GPU",
            "2 Rust where it counts       skipped: cargo was not found",
            "op-cuda is only compiled",
            "install rustup from [rustup.rs]",
            "enter begins with",
        ):
            assert words in s.text
        assert s.intents == [e.Open("capi-refs", run=True)], "the first run is on its way meanwhile"
        await s.press("enter")
        assert len(s.app.screen_stack) == 1
        await s.press("i")
        assert "this machine" in s.text
        assert "Each save" not in s.text


async def test_who_has_been_here_before_goes_on_where_he_was(stage):
    async with stage() as s:
        assert len(s.app.screen_stack) == 1


async def test_a_machine_that_cannot_be_examined_is_a_notice(stage, nothing_done, monkeypatch):
    def fail(self, course):
        raise EnvironmentMissing("MLTUTOR_COMPILER is `icc`", "use gcc or clang")

    monkeypatch.setattr(fakes.FakeMaterial, "machine", fail)
    async with stage() as s:
        assert len(s.app.screen_stack) == 1
        assert "use gcc or clang" in s.text
