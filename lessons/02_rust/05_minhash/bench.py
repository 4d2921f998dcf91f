"""Benchmark of rs-minhash: 1,000 documents of 20 to 500 shingles, 128 hash functions."""

import numpy as np

from tutor.worker.case import Case

DOCUMENTS, MOST, FUNCTIONS = 1000, 500, 128
MASK = (1 << 64) - 1


def functions(count, seed):
    """Multipliers and addends as the exercise defines them."""
    state, drawn = seed, []
    for _ in range(2 * count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        drawn.append(z ^ (z >> 31))
    return np.array(drawn[::2], np.uint64) | np.uint64(1), np.array(drawn[1::2], np.uint64)


def make(rng):
    sizes = rng.integers(20, MOST + 1, DOCUMENTS)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return rng.integers(0, 1 << 64, int(offsets[-1]), np.uint64), offsets, int(rng.integers(1 << 63))


def by_numpy(multipliers, addends, buffer, shingles, offsets):
    """One document at a time, so that the products stay in the cache, and in one buffer: temporaries cost more."""
    rows = np.full((len(offsets) - 1, len(multipliers)), 0xFFFFFFFF, np.uint32)
    for row, start, end in zip(rows, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        if end > start:
            hashes = np.multiply(shingles[start:end, None], multipliers, out=buffer[: end - start])
            hashes += addends
            row[:] = hashes.min(axis=0) >> np.uint64(32)
    return rows


def prepare_baseline(inputs):
    shingles, offsets, seed = inputs
    return (*functions(FUNCTIONS, seed), np.ones((MOST, FUNCTIONS), np.uint64), shingles, offsets)


def same(inputs, got, want):
    assert (got.shape, got.dtype) == (want.shape, want.dtype), f"got {got.dtype} of shape {got.shape}"
    wrong = int((got != want).sum())
    assert wrong == 0, f"{wrong} of {want.size} numbers differ"


CASES = {
    "documents-1000": Case(
        make=make,
        prepare=lambda built, inputs: (built.MinHasher(FUNCTIONS, inputs[2]), *inputs[:2]),
        learner=lambda built, hasher, shingles, offsets: hasher.signatures(shingles, offsets),
        prepare_baseline=prepare_baseline,
        baseline=by_numpy,
        verify=same,
    )
}
