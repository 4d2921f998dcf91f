"""Benchmarks are alone: no build or check beside them, and newcomers wait for those who wait to be alone."""

from __future__ import annotations

import asyncio

from tutor.engine.quiet import Quiet


class Crowd:
    def __init__(self) -> None:
        self.quiet = Quiet()
        self.inside: list[str] = []
        self.seen: list[tuple[str, ...]] = []

    async def share(self, name: str) -> None:
        async with self.quiet.shared():
            await self._stay(name)

    async def be_alone(self, name: str) -> None:
        async with self.quiet.alone():
            await self._stay(name)

    async def _stay(self, name: str) -> None:
        self.inside.append(name)
        self.seen.append(tuple(self.inside))
        try:
            for _ in range(5):
                await asyncio.sleep(0)
        finally:
            self.inside.remove(name)


async def test_one_who_is_alone_is_alone() -> None:
    crowd = Crowd()
    await asyncio.gather(
        *(crowd.share(f"build {n}") for n in range(3)),
        *(crowd.be_alone(f"bench {n}") for n in range(2)),
        *(crowd.share(f"late {n}") for n in range(3)),
    )
    assert all(len(inside) == 1 for inside in crowd.seen if any(name.startswith("bench") for name in inside))
    assert any(len(inside) == 3 for inside in crowd.seen)
    order = [inside[-1] for inside in crowd.seen]
    assert order.index("late 0") > order.index("bench 0")


async def test_cancelling_gives_back() -> None:
    crowd = Crowd()
    holder = asyncio.create_task(crowd.be_alone("bench"))
    waiter = asyncio.create_task(crowd.be_alone("impatient"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiter.cancel()
    holder.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    await asyncio.wait_for(crowd.share("build"), 5)
    await asyncio.wait_for(crowd.be_alone("bench"), 5)
    assert crowd.inside == []
