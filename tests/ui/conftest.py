import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import fake_session as fakes
import pytest
from textual.pilot import Pilot

from tutor.core import events as e
from tutor.ui.app import TutorApp
from tutor.ui.glyphs import UNICODE, Glyphs


@dataclass
class Stage:
    """A running app, its fake session, and ways to look at it."""

    app: TutorApp
    session: fakes.FakeSession
    pilot: Pilot[int]

    async def play(self, *events: e.Event) -> None:
        """Feed events and wait until they are on screen."""
        self.session.feed(*events)
        await self.settle()

    async def settle(self) -> None:
        """Wait until every event is drawn and nothing loads any more; twice, for what a worker asks to be drawn."""
        for _ in range(2):
            while not self._quiet():
                await self.pilot.pause(0.02)
            await self.pilot.pause(0.12)

    def _quiet(self) -> bool:
        app, groups = self.app, {worker.group for worker in self.app.workers}
        # A sheet's worker that has put nothing on screen is still reading files.
        loading = groups & {"task", "sources", "hint"} or ("sheet" in groups and len(app.screen_stack) == 1)
        pending = app._pace.pending or app._notable or len(app._link._tasks) > 1
        return self.session.queue.empty() and not loading and not pending

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    @property
    def text(self) -> str:
        """The screen as lines."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    @property
    def intents(self) -> list[e.Intent]:
        return self.session.intents


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """UTC, files below home, and no trace of the terminal the tests run in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SSH_CONNECTION", "NO_COLOR", "TMUX", "VISUAL", "EDITOR", "MLTUTOR_ASCII"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def vs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor `code` that writes its words into this file, a line each."""
    said, program = tmp_path / "said", tmp_path / "code"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {said}.new && mv {said}.new {said}\n')
    program.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(program))
    return said


@pytest.fixture
def stage(tmp_path: Path):
    """`async with stage(size, glyphs) as s:` a running app on capi-refs."""

    @asynccontextmanager
    async def open_app(size: tuple[int, int] = (80, 24), glyphs: Glyphs = UNICODE) -> AsyncIterator[Stage]:
        session = fakes.FakeSession(fakes.opening())
        material = fakes.FakeMaterial(tmp_path)
        app = TutorApp(
            lambda: session, fakes.course(), material, start="capi-refs", glyphs=glyphs, now=lambda: fakes.NOW
        )
        async with app.run_test(size=size, notifications=True) as pilot:
            made = Stage(app, session, pilot)
            await pilot.pause(0.1)
            await made.settle()
            yield made
        assert session.closed

    return open_app
