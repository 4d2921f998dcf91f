"""Proves the whole course: every starter, solution and fault, with the real toolchains (`make verify`: a table)."""

from __future__ import annotations

import pytest
from proofs import Proofs

from tutor.content.course import load_course
from tutor.core.verdict import Outcome
from tutor.engine.verify import VerifyRow
from tutor.store.home import Home

COURSE = load_course()


@pytest.fixture(scope="module")
def proofs(request: pytest.FixtureRequest, course_home: Home) -> Proofs:
    """The proofs of the exercises that this session asks for."""
    chosen = {item.callspec.params["name"] for item in request.session.items if "proofs" in _fixtures(item)}
    return Proofs(COURSE, [one.id for one in COURSE.exercises if one.id in chosen], course_home)


def _fixtures(item: pytest.Item) -> tuple[str, ...]:
    return tuple(getattr(item, "fixturenames", ()))


@pytest.mark.slow
@pytest.mark.parametrize("name", [exercise.id for exercise in COURSE.exercises])
def test_every_proof_of_the_exercise_holds(name: str, proofs: Proofs) -> None:
    rows = proofs.of(name)
    wrong = [told(row) for row in rows if row.outcome in (Outcome.FAIL, Outcome.ERROR)]
    assert wrong == []
    proven = [row for row in rows if row.outcome is Outcome.PASS]
    assert any(row.what == "folder" for row in proven)
    if all(row.outcome is Outcome.SKIPPED for row in rows if row.what == "solution"):
        pytest.skip(next(row.message for row in rows if row.what == "solution"))


def told(row: VerifyRow) -> str:
    return f"{row.exercise} {row.what} {row.name}: {row.message}"
