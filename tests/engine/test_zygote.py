"""The client side of the worker protocol, against a worker that behaves as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tutor.core import protocol as p
from tutor.core.errors import WorkerError
from tutor.engine.zygote import Zygote

ARTIFACT = p.Artifact("python", "add")


@pytest.fixture
async def zygote(
    tmp_path: Path, fake_worker: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Zygote]:
    monkeypatch.setenv("FAKE_WORKER_LOG", str(tmp_path / "started"))
    one = Zygote("plain", command=fake_worker)
    yield one
    await one.close()


def request(zygote: Zygote, folder: Path, behaviour: str) -> p.Check:
    (folder / "behaviour").write_text(behaviour)
    return p.Check(zygote.next_id(), "capi-add", str(folder), ARTIFACT)


async def replies(zygote: Zygote, message: p.Check) -> list[p.Reply]:
    return [reply async for reply in zygote.request(message)]


async def test_replies_come_until_done(zygote: Zygote, tmp_path: Path) -> None:
    got = await replies(zygote, request(zygote, tmp_path, "pass"))
    assert [type(reply) for reply in got] == [p.Announced, p.Checked, p.Checked, p.Done]


async def test_requests_overlap(zygote: Zygote, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    requests = [request(zygote, folder, "pass") for folder in folders]
    results = await asyncio.gather(*(replies(zygote, one) for one in requests))
    assert [{r.run_id for r in got if not isinstance(r, p.Ready)} for got in results] == [{r.run_id} for r in requests]
    assert len((tmp_path / "started").read_text().split()) == 1


async def test_leaving_early_cancels(zygote: Zygote, tmp_path: Path) -> None:
    async def first() -> None:
        async for reply in zygote.request(request(zygote, tmp_path, "hang")):
            assert not isinstance(reply, p.Done)
            seen.set()

    seen = asyncio.Event()
    task = asyncio.create_task(first())
    await asyncio.wait_for(seen.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    got = await replies(zygote, request(zygote, tmp_path, "pass"))
    assert isinstance(got[-1], p.Done)
    assert got[-1].outcome == "ok"
    assert len((tmp_path / "started").read_text().split()) == 1


async def test_a_death_is_survived_once(zygote: Zygote, tmp_path: Path) -> None:
    got = await replies(zygote, request(zygote, tmp_path, "die once"))
    assert isinstance(got[-1], p.Done)
    assert len((tmp_path / "started").read_text().split()) == 2


async def test_a_second_death_is_an_error_with_its_last_words(zygote: Zygote, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"twice(.|\n)*cannot go on"):
        await replies(zygote, request(zygote, tmp_path, "die"))


async def test_a_worker_that_can_not_start(tmp_path: Path) -> None:
    zygote = Zygote("plain", command=("sh", "-c", "echo no module >&2; exit 1"))
    with pytest.raises(WorkerError, match="no module"):
        await zygote.start()
    silent = Zygote("plain", command=("sleep", "1000"))
    with pytest.raises(WorkerError):
        await silent.start(timeout=0.2)


async def test_the_launcher_comes_first(fake_worker: tuple[str, ...]) -> None:
    zygote = Zygote("torch", launcher=("env", "LAUNCHED=yes"), command=fake_worker)
    ready = await zygote.start()
    assert ready.flavour == "torch"
    assert psutil.Process(ready.pid).environ()["LAUNCHED"] == "yes"
    await zygote.close()
    assert not psutil.pid_exists(ready.pid)


READY = f"echo '{p.encode(p.Ready('plain', 1, '3', 0.0)).decode()}'"


async def test_a_worker_that_dies_while_the_rest_is_prepared_is_started_again(
    tmp_path: Path, fake_worker: tuple[str, ...]
) -> None:
    async def prepare() -> None:
        await asyncio.sleep(0.3)

    once = f'[ -e {tmp_path}/died ] && exec "$@"; touch {tmp_path}/died; {READY}'
    zygote = Zygote("plain", command=("sh", "-c", once, "sh", *fake_worker), prepare=prepare)
    for _ in range(2):
        got = await replies(zygote, request(zygote, tmp_path, "pass"))
        assert isinstance(got[-1], p.Done)
    await zygote.close()


async def test_a_worker_that_dies_of_what_is_preloaded_is_an_error_that_callers_expect() -> None:
    async def prepare() -> p.Warm:
        return p.Warm(0)

    script = f"{READY}; read line; echo bad library >&2; exit 1"
    zygote = Zygote("plain", command=("sh", "-c", script), prepare=prepare)
    with pytest.raises(WorkerError, match="bad library"):
        await zygote.start()
    await zygote.close()


async def test_closing_a_worker_whose_pipe_is_closed(fake_worker: tuple[str, ...]) -> None:
    zygote = Zygote("plain", command=fake_worker)
    await zygote.start()
    assert zygote._peer
    assert zygote._peer.process.stdin
    zygote._peer.process.stdin.close()
    await zygote.close()


QUEUES = """
trap 'echo gone > "$1"; exit 1' TERM
echo "srun: job 5 queued and waiting for resources" >&2
while [ ! -e "$2" ]; do sleep 0.05; done
shift 2
exec "$@"
"""


def queueing(folder: Path, worker: tuple[str, ...]) -> Zygote:
    """A launcher that says that it queues and gets its place once there is a file `place`."""
    words = ("sh", "-c", QUEUES, "launcher", str(folder / "left"), str(folder / "place"))
    return Zygote("plain", launcher=words, command=worker)


async def test_a_launcher_that_says_why_it_waits_is_heard_and_waited_for(
    tmp_path: Path, fake_worker: tuple[str, ...]
) -> None:
    zygote = queueing(tmp_path, fake_worker)
    heard: list[str] = []
    starting = asyncio.create_task(zygote.start(1.0))
    await asyncio.sleep(0.5)
    with zygote.heard(heard.append):
        assert heard == ["srun: job 5 queued and waiting for resources"], "said before anybody listened"
        await asyncio.sleep(1.5)
        assert not starting.done()
        (tmp_path / "place").touch()
        assert (await starting).flavour == "plain"
    await zygote.close()
    assert not (tmp_path / "left").exists()


async def test_a_launcher_that_queues_is_told_to_go(tmp_path: Path, fake_worker: tuple[str, ...]) -> None:
    zygote = queueing(tmp_path, fake_worker)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(zygote.start(), 1.0)
    await zygote.close()
    assert (tmp_path / "left").read_text() == "gone\n"


async def test_a_launcher_that_says_nothing_is_given_up(fake_worker: tuple[str, ...]) -> None:
    zygote = Zygote("plain", launcher=("sh", "-c", "sleep 60", "launcher"), command=fake_worker)
    with pytest.raises(WorkerError, match="did not get ready within 0 s"):
        await zygote.start(0.3)
    await zygote.close()
