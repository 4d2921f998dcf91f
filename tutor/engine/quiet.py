"""Keeps benchmarks alone on the machine: builds and checks share it, a benchmark has it to itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Quiet:
    """A lock with many sharers or one who is alone; who waits to be alone holds newcomers back."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._sharers = 0
        self._alone = False
        self._waiting = 0

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Be beside others of this kind, never beside one who is alone."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._sharers += 1
        try:
            yield
        finally:
            await self._give_back(self._leave_shared)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait until nobody is here, then keep everybody out."""
        async with self._changed:
            self._waiting += 1
            try:
                await self._changed.wait_for(lambda: not self._alone and not self._sharers)
                self._alone = True
            finally:
                self._waiting -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            await self._give_back(self._leave_alone)

    async def _give_back(self, leave: Callable[[], None]) -> None:
        # the count changes at once: a task that is being cancelled may not get to wait for the condition
        leave()
        await asyncio.shield(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _leave_shared(self) -> None:
        self._sharers -= 1

    def _leave_alone(self) -> None:
        self._alone = False
