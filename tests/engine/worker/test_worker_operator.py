"""The `operator` fixture: each defect of an operator is named with its input, and right operators stay silent."""

from __future__ import annotations

import pytest
from operator_cases import CHECKS, PLANTED, SAID
from worker_harness import Outcome, outcome_of_checks

from tutor.core.verdict import Outcome as Verdict

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    pytest.importorskip("torch")
    return outcome_of_checks("torch", PLANTED, CHECKS, tmp_path_factory.mktemp("operators"))


@pytest.mark.parametrize("name", SAID)
def test_a_defect_is_named_with_the_input_that_shows_it(seen: Outcome, name: str) -> None:
    code, words = SAID[name]
    result = seen.results[name]
    assert [finding.code for finding in result.findings] == [code], result.message
    assert words in result.findings[0].message


def test_right_operators_are_silent(seen: Outcome) -> None:
    silent = [result for name, result in seen.results.items() if name not in SAID]
    assert len(silent) == 12
    assert {result.id: result.message for result in silent if result.outcome is not Verdict.PASS} == {}
