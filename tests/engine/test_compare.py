"""Comparisons and kept versions in a session: told beside the runs, ended by a save, never recorded."""

from __future__ import annotations

from pathlib import Path

from test_session import behave, opened

from tutor.content import sources
from tutor.core import events as e
from tutor.core.exercise import Course, Exercise
from tutor.store.home import Home


async def test_a_comparison_is_told_beside_the_runs(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home) as (session, followed):
        await session.handle(e.Open("capi-add", run=True))
        verdict = await followed.finished()
        before = session.state
        await session.handle(e.Compare("solution"))
        await followed.until(lambda: session.state.compared and session.state.compared.done)
        compared = session.state.compared
        assert compared is not None
        assert (compared.against, compared.message) == ("solution", "")
        assert [result.case for result in compared.bench] == ["many"]
        assert (exercise.folder / "budgets").read_text().split()[-1] == "solution"
        assert session.state.run == before.run
        assert session.state.run is not None
        assert session.state.run.verdict is verdict
        assert session.state.progress.of("capi-add").runs == 1
        steps = [event.doing for event in followed.events if isinstance(event, e.Compared)]
        assert steps[0] == "waiting for the run before it"
        assert any(step.startswith("measuring") for step in steps)
        assert steps[-1] == ""


async def test_a_comparison_waits_for_the_run_and_a_stop_ends_both(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home, behaviour="hang") as (session, followed):
        await session.handle(e.Open("capi-add", run=True))
        await followed.until(lambda: followed.of(e.CheckFinished))
        await session.handle(e.Compare("starter"))
        assert session.state.run is not None
        assert session.state.run.active
        assert session.state.compared == e.Compared("capi-add", "starter", "waiting for the run before it")
        await session.handle(e.Stop())
        assert session.state.compared is not None
        assert (session.state.compared.done, session.state.compared.message) == (True, "stopped")
        behave(exercise, "pass")
        await session.handle(e.Run())
        await session.handle(e.Compare("starter"))
        await followed.finished()
        await followed.until(lambda: followed.of(e.Compared)[-1].done)  # type: ignore[attr-defined]
        assert session.state.compared.against == "starter"


async def test_code_that_does_not_build_is_not_compared(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home) as (session, followed):
        await session.handle(e.Open("capi-add"))
        (session.workspace.folder(exercise) / "add.c").write_text("int x = ;\n")
        await session.handle(e.Compare("solution"))
        await followed.until(lambda: session.state.compared and session.state.compared.done)
        assert session.state.compared is not None
        assert session.state.compared.message
        assert session.state.compared.bench == ()
        await session.handle(e.Compare("pass"))
        await followed.until(lambda: session.state.compared and session.state.compared.done)
        assert "no version of capi-add that passed was kept" in session.state.compared.message


async def test_what_passed_is_kept_compared_with_and_brought_back(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home, watch=True) as (session, followed):
        await session.handle(e.Open("capi-add", run=True))
        await followed.finished()
        file = session.workspace.folder(exercise) / "add.c"
        passed = file.read_bytes()
        await followed.until(lambda: session.workspace.versions(exercise))
        file.write_bytes(b"int x = ;\n")
        assert not (await followed.finished(2)).passed
        (version,) = session.workspace.versions(exercise)
        assert (version.kind, version.title, version.files) == ("passed", "passed", {"add.c": passed})
        await session.handle(e.BringBack(version.number))
        assert file.read_bytes() == passed
        assert (await followed.finished(3)).passed
        replaced = followed.of(e.FilesReplaced)[-1]
        assert isinstance(replaced, e.FilesReplaced)
        assert replaced.label.startswith("your version of ")
        await session.handle(e.Undo())
        assert file.read_bytes() == b"int x = ;\n"
        await session.handle(e.BringBack(99))
        assert "no version 99 of capi-add is kept" in session.state.notices[-1].text


async def test_a_run_without_its_benchmark_keeps_nothing(
    course: Course, exercise: Exercise, tmp_path: Path, home: Home
) -> None:
    async with opened(course, tmp_path, home) as (session, _):
        assert (await session.run_once(exercise, bench=False)).passed
        assert session.workspace.versions(exercise) == ()
        assert (await session.run_once(exercise)).passed
        assert session.workspace.last_pass(exercise).files == sources.starter_files(exercise)


async def test_a_wrong_answer_has_no_speed(course: Course, exercise: Exercise, tmp_path: Path, home: Home) -> None:
    async with opened(course, tmp_path, home, behaviour="wrong-timed") as (session, followed):
        await session.handle(e.Open("capi-add"))
        await session.handle(e.Compare("starter"))
        await followed.until(lambda: session.state.compared and session.state.compared.done)
        compared = session.state.compared
        assert compared is not None
        assert compared.bench == ()
        assert compared.message == "no time counts while one side is wrong: sum 0.0, want 4.0"
        assert any(event.bench for event in followed.of(e.Compared)), "it was measured before that was noticed"
