"""Proves the whole course: every starter, solution and fault, with the real toolchains (`make verify`: a table)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tutor.content.course import load_course
from tutor.core.verdict import Outcome
from tutor.engine.verify import VerifyRow, verify
from tutor.store.home import Home

COURSE = load_course()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One home for all: headers, crates and builds are made once."""
    patch = pytest.MonkeyPatch()
    folder: Path = tmp_path_factory.mktemp("home")
    patch.setenv("MLTUTOR_HOME", str(folder))
    yield Home.locate()
    patch.undo()


@pytest.mark.slow
@pytest.mark.parametrize("name", [exercise.id for exercise in COURSE.exercises])
async def test_every_proof_of_the_exercise_holds(name: str, home: Home) -> None:
    rows = [row async for row in verify(COURSE, (name,), jobs=2, home=home)]
    wrong = [told(row) for row in rows if row.outcome in (Outcome.FAIL, Outcome.ERROR)]
    assert wrong == []
    proven = [row for row in rows if row.outcome is Outcome.PASS]
    assert any(row.what == "folder" for row in proven)
    if all(row.outcome is Outcome.SKIPPED for row in rows if row.what == "solution"):
        pytest.skip(next(row.message for row in rows if row.what == "solution"))


def told(row: VerifyRow) -> str:
    return f"{row.exercise} {row.what} {row.name}: {row.message}"
