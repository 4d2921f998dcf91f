"""Benchmarks of ffi-batch: 20,000 tokens, a crossing for each, against a crossing for each 4,096."""

from __future__ import annotations

import importlib
import time

import numpy as np

from tutor.worker.case import Case

NUMBER, ROWS = 20_000, 1 << 20


def make(rng):
    return ([f"tok{value:x}" for value in rng.integers(0, 1 << 24, NUMBER).tolist()],)


def prepare(built, inputs):
    """The learner's api.py, and the prototypes that the baseline needs as well."""
    api = importlib.import_module("api")
    api.declare(built)
    return api, *inputs


def stream(chunk):
    def learner(built, api, tokens):
        return np.concatenate(list(api.hash_stream(built, tokens, ROWS, chunk)))

    return learner


def per_item(built, api, tokens):
    call = built.hash_token
    return np.array([call(data := token.encode(), len(data), ROWS) for token in tokens], np.uint32)


def prepare_predicted(built, inputs):
    """Measure single crossings of several sizes, fit the learner's model, and predict a stream in chunks of 64."""
    api, tokens = prepare(built, inputs)
    samples = [(size, min(crossing(built, api, tokens[:size]) for _ in range(5))) for size in (1, 8, 64, 512, 4096)]
    return api, tokens, api.fit(samples).predict(len(tokens), 64), per_item(built, api, tokens)


def crossing(built, api, tokens):
    """Seconds of one crossing, packing included."""
    begin = time.perf_counter()
    for _ in api.hash_stream(built, tokens, ROWS, len(tokens)):
        pass
    return time.perf_counter() - begin


def measured(built, api, tokens, seconds, rows):
    return np.concatenate(list(api.hash_stream(built, tokens, ROWS, 64)))


def predicted(built, api, tokens, seconds, rows):
    """Takes the predicted time, so that the ratio shown is predicted / measured."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return rows


CASES = {
    "chunk-4096": Case(make=make, prepare=prepare, learner=stream(4096), baseline=per_item, baseline_built=True),
    "chunk-64": Case(make=make, prepare=prepare, learner=stream(64), baseline=per_item, baseline_built=True),
    "predicted": Case(make=make, prepare=prepare_predicted, learner=measured, baseline=predicted, baseline_built=True),
}
