"""Statistics of paired timings: the ratio with its interval, and the rule that says when to stop measuring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

MIN_PAIRS = 7
MAX_PAIRS = 201
TIGHT = 0.05


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median of paired ratios baseline / learner with a distribution-free 95 % interval (sign test on ranks)."""

    value: float
    low: float
    high: float
    pairs: int

    @property
    def spread(self) -> float:
        """Half width of the interval relative to the value."""
        return (self.high - self.low) / (2 * self.value) if self.value else math.inf


def paired_ratio(learner: Sequence[float], baseline: Sequence[float]) -> Ratio:
    """Ratio of two equally long sequences of seconds, measured in turn. Raises ValueError when empty or unequal.

    The interval is the pair of order statistics whose binomial coverage is at least 95 %; below six pairs no such
    pair exists and the interval is the whole range.
    """
    if not learner or len(learner) != len(baseline):
        raise ValueError(f"need pairs, got {len(learner)} and {len(baseline)}")
    ratios = sorted(b / a for a, b in zip(learner, baseline, strict=True))
    rank = _rank(len(ratios))
    return Ratio(median(ratios), ratios[rank], ratios[-1 - rank], len(ratios))


def _rank(n: int, alpha: float = 0.05) -> int:
    """Largest k with 2 * P(Binomial(n, 1/2) < k + 1) <= alpha, or 0 where there is none."""
    cumulative, k = 0.0, 0
    for i in range(n):
        cumulative += math.comb(n, i) / 2**n
        if 2 * cumulative > alpha:
            break
        k = i
    return k


def enough(ratio: Ratio, target: float, gold: float | None = None) -> bool:
    """Stop when the interval is tight, or lies clearly on one side of each threshold that could still change."""
    if ratio.pairs < MIN_PAIRS:
        return False
    if ratio.pairs >= MAX_PAIRS or ratio.spread <= TIGHT:
        return True
    thresholds = [target] if gold is None else [target, gold]
    return all(ratio.low > t or ratio.high < t for t in thresholds)


def meets(ratio: Ratio, target: float) -> bool | None:
    """True or False when the interval says so, None when the target lies inside an interval that is not tight."""
    if ratio.low >= target:
        return True
    if ratio.high < target:
        return False
    return ratio.value >= target if ratio.spread <= TIGHT else None
