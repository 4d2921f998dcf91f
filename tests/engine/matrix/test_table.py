"""The table in the docs is what the tests last said, and has a cell for every case that they have."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from matrix_cases import CASES, NOT_APPLICABLE, TOOLCHAINS
from operator_cases import names_of_codes

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def matrix() -> ModuleType:
    spec = importlib.util.spec_from_file_location("matrix", ROOT / "docs" / "matrix.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_results_have_every_case_on_one_python_at_least(matrix: ModuleType) -> None:
    outcomes = matrix.read_outcomes()
    cases = {(d, t) for d, row in CASES.items() for t in row}
    assert {(d, t) for d, t, _ in outcomes} == cases | {(code, "operators") for code in names_of_codes()}


def test_what_is_said_to_be_missed_is_what_was_missed(matrix: ModuleType) -> None:
    for (defect, toolchain, version), outcome in matrix.read_outcomes().items():
        case = CASES[defect][toolchain] if toolchain != "operators" else None
        expected = "missed" if case and case.missed_on(version) else "named"
        assert outcome == expected, (defect, toolchain, version)


def test_the_page_shows_them(matrix: ModuleType) -> None:
    page = matrix.PAGE.read_text(encoding="utf-8")
    assert page == matrix.page_with_table(page, matrix.render(matrix.read_outcomes()))


def test_nothing_is_both_possible_and_not() -> None:
    assert all(toolchain not in CASES[defect] for defect, toolchain in NOT_APPLICABLE)
    assert all(set(row) <= set(TOOLCHAINS) for row in CASES.values())
