"""Verify on a small course with the real compiler and the real worker: sound exercises pass, weak ones are named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tutor.content.course import load_course
from tutor.content.sources import solution_files
from tutor.core.exercise import Course
from tutor.core.finding import Finding, Severity
from tutor.core.verdict import Outcome, Verdict
from tutor.engine import verify as module
from tutor.engine.verify import VerifyRow, solution_problem, verify
from tutor.engine.workbench import Workbench
from tutor.store.home import Home


async def rows(course: Course, home: Home, bench: bool = True, jobs: int = 2) -> dict[str, VerifyRow]:
    return {row.name: row async for row in verify(course, jobs=jobs, home=home, bench=bench)}


def edit(course: Course, name: str, old: str, new: str) -> Course:
    file = course.exercises[0].folder / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return load_course(course.root)


async def test_a_sound_exercise_passes_every_row(course: Course, home: Home) -> None:
    found = await rows(course, home)
    # A machine that is busy can't decide on the solution's speed, and says so.
    said = {name: row.message.partition(":")[0].removeprefix("speed not proven") for name, row in found.items()}
    assert {name: (row.outcome, said[name]) for name, row in found.items()} == {
        name: (Outcome.PASS, "")
        for name in (
            "folder",
            "starter",
            "solution",
            "faults/wrong-start.patch",
            "faults/typing-error.patch",
            "faults/slow-loop.patch",
        )
    }


async def test_builds_are_removed_as_the_rows_are_done(
    course: Course, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    benches: list[Workbench] = []

    def made(*arguments: Any) -> Workbench:
        benches.append(Workbench(*arguments))
        return benches[0]

    monkeypatch.setattr(module, "Workbench", made)
    left = [len(list(benches[0].scratch.glob("build-*"))) async for _ in verify(course, jobs=2, home=home, bench=False)]
    assert max(left) <= 2, "one for each row that is still being proved"
    assert left[-1] == 0


async def test_a_right_solution_in_another_style_must_pass(course: Course, home: Home) -> None:
    exercise = course.exercises[0]
    right = solution_files(exercise)["add.c"]
    wrong = right.replace(b"double value = 0.0", b"double value = 1.0")
    for name, text in (("another", right + b"// in another style\n"), ("wrong", wrong)):
        folder = exercise.folder / "alternatives" / name
        folder.mkdir(parents=True)
        (folder / "add.c").write_bytes(text)
    found = await rows(load_course(course.root), home, bench=False)
    assert (found["folder"].message, found["another"].what) == ("", "alternative")
    assert found["another"].outcome is Outcome.PASS
    assert found["wrong"].outcome is Outcome.FAIL


async def test_weaknesses_are_named(course: Course, home: Home) -> None:
    folder = course.exercises[0].folder
    (folder / "left.txt").write_text("forgotten")
    (folder / "hints.md").write_text("## Hint 1\nThink.\n")
    edit(course, "exercise.toml", 'codes = ["wrong-result"]', 'codes = ["crash"]')
    course = edit(course, "exercise.toml", 'at = "static PyObject *total("', 'at = "PyModule_Create"')
    found = await rows(course, home, bench=False)
    assert "left.txt" in found["folder"].message
    assert "1 hint" in found["folder"].message
    assert re.search("wrong-result.*declared is crash", found["starter"].message)
    assert "add.c:4, declared is add.c:1" in found["faults/wrong-start.patch"].message
    assert found["faults/slow-loop.patch"].outcome is Outcome.SKIPPED
    assert found["solution"].outcome is Outcome.PASS


async def test_an_escaping_fault_and_a_failing_solution(course: Course, home: Home) -> None:
    course = edit(course, "test_add.py", "assert got == sum(values)", "assert got >= 0.0")
    found = await rows(course, home, bench=False)
    assert found["faults/wrong-start.patch"].message.startswith("escaped")
    assert found["starter"].message == "the starter passes"
    course = edit(course, "test_add.py", "assert got >= 0.0", "assert got < 0.0")
    found = await rows(course, home, bench=False)
    assert found["solution"].outcome is Outcome.FAIL
    assert "the solution fails at check" in found["solution"].message


async def test_what_cannot_be_built_here_is_skipped(
    course: Course, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tutor.toolchains.base import Availability
    from tutor.toolchains.cext import CExtensionToolchain

    monkeypatch.setattr(CExtensionToolchain, "probe", lambda self: Availability(False, missing="no gcc"))
    found = await rows(course, home, bench=False)
    assert found["folder"].outcome is Outcome.PASS
    assert {row.outcome for name, row in found.items() if name != "folder"} == {Outcome.SKIPPED}
    assert "no gcc" in found["solution"].message


def test_a_speed_that_is_not_decided_is_said_and_fails_nothing() -> None:
    note = Finding("slow", "sum: 2.10x a loop, the target is 2x (too noisy)", "add.c", severity=Severity.NOTE)
    noisy = Verdict("x-add", "d", Outcome.PASS, "bench", findings=(note,))
    assert solution_problem(noisy) == ""
    warned = Verdict("x-add", "d", Outcome.PASS, "bench", findings=(note, Finding("build", "unused", "add.c")))
    assert "build" in solution_problem(warned)
    slow = Verdict("x-add", "d", Outcome.FAIL, "bench", findings=(Finding("slow", "0.5x", "add.c"),), message="0.5x")
    assert "fails at bench" in solution_problem(slow)
