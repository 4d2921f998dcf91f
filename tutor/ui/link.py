"""The wire between the app and its session: enters it, follows its events, hands over intents, leaves it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from tutor.core.errors import TutorError
from tutor.core.events import Event, Intent
from tutor.core.state import State
from tutor.ui.ports import Connect, SessionLike

# A flood of ready events must not keep keys waiting: the loop gets a turn after so many.
_BURST = 16


class Link:
    """One task owns the session from entry to exit, so that what it opens is closed by the same task."""

    def __init__(
        self,
        connect: Connect,
        receive: Callable[[Event, State], None],
        refuse: Callable[[TutorError], None],
        crash: Callable[[BaseException], None],
    ) -> None:
        self._connect, self._receive, self._refuse, self._crash = connect, receive, refuse, crash
        self._ready: asyncio.Future[SessionLike] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, first: Callable[[State], Intent | None]) -> None:
        """Enter the session in the background; `first` chooses the first intent from the state found there."""
        self._ready = asyncio.get_running_loop().create_future()
        self._spawn(self._follow(first))

    def send(self, intent: Intent) -> None:
        """Hand over an intent as soon as the session is there."""
        self._spawn(self._hand(intent))

    async def close(self) -> None:
        """Leave the session and wait until it is gone."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, TutorError):
            self._refuse(error)
        elif error is not None:
            self._crash(error)

    async def _follow(self, first: Callable[[State], Intent | None]) -> None:
        assert self._ready is not None
        try:
            async with self._connect() as session:
                self._ready.set_result(session)
                intent = first(session.state)
                if intent is not None:
                    self.send(intent)
                count = 0
                async for event, state in session.events():
                    self._receive(event, state)
                    count += 1
                    if count % _BURST == 0:
                        await asyncio.sleep(0)
        finally:
            if not self._ready.done():
                self._ready.cancel()

    async def _hand(self, intent: Intent) -> None:
        assert self._ready is not None
        with contextlib.suppress(asyncio.CancelledError):
            session = await asyncio.shield(self._ready)
            await session.handle(intent)
