"""Where a case stands under its roof."""

from __future__ import annotations

import pytest

from tutor.core.roof import Roof, standing, standings
from tutor.core.verdict import BenchResult

ROOF = Roof(((1000, 100e9), (10**9, 10e9)), 50e9)


def timed(bytes: int, flops: int, seconds: float) -> BenchResult:
    return BenchResult("case", "b", 1.0, 1.0, 1.0, 1.0, True, seconds=seconds, bytes=bytes, flops=flops)


def test_few_operations_a_byte_are_bound_by_memory() -> None:
    found = standing(timed(10**6, 10**6, 2e-4), ROOF)
    assert found is not None
    assert (found.bound, found.rate, found.limit, found.intensity) == ("memory", pytest.approx(5e9), 10e9, 1.0)
    assert found.share == pytest.approx(0.5)


def test_many_are_bound_by_arithmetic() -> None:
    found = standing(timed(10**6, 10**8, 4e-3), ROOF)
    assert found is not None
    assert (found.bound, found.share) == ("arithmetic", pytest.approx(0.5))


def test_small_data_stands_under_the_roof_of_its_cache() -> None:
    found = standing(timed(1000, 0, 2e-8), ROOF)
    assert found is not None
    assert (found.limit, found.share, found.bound) == (100e9, pytest.approx(0.5), "memory")


def test_a_case_that_says_nothing_has_no_place() -> None:
    assert standing(timed(0, 10, 1.0), ROOF) is None
    assert standing(timed(10, 10, 0.0), ROOF) is None
    assert standing(timed(10, 10, 1.0), Roof((), 1.0)) is None
    assert standings([timed(0, 1, 1.0), timed(1, 1, 1.0)], None) == ()
    assert len(standings([timed(0, 1, 1.0), timed(1, 1, 1.0)], ROOF)) == 1
