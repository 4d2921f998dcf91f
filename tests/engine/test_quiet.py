"""Benchmarks are alone: no build or check beside them, and newcomers wait for those who wait to be alone."""

from __future__ import annotations

import asyncio
import fcntl
import subprocess
import sys
from pathlib import Path

from tutor.engine.quiet import Quiet


class Crowd:
    def __init__(self, path: Path) -> None:
        self.quiet = Quiet(path / "lock")
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


async def test_one_who_is_alone_is_alone(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path)
    await asyncio.gather(
        *(crowd.share(f"build {n}") for n in range(3)),
        *(crowd.be_alone(f"bench {n}") for n in range(2)),
        *(crowd.share(f"late {n}") for n in range(3)),
    )
    assert all(len(inside) == 1 for inside in crowd.seen if any(name.startswith("bench") for name in inside))
    assert any(len(inside) == 3 for inside in crowd.seen)
    order = [inside[-1] for inside in crowd.seen]
    assert order.index("late 0") > order.index("bench 0")


async def test_cancelling_gives_back(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path)
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


HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, int(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


def hold(path: Path, how: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", HOLD, str(path), str(how)]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout
    assert other.stdout.readline() == "held\n"
    return other


async def test_a_benchmark_waits_for_another_process(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", []
    other = hold(path, fcntl.LOCK_SH)
    quiet = Quiet(path)

    async def bench() -> None:
        async with quiet.alone():
            order.append("bench")

    task = asyncio.create_task(bench())
    async with asyncio.timeout(30):
        while quiet._waiting or not quiet._alone:
            await asyncio.sleep(0.01)
    order.append("other ends")
    other.communicate("")
    await asyncio.wait_for(task, 30)
    assert order == ["other ends", "bench"]


async def test_builds_of_two_processes_share_and_a_stopped_one_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    sharing = hold(path, fcntl.LOCK_SH)
    async with Quiet(path, patience=600).shared():
        pass
    sharing.communicate("")
    stopped = hold(path, fcntl.LOCK_EX)
    async with Quiet(path, patience=0.1).shared():
        assert stopped.poll() is None
    stopped.communicate("")


async def test_where_no_lock_can_be_made_it_goes_on(tmp_path: Path) -> None:
    async with Quiet(tmp_path / "no such folder" / "lock").alone():
        pass
