"""The session's state and everybody who follows it: each event with the state after it, in order, to all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from tutor.core.events import Event
from tutor.core.state import State, reduce

_Item = tuple[Event, State] | BaseException | None


class Fanout:
    """`emit` changes the state and tells it; followers come and go."""

    def __init__(self) -> None:
        self.state = State()
        self._queues: set[asyncio.Queue[_Item]] = set()

    def emit(self, event: Event) -> None:
        """The event has happened."""
        self.state = reduce(self.state, event)
        for queue in self._queues:
            queue.put_nowait((event, self.state))

    def crash(self, error: BaseException) -> None:
        """A defect of ours: whoever follows gets it raised."""
        for queue in self._queues:
            queue.put_nowait(error)

    def close(self) -> None:
        """No more events; every follower comes to its end."""
        for queue in self._queues:
            queue.put_nowait(None)

    def follow(self) -> AsyncGenerator[tuple[Event, State], None]:
        """Every event from this call on."""
        queue: asyncio.Queue[_Item] = asyncio.Queue()
        self._queues.add(queue)
        return self._follow(queue)

    async def _follow(self, queue: asyncio.Queue[_Item]) -> AsyncGenerator[tuple[Event, State], None]:
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._queues.discard(queue)


def tell_crash(task: asyncio.Task[Any], on_crash: Callable[[BaseException], None]) -> None:
    """Hand on what a task raises for whose result nobody waits: without it, it would be gone unnoticed."""

    def look(done: asyncio.Task[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        if error:
            on_crash(error)

    task.add_done_callback(look)
