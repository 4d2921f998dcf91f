"""The newest order wins: what runs is cancelled, its tree killed, and only then the newest begins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from tutor.core.exercise import Exercise


@dataclass(frozen=True, slots=True)
class Order:
    """A wish for a run: of which exercise, why, and time.time() of the save or the key; `against`: to compare only.

    sanitize: the second wave too, where nobody watches for the next save.
    """

    exercise: Exercise
    reason: Literal["save", "open", "key", "command"]
    at: float
    bench: bool = True
    against: Literal["solution", "starter", "pass"] | None = None
    sanitize: bool = False


class Runner:
    """Carries out orders one at a time. An order that has not begun is replaced by a newer one, never forgotten."""

    def __init__(self, work: Callable[[Order], Awaitable[object]], on_crash: Callable[[BaseException], None]) -> None:
        self._work, self._on_crash = work, on_crash
        self._next: Order | None = None
        self._now: Order | None = None
        self._running: asyncio.Task[object] | None = None
        self._ending = False
        self._wake = asyncio.Event()
        self._loop_task = asyncio.create_task(self._serve(), name="runner")

    def order(self, order: Order) -> bool:
        """Run this as soon as what runs now is gone; a comparison waits for its end.

        False for a comparison that gives way to a run that waits already.
        """
        if order.against and self._next and not self._next.against:
            return False
        self._next = order
        if self._running and not order.against:
            self._cancel(self._running, "a newer save")
        self._wake.set()
        return True

    def busy_with(self, which: Callable[[Order], bool]) -> bool:
        """True when an order for which `which` holds runs or waits."""
        return any(order is not None and which(order) for order in (self._now, self._next))

    async def stop(self, why: str) -> None:
        """End what runs and forget what waits; returns when its processes are gone."""
        self._next = None
        running = self._running
        if running:
            self._cancel(running, why)
            await asyncio.wait({running})

    async def close(self) -> None:
        """End everything."""
        await self.stop("the session ends")
        self._loop_task.cancel()
        await asyncio.wait({self._loop_task})

    def _cancel(self, running: asyncio.Task[object], why: str) -> None:
        """Once only: a second cancellation would break off its wait for the end of its processes."""
        if not self._ending:
            self._ending = True
            running.cancel(why)

    async def _serve(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._next is not None:
                self._now, self._next = self._next, None
                self._ending = False
                self._running = asyncio.ensure_future(self._work(self._now))
                await asyncio.wait({self._running})
                done, self._running, self._now = self._running, None, None
                error = None if done.cancelled() else done.exception()
                if error:
                    self._on_crash(error)
