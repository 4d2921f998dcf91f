"""Every planted defect of every toolchain on every Python: named or, where that is said beforehand, missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cases import CASES, Case
from conftest import OUTCOMES, pythons

from tutor.core.finding import Severity

ALL = [(v, t, d) for v in sorted(pythons()) for d, row in CASES.items() for t in row]
CLEAN = [(v, t, d) for v, t, d in ALL if CASES[d][t].clean]


def codes(python: Any, toolchain: str, statement: str, case: Case) -> list[str]:
    diagnosis = python.question(toolchain, statement, case.faults)
    assert diagnosis.problem is None, diagnosis.problem
    found = [f.finding for f in diagnosis.findings if case.note or f.finding.severity is not Severity.NOTE]
    return [finding.code for finding in found]


@pytest.mark.slow
@pytest.mark.parametrize(("version", "toolchain", "defect"), ALL)
def test_a_defect_is_named(
    python_of: Callable[[str], Any], request: pytest.FixtureRequest, version: str, toolchain: str, defect: str
) -> None:
    case = CASES[defect][toolchain]
    found = codes(python_of(version), toolchain, case.call, case)
    named = (case.code or defect) in found
    request.config.stash[OUTCOMES][defect, toolchain, version] = "named" if named else "missed"
    assert named is not case.missed_on(version), (found, case.missed)


@pytest.mark.slow
@pytest.mark.parametrize(("version", "toolchain", "defect"), CLEAN)
def test_its_clean_twin_is_silent(python_of: Callable[[str], Any], version: str, toolchain: str, defect: str) -> None:
    case = CASES[defect][toolchain]
    assert codes(python_of(version), toolchain, case.clean, case) == []
