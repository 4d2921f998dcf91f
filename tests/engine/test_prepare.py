"""Background preparation: its order, standing still while a run is on, and failures that are only told."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tutor.core import events as e
from tutor.core.errors import ContentError
from tutor.core.exercise import Course
from tutor.engine import prepare
from tutor.engine.prepare import Preparer
from tutor.engine.process import run_command
from tutor.toolchains.base import Command, WarmTask
from tutor.toolchains.settings import settings


def task(name: str, script: str, target: Path) -> WarmTask:
    return WarmTask(name, name, (Command(("sh", "-c", script), Path("/"), name, {}),), target)


class Warming:
    """A preparer over given tasks, with what it told."""

    def __init__(self, course: Course, tasks: list[WarmTask], monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[e.Event] = []
        monkeypatch.setattr(prepare, "_tasks", lambda names: [t for t in tasks if not t.target.exists()])
        self.preparer = Preparer(course, self.told.append)

    def states(self, name: str) -> list[str]:
        return [event.state for event in self.told if isinstance(event, e.Preparing) and event.task == name]

    async def until(self, name: str, state: str) -> None:
        async with asyncio.timeout(20):
            while state not in self.states(name):
                await asyncio.sleep(0.01)


async def test_tasks_run_one_after_the_other(course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    script = f"echo NAME begins >> {log}; sleep 0.1; touch {tmp_path}/NAME; echo NAME ends >> {log}"
    tasks = [task(name, script.replace("NAME", name), tmp_path / name) for name in ("one", "two")]
    warming = Warming(course, tasks, monkeypatch)
    warming.preparer.start()
    await warming.until("two", "ready")
    assert log.read_text().split("\n")[:-1] == ["one begins", "one ends", "two begins", "two ends"]
    assert warming.states("one") == ["running", "ready"]
    assert warming.states("two")[-2:] == ["running", "ready"]
    await warming.preparer.close()


async def test_a_failure_is_told_and_the_next_goes_on(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [
        task("bad", "echo no disk >&2; exit 1", tmp_path / "bad"),
        task("good", f"touch {tmp_path / 'good'}", tmp_path / "good"),
    ]
    warming = Warming(course, tasks, monkeypatch)
    warming.preparer.start()
    await warming.until("good", "ready")
    assert warming.states("bad")[-1] == "failed"
    assert [event.text for event in warming.told if isinstance(event, e.Notice)] == [
        "bad could not be prepared: no disk"
    ]
    await warming.preparer.close()


async def test_a_full_disk_is_said_without_the_path_of_every_file(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = "cp: error writing '/a/very/long/path': No space left on device"
    warming = Warming(course, [task("bad", f'echo "{full}" >&2; exit 1', tmp_path / "bad")], monkeypatch)
    warming.preparer.start()
    await warming.until("bad", "failed")
    (notice,) = [event for event in warming.told if isinstance(event, e.Notice)]
    assert notice.text == f"bad could not be prepared: the disk of {settings().cache} is full"
    await warming.preparer.close()


async def test_it_stands_still_while_paused(course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = tmp_path / "ticks"
    script = f"for i in 1 2 3 4 5 6 7 8 9 10; do echo tick >> {ticks}; sleep 0.05; done; touch {tmp_path / 'done'}"
    warming = Warming(course, [task("long", script, tmp_path / "done")], monkeypatch)
    warming.preparer.start()
    async with asyncio.timeout(20):
        while not ticks.exists():
            await asyncio.sleep(0.01)
    warming.preparer.pause()
    await asyncio.sleep(0.2)
    before = ticks.read_text()
    await asyncio.sleep(0.5)
    assert ticks.read_text() == before
    assert not (tmp_path / "done").exists()
    warming.preparer.resume()
    await warming.until("long", "ready")
    assert (tmp_path / "done").exists()
    await warming.preparer.close()


@pytest.mark.skipif(shutil.which("flock") is None, reason="there is no flock")
async def test_what_holds_a_lock_that_builds_need_is_ended_and_begins_again(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, lock = tmp_path / "log", tmp_path / "lock"

    async def lines(number: int) -> None:
        async with asyncio.timeout(20):
            while not log.exists() or len(log.read_text().splitlines()) < number:
                await asyncio.sleep(0.01)

    script = f"exec flock {lock} sh -c 'echo begins >> {log}; exec sleep 1000'"
    locking = replace(task("cargo", script, tmp_path / "never"), locks=True)
    warming = Warming(course, [locking], monkeypatch)
    warming.preparer.start()
    await lines(1)
    warming.preparer.pause()
    build = await run_command(Command(("flock", "-w", "5", str(lock), "true"), tmp_path, "build", {}))
    assert build.ok, "the build waited for what stands still"
    assert len(log.read_text().splitlines()) == 1
    warming.preparer.resume()
    await lines(2)
    assert warming.states("cargo") == ["running"]
    await warming.preparer.close()


async def test_a_malformed_lesson_is_told_once_and_a_defect_of_ours_is_handed_on(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[e.Event] = []
    crashes: list[BaseException] = []
    errors: list[Exception] = [ContentError(Path("Cargo.toml"), "not a usable Cargo.toml")] * 2

    def tasks(groups: object) -> list[WarmTask]:
        raise errors.pop() if errors else ZeroDivisionError

    monkeypatch.setattr(prepare, "_tasks", tasks)
    preparer = Preparer(course, told.append, crashes.append)
    for _ in range(3):
        preparer.start()
        await preparer.done()
    (notice,) = told
    assert isinstance(notice, e.Notice)
    assert notice.text == "nothing can be prepared: Cargo.toml: not a usable Cargo.toml"
    assert [type(error) for error in crashes] == [ZeroDivisionError]
    await preparer.close()


async def test_closing_ends_what_runs(course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warming = Warming(course, [task("endless", "sleep 1000", tmp_path / "never")], monkeypatch)
    warming.preparer.start()
    await warming.until("endless", "running")
    await asyncio.wait_for(warming.preparer.close(), 10)
    assert warming.states("endless") == ["running"]
