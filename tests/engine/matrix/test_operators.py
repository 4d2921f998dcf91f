"""What the `operator` fixture says of planted operators of torch, on every Python that has torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matrix_pythons import OUTCOMES, pythons
from operator_cases import CHECKS, PLANTED, SAID, names_of_codes
from worker_harness import Outcome, outcome_of_checks

from tutor.core.verdict import Outcome as Verdict

pytestmark = pytest.mark.slow
VERSIONS = sorted(pythons())


@pytest.fixture(scope="module")
def seen_on(python_of: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    @functools.cache
    def seen(version: str) -> Outcome:
        python = python_of(version)
        if not python.torch:
            pytest.skip(f"torch is not installed for Python {version}")
        root: Path = tmp_path_factory.mktemp(f"operators{version}")
        return outcome_of_checks("torch", PLANTED, CHECKS, root, python.executable)

    return seen


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("code", names_of_codes())
def test_a_defect_of_an_operator_is_named(
    seen_on: Callable[[str], Outcome], request: pytest.FixtureRequest, version: str, code: str
) -> None:
    seen = seen_on(version)
    missed = [name for name in names_of_codes()[code] if seen.codes(name) != [code]]
    request.config.stash[OUTCOMES][code, "operators", version] = "missed" if missed else "named"
    assert missed == [], [seen.results[name].message for name in missed]


@pytest.mark.parametrize("version", VERSIONS)
def test_right_operators_are_silent_on(seen_on: Callable[[str], Outcome], version: str) -> None:
    results = seen_on(version).results
    silent = {name: result for name, result in results.items() if name not in SAID}
    assert len(silent) == 12
    assert {name: r.message for name, r in silent.items() if r.outcome is not Verdict.PASS} == {}
