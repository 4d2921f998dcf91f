"""Benchmarks of capi-refs: 4,096 pairs (they stay in the L2 cache) in batches, against two Python ways."""

from __future__ import annotations

from tutor.worker.case import Case

COUNT = 4_096


def make(size):
    def inputs(rng):
        ids = [f"doc-{number}" for number in rng.integers(0, 1 << 40, COUNT).tolist()]
        return list(zip(ids, rng.standard_normal(COUNT).tolist(), strict=True)), size

    return inputs


def learner(built, pairs, size):
    return built.collate(pairs, size)


def comprehension(pairs, size):
    batches = []
    for start in range(0, len(pairs), size):
        chunk = pairs[start : start + size]
        batches.append(([pair[0] for pair in chunk], [float(pair[1]) for pair in chunk]))
    return batches


def columns(pairs, size):
    batches = []
    for start in range(0, len(pairs), size):
        ids, scores = zip(*pairs[start : start + size], strict=True)
        batches.append((list(ids), list(map(float, scores))))
    return batches


def verify(inputs, got, want):
    assert got == want, "the batches differ from those of the list comprehension"


CASES = {
    "batch-4096": Case(make=make(4096), learner=learner, baseline=comprehension, verify=verify),
    "batch-32": Case(make=make(32), learner=learner, baseline=comprehension, verify=verify),
    "zip-4096": Case(make=make(4096), learner=learner, baseline=columns, verify=verify),
}
