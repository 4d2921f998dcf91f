"""Benchmarks of cpp-arena: the tokens of 2,000 documents, sixteen alive at a time, from new or from an arena."""

from __future__ import annotations

import ctypes

import numpy as np

from tutor.worker.case import Case

DOCS, BATCH, MEAN_LENGTH = 2000, 16, 200
INT64 = ctypes.c_int64


def make(rng):
    """Ids of a vocabulary, documents of 1 to some 1,000 tokens as they come: most are short."""
    lengths = np.minimum(1 + rng.exponential(MEAN_LENGTH, DOCS).astype(np.int64), 4096)
    return rng.integers(0, 50_000, int(lengths.sum()), dtype=np.int32), lengths


def prepare(built, inputs):
    """Prototypes and addresses before the clock starts."""
    for name in ("tokens_in_arena", "tokens_by_new", "tokens_by_pmr"):
        call = getattr(built, name)
        call.argtypes, call.restype = (ctypes.c_void_p, ctypes.c_void_p, INT64, INT64), INT64
    ids, lengths = inputs
    return ids.ctypes.data, lengths.ctypes.data, ids, lengths


def learner(built, ids_at, lengths_at, ids, lengths):
    return built.tokens_in_arena(ids_at, lengths_at, DOCS, BATCH)


def by_new(built, ids_at, lengths_at, ids, lengths):
    return built.tokens_by_new(ids_at, lengths_at, DOCS, BATCH)


def by_pmr(built, ids_at, lengths_at, ids, lengths):
    return built.tokens_by_pmr(ids_at, lengths_at, DOCS, BATCH)


def verify(inputs, got, want):
    ids, lengths = inputs
    place = np.arange(ids.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    right = int(np.sum(ids.astype(np.int64) * ((place & 7) + 1)))
    assert got == want == right, f"the walk over all tokens gave {got}, want {right}"


def case(baseline):
    return Case(make=make, prepare=prepare, learner=learner, baseline=baseline, baseline_built=True, verify=verify)


CASES = {"tokens": case(by_new), "against-pmr": case(by_pmr)}
