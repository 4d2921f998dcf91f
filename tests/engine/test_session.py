"""A session with a real compiler and a worker that behaves as told: runs, cancelling, progress, intents."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tutor.content import sources
from tutor.core import events as e
from tutor.core.exercise import Course, Exercise
from tutor.core.verdict import Outcome, Verdict
from tutor.engine.session import Session
from tutor.store.history import History
from tutor.store.home import Home
from tutor.store.progress import ProgressStore


class Followed:
    """The events of a session so far, and a way to wait for one."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: list[e.Event] = []
        self._task = asyncio.create_task(self._follow(session.events()))

    async def _follow(self, events: AsyncIterator[tuple[e.Event, object]]) -> None:
        async for event, _ in events:
            self.events.append(event)

    def of(self, kind: type[e.Event]) -> list[e.Event]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def finished(self, count: int = 1) -> Verdict:
        await self.until(lambda: len(self.of(e.RunFinished)) >= count)
        last = self.of(e.RunFinished)[count - 1]
        assert isinstance(last, e.RunFinished)
        return last.verdict


FAKE_WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))


@asynccontextmanager
async def opened(
    course: Course, tmp_path: Path, home: Home, watch: bool = False, behaviour: str = "pass"
) -> AsyncIterator[tuple[Session, Followed]]:
    (exercise,) = course.exercises
    (exercise.folder / "behaviour").write_text(behaviour)
    async with Session(course, tmp_path / "work", home, watch=watch, worker=FAKE_WORKER) as session:
        session._preparer.start = lambda first=None: None  # type: ignore[method-assign]
        yield session, Followed(session)


def behave(exercise: Exercise, behaviour: str) -> None:
    (exercise.folder / "behaviour").write_text(behaviour)


async def test_a_run_passes_and_is_recorded(course: Course, exercise: Exercise, tmp_path: Path, home: Home) -> None:
    async with opened(course, tmp_path, home) as (session, followed):
        verdict = await session.run_once(exercise)
        assert (verdict.verdict, verdict.stage) == (Outcome.PASS, "bench")
        assert [check.id for check in verdict.checks] == ["one", "two"]
        assert verdict.seconds.total >= verdict.seconds.build > 0
        await followed.until(lambda: followed.of(e.RunFinished))
        kinds = [type(event) for event in followed.events]
        order = [e.RunStarted, e.BuildFinished, e.ChecksAnnounced, e.CheckFinished, e.BenchMeasured, e.RunFinished]
        assert [kind for kind in dict.fromkeys(kinds) if kind in order] == order
    progress, _ = ProgressStore(home.progress).load()
    assert progress.of("capi-add").passed_digest == verdict.digest
    assert progress.of("capi-add").best == {"many": 9.0}
    assert [record["verdict"] for record in History(home.history).read("capi-add")] == ["pass"]


