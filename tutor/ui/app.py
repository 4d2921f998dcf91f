"""The app: shows the engine's state, sends it intents. Everything on screen is in screens/ and widgets/."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from rich.console import RenderableType
from rich.control import Control
from textual import events
from textual._compositor import CompositorUpdate
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from tutor.core import events as e
from tutor.core.errors import TutorError
from tutor.core.exercise import ALL_THE_SAME, Course, Exercise
from tutor.core.state import State
from tutor.ui import terminal
from tutor.ui.framework import speak_ascii, wear
from tutor.ui.glyphs import ASCII, Glyphs
from tutor.ui.link import Link
from tutor.ui.material import CourseMaterial
from tutor.ui.pace import Pace
from tutor.ui.painted import Painted, Sequences, can_be_sparse
from tutor.ui.palette import commands
from tutor.ui.ports import Connect, Material, SessionLike
from tutor.ui.screens.main import MainScreen
from tutor.ui.screens.sheet import Sheet
from tutor.ui.shell import ShellApp
from tutor.ui.theme import MLTUTOR
from tutor.ui.typeset import homely
from tutor.ui.view import View, followed

if TYPE_CHECKING:
    from tutor.store.home import Home

TICK = 0.1
_CRASHED = 4
_PATIENCE = 3.0
_STYLES = ("panel", "task", "lessons", "bars", "verdict", "listing")


class TutorApp(ShellApp, inherit_bindings=False):
    """One session, one main screen. Events are gathered and shown once a tick."""

    TITLE = "mltutor"
    CSS_PATH: ClassVar[list[str | PurePath]] = [
        "screens/main.tcss",
        "screens/sheet.tcss",
        *(f"widgets/{name}.tcss" for name in _STYLES),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
        Binding("ctrl+l", "redraw", "redraw", show=False, priority=True),
        Binding("ctrl+z", "to_shell", "to the shell", show=False, priority=True),
    ]

    def __init__(
        self,
        connect: Connect,
        course: Course,
        material: Material,
        *,
        start: str = "",
        edit_command: str = "",
        glyphs: Glyphs | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        wear(self, MLTUTOR)
        self.animation_level = terminal.animation_level()
        self.material, self.edit_command = material, edit_command
        self._now = now
        self._pace = Pace(calm=self.animation_level != "basic")
        self._view = View(
            State(),
            course,
            # Shown before the session opens it: the first frame says what the learner works on.
            exercise=course.find(start),
            glyphs=glyphs or terminal.glyphs(),
            now=now(),
            patience=self._pace.patience,
            connected=False,
        )
        self._main = MainScreen(self, course)
        self._start = start
        self._link = Link(connect, self._receive, self._refuse, self._crash)
        self._notable: list[e.Event] = []
        self._sources_due = False
        self._painted = Painted()

    @property
    def view(self) -> View:
        """The newest view."""
        return self._view

    def get_default_screen(self) -> Screen[None]:
        """The main screen is the first."""
        return self._main

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette's entries."""
        return commands(self._main)

    def action_command_palette(self) -> None:
        """Every action by name, in words that any terminal can show."""
        from textual.command import CommandPalette

        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(id="--command-palette", placeholder="an action by name"))

    def on_mount(self) -> None:
        """Restore the terminal on signals; the session starts after the first paint."""
        self.set_class(self._view.glyphs is ASCII, "-ascii")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._leave, 128 + number)
        self.app_resume_signal.subscribe(self, lambda _: self.action_redraw())
        self.call_after_refresh(self._begin)
        self.call_after_refresh(gc.enable)  # off since the start of the program

    def on_resize(self, event: events.Resize) -> None:
        """A terminal of another size shows who knows what."""
        self._painted.forget()

    def action_redraw(self) -> None:
        """Send everything again: something else wrote on the terminal."""
        self._painted.forget()
        self.refresh()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Textual's way to the terminal, with what is on it already left out; nothing new sends nothing."""
        shown = self._running and not self._closed and not self.is_headless and not self._batch_count
        if shown and isinstance(renderable, CompositorUpdate) and can_be_sparse(renderable):
            changes = self._painted.changes(renderable, self.size.width, self.console)
            if not changes:
                return
            # The cursor is hidden; where it stands matters to input methods, while something is being typed.
            typed = self.cursor_position
            renderable = Sequences(changes + (Control.move_to(*typed).segment.text if typed else ""))
        super()._display(screen, renderable)

    def _leave(self, code: int) -> None:
        """A signal asks the app to go: in order when that takes no longer than `_PATIENCE`, else at once."""
        self.exit(code, return_code=code)
        asyncio.get_running_loop().call_later(_PATIENCE, _leave_hard, code)

    def _begin(self) -> None:
        self._link.open(self._first)
        self.set_interval(TICK, self._tick)

    def _first(self, state: State) -> e.Intent | None:
        """Where to begin: what was asked for, where the learner left off, or the first exercise."""
        self._view = replace(self._view, connected=True, state=state)
        self._pace.hurry()
        if not state.progress.current and not state.progress.exercises:
            self._main.welcome()
        ids = [one.id for one in self._view.course.exercises]
        left = [one for one in ids if one not in state.progress.passed]
        wanted = [one for one in (self._start, state.progress.current, *left, *ids) if one in ids]
        return e.Open(wanted[0], run=True) if wanted else None

    async def on_unmount(self) -> None:
        """Leave the session before the process goes on."""
        await self._link.close()

    def send(self, intent: e.Intent) -> None:
        """Hand an intent to the session; a TutorError becomes a notice."""
        self._link.send(intent)

    def _refuse(self, error: TutorError) -> None:
        self.tell(error.message, error.remedy, "error")

    def _crash(self, error: BaseException) -> None:
        """Our own bug: let Textual show the traceback and leave."""

        def fail() -> None:
            raise error

        self.call_later(fail)

    def _receive(self, event: e.Event, state: State) -> None:
        """Note an event; it is shown at the next tick."""
        self._view = followed(self._view, event, state, self._now())
        if isinstance(event, e.ExerciseOpened | e.HintShown | e.FilesReplaced | e.Notice | e.RunFinished):
            self._notable.append(event)
        if isinstance(event, e.ExerciseOpened | e.SaveSeen | e.RunStarted | e.BuildFinished | e.FilesReplaced):
            self._sources_due = True
        self._pace.hear(event)

    def _tick(self) -> None:
        """Show what has gathered; between events only the elapsed time of a run moves."""
        self._view = replace(self._view, now=self._now())
        main = self._main
        if not self._pace.tick():
            if self._view.running:
                main.tick(self._view)
            return
        with self.batch_update():
            main.show(self._view)
            if isinstance(self.screen, Sheet):
                self.screen.show(self._view)
            notable, self._notable = self._notable, []
            for event in notable:
                self._tell_event(event)
        if self._sources_due and self._view.exercise is not None:
            self._sources_due = False
            self.run_worker(self._read_sources(self._view.exercise), group="sources", exclusive=True)

    def _tell_event(self, event: e.Event) -> None:
        match event:
            case e.ExerciseOpened(exercise=name):
                self.run_worker(self._read_task(name), group="task", exclusive=True)
                if advice := self._view.advice:
                    self.tell(advice, ALL_THE_SAME)
            case e.HintShown(level=level):
                self._show_hint(level)
            case e.FilesReplaced(label=label):
                self.tell(f"your file is now: {label}", "u takes it back")
            case e.RunFinished(verdict=verdict) if self._view.run and self._view.run.verdict is verdict:
                self._main.follow(verdict.stage)
            case e.Notice():
                self.tell(event.text, event.remedy, event.level)

    def _show_hint(self, level: int) -> None:
        from tutor.ui.screens.hints import HintSheet

        if isinstance(self.screen, HintSheet):
            self.run_worker(self.screen.open(level), group="hint")

    async def _read_task(self, name: str) -> None:
        exercise = self._view.course.find(name)
        if exercise is None:
            return
        panel = self._main.reading
        panel.announce(exercise)
        try:
            text = await asyncio.to_thread(self.material.readme, exercise)
            hints = await asyncio.to_thread(self.material.hints, exercise)
        except TutorError as error:
            self._refuse(error)
            return
        if self._view.exercise == exercise:
            self._view = replace(self._view, hints=len(hints))
            self._pace.hurry()
        await panel.read(text, self._view.glyphs)

    async def _read_sources(self, exercise: Exercise) -> None:
        files = await asyncio.to_thread(self.material.learner, exercise)
        lines = {name: tuple(data.decode("utf-8", "replace").splitlines()) for name, data in files.items()}
        paths = tuple(homely(self.material.path(exercise, name)) for name in exercise.files)
        if self._view.exercise == exercise and (lines, paths) != (self._view.sources, self._view.paths):
            self._view = replace(self._view, sources=lines, paths=paths)
            self._pace.hurry()


def _leave_hard(code: int) -> None:
    terminal.restore()
    os._exit(code)


def run(
    course: Course,
    workspace: Path,
    home: Home,
    *,
    exercise: str | None = None,
    launcher: tuple[str, ...] = (),
    mouse: bool = True,
    edit_command: str = "",
) -> int:
    """Open the app and return its exit code: 0 when the learner left, 128 + N on signal N, 4 on a bug of ours."""

    def connect() -> AbstractAsyncContextManager[SessionLike]:
        # Imported after the first paint.
        from tutor.engine.session import Session

        return Session(course, workspace, home, launcher=launcher)

    signs = terminal.glyphs()
    if signs is ASCII:
        speak_ascii()
    start = exercise or ""
    app = TutorApp(connect, course, CourseMaterial(workspace), start=start, edit_command=edit_command, glyphs=signs)
    result = app.run(mouse=mouse)
    return _CRASHED if result is None and app.return_code else result or 0
