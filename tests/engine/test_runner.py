"""The runner: the newest order waits until what runs has really ended."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from tutor.core import protocol as p
from tutor.core.exercise import Exercise
from tutor.engine.runner import Order, Runner
from tutor.engine.zygote import Zygote


async def test_a_second_save_during_a_cancellation_starts_nothing_beside_the_old_run(
    exercise: Exercise, tmp_path: Path, fake_worker: tuple[str, ...]
) -> None:
    zygote = Zygote("plain", command=fake_worker)
    behaviour, ended = tmp_path / "behaviour", tmp_path / "ended"
    behaviour.write_text("end slowly")
    begun: list[bool] = []
    running, over, crashes = asyncio.Event(), asyncio.Event(), []

    async def work(order: Order) -> None:
        begun.append(ended.exists())
        message = p.Check(zygote.next_id(), "capi-add", str(tmp_path), p.Artifact("python", "add"))
        async with aclosing(zygote.request(message)) as replies:
            async for _ in replies:
                running.set()
        over.set()

    runner = Runner(work, crashes.append)
    runner.order(Order(exercise, "save", 1.0))
    async with asyncio.timeout(30):
        await running.wait()
        behaviour.write_text("pass")
        runner.order(Order(exercise, "save", 2.0))
        await asyncio.sleep(0.05)
        runner.order(Order(exercise, "save", 3.0))
        await over.wait()
    await runner.close()
    assert begun == [False, True]
    assert zygote._replies == {}
    assert crashes == []
    await zygote.close()