async def test_a_version_that_is_told_to_have_passed_is_kept(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(course, tmp_path, home) as (session, _):
        keep, told = session.workspace.keep_pass, []

        def on_a_slow_disk(*args: object) -> None:
            time.sleep(0.2)
            keep(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(session.workspace, "keep_pass", on_a_slow_disk)
        emit = session._bench.pipeline._emit

        def listen(event: e.Event) -> None:
            if isinstance(event, e.RunFinished):
                told.append([version.kind for version in session.workspace.versions(exercise)])
            emit(event)

        monkeypatch.setattr(session._bench.pipeline, "_emit", listen)
        assert (await session.run_once(exercise)).passed
        assert told == [["passed"]]


async def test_without_the_benchmark_nothing_is_passed(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home) as (session, _):
        verdict = await session.run_once(exercise, bench=False)
        assert (verdict.verdict, verdict.stage, verdict.bench) == (Outcome.PASS, "check", ())
        assert not session.state.progress.of("capi-add").passed
        assert session.state.progress.of("capi-add").runs == 1


@pytest.mark.parametrize(
    ("behaviour", "outcome", "stage", "words"),
    [
        ("fail", Outcome.FAIL, "check", "1 of 2 checks fail"),
        ("silent", Outcome.FAIL, "check", "1 of 2 checks fail"),
        ("broken", Outcome.ERROR, "check", "ZeroDivisionError"),
        ("die", Outcome.ERROR, "check", "twice"),
        ("slow", Outcome.FAIL, "bench", "many: 1.00x a loop in Python, the target is 2x"),
        ("slow noisy", Outcome.FAIL, "bench", "inconclusive: machine too noisy"),
        ("noisy", Outcome.PASS, "bench", "inconclusive: machine too noisy"),
        ("skip", Outcome.PASS, "bench", "1 of 2 checks skipped"),
    ],
)
async def test_outcomes(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home,
    behaviour: str, outcome: Outcome, stage: str, words: str,
) -> None:  # fmt: skip
    async with opened(course, tmp_path, home, behaviour=behaviour) as (session, _):
        verdict = await session.run_once(exercise)
    assert (verdict.verdict, verdict.stage) == (outcome, stage)
    assert words in verdict.message
    if "noisy" in behaviour:
        budgets = [float(line.split()[0]) for line in (exercise.folder / "budgets").read_text().splitlines()]
        assert budgets[1] == 2 * budgets[0]
    if "slow" in behaviour:
        assert [finding.code for finding in verdict.findings] == ["slow"]


async def test_the_second_build_comes_from_the_cache(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home) as (session, followed):
        await session.run_once(exercise)
        await session.run_once(exercise)
        await followed.until(lambda: len(followed.of(e.BuildFinished)) == 2)
        assert [event.cached for event in followed.of(e.BuildFinished) if isinstance(event, e.BuildFinished)] == [
            False,
            True,
        ]


BAD = {
    "not C": (b"int x\n#include <Python.h>\nint y = ;\n", ""),
    "not UTF-8": (b"int a;\nint \xff\xfe;\n", "not UTF-8"),
    "big": (b"/" * (10 << 20), "MB"),
    "blank": (b" \n\n", "is empty: save it again, or bring the starter back with reset"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_sources_are_findings(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home, name: str
) -> None:
    content, words = BAD[name]
    async with opened(course, tmp_path, home) as (session, _):
        session.workspace.start(exercise)
        (session.workspace.folder(exercise) / "add.c").write_bytes(content)
        verdict = await session.run_once(exercise)
        assert (session.workspace.folder(exercise) / "add.c").read_bytes() == content
    assert (verdict.verdict, verdict.stage) == (Outcome.FAIL, "build")
    finding = verdict.findings[0]
    assert (finding.code, finding.file) == ("build", "add.c")
    assert words in finding.message


async def test_a_link_out_of_the_workspace_and_a_deleted_file(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home) as (session, _):
        session.workspace.start(exercise)
        file = session.workspace.folder(exercise) / "add.c"
        file.unlink()
        (tmp_path / "secret").write_text("int a;\n")
        file.symlink_to(tmp_path / "secret")
        verdict = await session.run_once(exercise)
        assert "outside the workspace" in verdict.findings[0].message
        file.unlink()
        session.workspace.root.joinpath("other.c").write_bytes(sources.solution_files(exercise)["add.c"])
        file.symlink_to(session.workspace.root / "other.c")
        assert (await session.run_once(exercise)).passed


async def test_a_folder_in_the_place_of_a_file_is_told_with_its_remedy(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home) as (session, _):
        session.workspace.start(exercise)
        file = session.workspace.folder(exercise) / "add.c"
        file.unlink()
        file.mkdir()
        verdict = await session.run_once(exercise)
    assert verdict.findings[0].message.startswith("add.c is a folder: move it away")
    assert file.is_dir()


async def test_every_save_runs_and_the_latest_wins(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home, watch=True, behaviour="hang") as (session, followed):
        await session.handle(e.Open("capi-add"))
        file = session.workspace.folder(exercise) / "add.c"
        solution = sources.solution_files(exercise)["add.c"]
        file.write_bytes(solution)
        await followed.until(lambda: followed.of(e.CheckFinished))
        behave(exercise, "pass")
        file.write_bytes(solution + b"// newer\n")
        verdict = await followed.finished()
        assert verdict.passed
        assert len(followed.of(e.RunStarted)) == 2
        assert [type(ev) for ev in followed.events if isinstance(ev, e.RunCancelled | e.RunFinished)] == [
            e.RunCancelled,
            e.RunFinished,
        ]
        assert len(followed.of(e.SaveSeen)) == 2
        assert session.state.last_save is not None


def alive_in(group: int) -> list[psutil.Process]:
    """Processes of a group that have not ended (one that nobody has reaped has)."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


async def test_a_slow_build_is_killed_by_the_next_save(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tutor.toolchains.base import BuildPlan, BuildRequest, Command
    from tutor.toolchains.cext import CExtensionToolchain

    real = CExtensionToolchain.plan

    def plan(self: CExtensionToolchain, request: BuildRequest) -> BuildPlan:
        made = real(self, request)
        if b"newest" in (request.source / "add.c").read_bytes():
            return made
        note = str(tmp_path / "compiler")
        slow = Command(("sh", "-c", f"echo $$ > {note}; sleep 1000 & wait"), request.source, "slow", {})
        return BuildPlan(((slow,), *made.stages), made.artifact, made.key, made.outputs)

    monkeypatch.setattr(CExtensionToolchain, "plan", plan)
    async with opened(course, tmp_path, home, watch=True) as (session, followed):
        await session.handle(e.Open("capi-add"))
        file = session.workspace.folder(exercise) / "add.c"
        solution = sources.solution_files(exercise)["add.c"]
        file.write_bytes(solution)
        note = tmp_path / "compiler"
        await followed.until(lambda: note.exists() and note.read_text())
        group = int(note.read_text())
        for number in range(5):
            file.write_bytes(solution + f"// {number}\n".encode())
            await asyncio.sleep(0.1)
        file.write_bytes(solution + b"// newest\n")
        verdict = await followed.finished()
        assert verdict.passed
        assert len(followed.of(e.RunFinished)) == 1
        assert len(followed.of(e.RunStarted)) == len(followed.of(e.RunCancelled)) + 1
        await followed.until(lambda: not alive_in(group))


async def test_a_file_that_is_gone_is_told_apart_from_one_that_cannot_be_read(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home, watch=True) as (session, followed):
        await session.open(exercise)
        (path,) = session.workspace.paths(exercise)
        text = path.read_bytes()
        path.unlink()
        await followed.until(lambda: followed.of(e.FileMissing))
        path.write_bytes(text)
        await followed.until(lambda: followed.of(e.SaveSeen))
        path.unlink()
        path.mkdir()
        await followed.until(lambda: len(followed.of(e.FileMissing)) == 2)
        assert [one.unreadable for one in followed.of(e.FileMissing)] == [False, True]  # type: ignore[attr-defined]


async def test_the_roof_is_measured_while_preparation_stands_still(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparing: list[bool] = []
    async with opened(course, tmp_path, home) as (session, _):

        async def asked(bench: object, known: object, may_measure: bool) -> None:
            preparing.append(session._preparer._go.is_set())

        monkeypatch.setattr(session._bench.roof, "asked", asked)
        await session.run_once(exercise)
        assert preparing == [False]
        assert session._preparer._go.is_set()


async def test_a_crash_beside_the_runs_reaches_whoever_follows(course: Course, tmp_path: Path, home: Home) -> None:
    async def crashing() -> None:
        raise ZeroDivisionError

    async with opened(course, tmp_path, home) as (session, followed):
        session._spawn(crashing())
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(followed._task, 20)


async def test_stop_and_run_by_key(course: Course, exercise: Exercise, tmp_path: Path, home: Home) -> None:
    async with opened(course, tmp_path, home, behaviour="hang") as (session, followed):
        await session.handle(e.Open("capi-add", run=True))
        await followed.until(lambda: followed.of(e.CheckFinished))
        await session.handle(e.Stop())
        assert session.state.run is not None
        assert session.state.run.cancelled
        behave(exercise, "pass")
        await session.handle(e.Run(bench=False))
        assert (await followed.finished()).stage == "check"


async def test_hints_reset_undo(course: Course, exercise: Exercise, tmp_path: Path, home: Home) -> None:
    async with opened(course, tmp_path, home, watch=True) as (session, followed):
        await session.handle(e.Open("capi-add"))
        await session.handle(e.Hint())
        await session.handle(e.Hint(9))
        assert session.state.progress.of("capi-add").hints == 3
        file = session.workspace.folder(exercise) / "add.c"
        file.write_text("my own words\n")
        assert (await followed.finished()).stage == "build"
        await session.handle(e.Reset())
        assert file.read_bytes() == sources.starter_files(exercise)["add.c"]
        assert (await followed.finished(2)).passed
        await session.handle(e.Undo())
        assert file.read_text() == "my own words\n"
        assert (await followed.finished(3)).stage == "build"
        assert len(followed.of(e.FilesReplaced)) == 2
        await session.handle(e.SolutionSeen())
        assert session.state.progress.of("capi-add").solution_seen


async def test_what_cannot_be_done_is_a_notice(course: Course, tmp_path: Path, home: Home) -> None:
    async with opened(course, tmp_path, home) as (session, _):
        await session.handle(e.Open("no-such"))
        await session.handle(e.Hint())
        texts = [notice.text for notice in session.state.notices if notice.level == "error"]
        assert len(texts) == 2
        assert "no-such" in texts[0]


async def test_a_missing_compiler_is_skipped_with_the_remedy(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tutor.toolchains.base import Availability
    from tutor.toolchains.cext import CExtensionToolchain

    monkeypatch.setattr(
        CExtensionToolchain, "probe", lambda self: Availability(False, missing="gcc", remedy="apt install gcc")
    )
    async with opened(course, tmp_path, home) as (session, _):
        verdict = await session.run_once(exercise)
    assert (verdict.verdict, verdict.remedy) == (Outcome.SKIPPED, "apt install gcc")
    assert "gcc" in verdict.message


async def test_a_deleted_file_is_told(course: Course, exercise: Exercise, tmp_path: Path, home: Home) -> None:
    async with opened(course, tmp_path, home, watch=True) as (session, followed):
        await session.handle(e.Open("capi-add"))
        file = session.workspace.folder(exercise) / "add.c"
        file.unlink()
        await followed.until(lambda: session.state.missing)
        assert session.state.missing == str(file)
        file.write_bytes(sources.solution_files(exercise)["add.c"])
        assert (await followed.finished()).passed
        assert session.state.missing == ""


async def test_two_sessions_at_once(course: Course, exercise: Exercise, tmp_path: Path, home: Home) -> None:
    async with opened(course, tmp_path, home) as (one, _), opened(course, tmp_path, home) as (other, _):
        verdicts = await asyncio.gather(
            one.run_once(exercise), other.run_once(exercise), one.hint(exercise), other.hint(exercise)
        )
        assert [verdict.passed for verdict in verdicts[:2] if isinstance(verdict, Verdict)] == [True, True]
    progress, _ = ProgressStore(home.progress).load()
    assert progress.of("capi-add").runs == 2
    assert progress.of("capi-add").hints == 1


async def test_it_restores_the_current_exercise_and_describes_it_to_clangd(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home, watch=True) as (session, followed):
        assert (await session.restore()).id == "capi-add"
        commands = session.workspace.root / "compile_commands.json"
        await followed.until(commands.exists)
        text = commands.read_text()
        assert str(session.workspace.folder(exercise)) in text
        assert "add.c" in text
        assert "-o" not in text.split('"')


async def test_bench_against_the_solution(course: Course, exercise: Exercise, tmp_path: Path, home: Home) -> None:
    async with opened(course, tmp_path, home) as (session, _):
        session.workspace.start(exercise)
        verdict = await session.bench_against(exercise, "solution")
        assert (verdict.verdict, [result.case for result in verdict.bench]) == (Outcome.PASS, ["many"])
        assert (exercise.folder / "budgets").read_text().split()[1] == "solution"


async def test_nothing_is_left_behind(course: Course, exercise: Exercise, tmp_path: Path, home: Home) -> None:
    async with opened(course, tmp_path, home) as (session, _):
        await session.run_once(exercise)
        scratch = session._bench.scratch
        worker = session._bench.zygotes.of("plain").ready
        assert scratch.exists()
        assert worker is not None
    assert not scratch.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)
