"""Benchmarks of cy-prange: a node with half of 600,000 samples of 28 features (as many as HIGGS has).

Large enough that a thread which has to wait for a core delays the result by less than it saves.
"""

from __future__ import annotations

from tutor.worker.case import Case

SAMPLES, FEATURES, THREADS = 600_000, 28, 2


def node(rng):
    """The bins of a feature that is skewed, as most are; a random half of the samples is in the node."""
    import numpy as np

    bins = rng.integers(0, 256, (SAMPLES, FEATURES), np.uint8)
    bins &= rng.integers(0, 256, FEATURES, np.uint8) | 15
    gradients = rng.standard_normal(SAMPLES, np.float32)
    hessians = rng.random(SAMPLES, np.float32)
    return bins, gradients, hessians, np.flatnonzero(rng.random(SAMPLES) < 0.5).astype(np.int32)


def learner(built, bins, gradients, hessians, rows):
    return built.histograms(bins, gradients, hessians, rows, THREADS)


def one_thread(built, bins, gradients, hessians, rows):
    return built.histograms(bins, gradients, hessians, rows, 1)


def bincount_loop(bins, gradients, hessians, rows):
    """NumPy's way: the node's samples once, then two weighted counts a feature."""
    import numpy as np

    own, weights = bins[rows].T.copy(), (gradients[rows].astype(np.float64), hessians[rows].astype(np.float64))
    return np.array([[np.bincount(column, w, 256) for w in weights] for column in own]).transpose(0, 2, 1)


def close(inputs, got, want):
    import numpy as np

    assert (got.shape, got.dtype) == (want.shape, want.dtype), f"got {got.dtype} of shape {got.shape}"
    wrong = np.argwhere(~np.isclose(got, want, rtol=1e-9, atol=1e-7))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        raise AssertionError(f"at {list(place)}: got {got[place]:.12g}, want {want[place]:.12g}")


CASES = {
    "node-300k": Case(make=node, learner=learner, baseline=bincount_loop, verify=close),
    "two-for-one": Case(make=node, learner=learner, baseline=one_thread, verify=close, baseline_built=True),
}
