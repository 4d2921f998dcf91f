"""What the app needs from the rest: a session to talk to and the texts of the course. Tests bring their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from tutor.core.events import Event, Intent
from tutor.core.exercise import Exercise
from tutor.core.state import State
from tutor.core.versions import Version


class SessionLike(Protocol):
    """The engine as the app sees it: the state, a place to send intents, and the stream of what happened."""

    @property
    def state(self) -> State:
        """The state after the last event."""
        ...

    async def handle(self, intent: Intent) -> None:
        """Take an intent. Raises TutorError when the environment stands in the way."""
        ...

    def events(self) -> AsyncIterator[tuple[Event, State]]:
        """Every event with the state that follows it."""
        ...


Connect = Callable[[], AbstractAsyncContextManager[SessionLike]]


class Material(Protocol):
    """Texts and sources of an exercise. Every method may touch the disk: the app calls them in a thread."""

    def readme(self, exercise: Exercise) -> str:
        """The task, as Markdown."""
        ...

    def hints(self, exercise: Exercise) -> tuple[str, ...]:
        """The ladder of hints, as Markdown."""
        ...

    def solution(self, exercise: Exercise) -> dict[str, bytes]:
        """The reference's files that the learner edits."""
        ...

    def starter(self, exercise: Exercise) -> dict[str, bytes]:
        """The files as the learner got them."""
        ...

    def learner(self, exercise: Exercise) -> dict[str, bytes]:
        """The files as they are in the workspace now; a missing file is left out."""
        ...

    def versions(self, exercise: Exercise) -> tuple[Version, ...]:
        """Every kept version, oldest first."""
        ...

    def path(self, exercise: Exercise, name: str) -> Path:
        """Where a learner's file lies."""
        ...
