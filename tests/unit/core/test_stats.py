from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutor.core.stats import MIN_PAIRS, TIGHT, Ratio, enough, meets, paired_ratio

times = st.floats(min_value=1e-7, max_value=1e3)


@given(st.lists(st.tuples(times, times), min_size=1, max_size=60))
def test_interval_contains_the_median_and_stays_within_the_ratios(pairs: list[tuple[float, float]]) -> None:
    learner, baseline = zip(*pairs, strict=True)
    ratio = paired_ratio(learner, baseline)
    ratios = [b / a for a, b in pairs]
    assert min(ratios) <= ratio.low <= ratio.value <= ratio.high <= max(ratios)
    assert ratio.pairs == len(pairs)


def test_interval_covers_the_true_ratio_as_often_as_it_says() -> None:
    rng = random.Random(7)
    hits = 0
    for _ in range(400):
        noise = [math.exp(rng.gauss(0, 0.2)) for _ in range(25)]
        ratio = paired_ratio([1.0] * 25, [3.0 * x for x in noise])
        hits += ratio.low <= 3.0 <= ratio.high
    assert hits >= 0.93 * 400


def test_sign_test_ranks_match_the_binomial_table() -> None:
    ten = paired_ratio([1.0] * 10, [float(i) for i in range(1, 11)])
    assert (ten.low, ten.high) == (2.0, 9.0)
    twenty = paired_ratio([1.0] * 20, [float(i) for i in range(1, 21)])
    assert (twenty.low, twenty.high) == (6.0, 15.0)


@pytest.mark.parametrize(("learner", "baseline"), [([], []), ([1.0], [1.0, 2.0])])
def test_unpaired_timings_are_refused(learner: list[float], baseline: list[float]) -> None:
    with pytest.raises(ValueError, match="pairs"):
        paired_ratio(learner, baseline)


def test_measuring_stops_when_the_interval_is_tight_or_clear_of_every_threshold() -> None:
    assert not enough(Ratio(5, 4.99, 5.01, MIN_PAIRS - 1), 2)
    assert enough(Ratio(5, 5 * (1 - TIGHT / 2), 5 * (1 + TIGHT / 2), MIN_PAIRS), 5)
    assert enough(Ratio(5, 3, 8, MIN_PAIRS), 2)
    assert not enough(Ratio(5, 3, 8, MIN_PAIRS), 2, gold=6)
    assert not enough(Ratio(5, 3, 8, MIN_PAIRS), 4)


def test_a_target_inside_a_wide_interval_is_neither_met_nor_missed() -> None:
    assert meets(Ratio(5, 4, 6, 9), 3) is True
    assert meets(Ratio(5, 4, 6, 9), 7) is False
    assert meets(Ratio(5, 4, 6, 9), 5) is None
    assert meets(Ratio(5, 4.9, 5.1, 9), 4.95) is True
    assert meets(Ratio(5, 4.9, 5.1, 9), 5.05) is False
