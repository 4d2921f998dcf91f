"""Benchmark of ct-safetensors: one tensor out of a hundred, against reading the whole file first."""

from __future__ import annotations

import json
import os
import struct
from functools import cache
from pathlib import Path

import numpy as np

from tutor.worker.case import Case

TENSORS, ROWS, COLUMNS = 100, 512, 512
BYTES = ROWS * COLUMNS * 4


class Shard:
    """A file in memory, gone with its last owner: no benchmark leaves 100 MB in /tmp."""

    def __init__(self, name, value, parts):
        self._fd = os.memfd_create("shard")
        self.name, self.value = name, value
        os.writev(self._fd, parts)

    def __fspath__(self):
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def __del__(self):
        os.close(self._fd)


def header():
    """100 matrices of 1 MB, as a wheel would write them."""
    names = [f"model.layers.{i // 4}.{('q_proj', 'k_proj', 'v_proj', 'o_proj')[i % 4]}.weight" for i in range(TENSORS)]
    entries = {
        name: {"dtype": "F32", "shape": [ROWS, COLUMNS], "data_offsets": [i * BYTES, (i + 1) * BYTES]}
        for i, name in enumerate(names)
    }
    text = json.dumps({"__metadata__": {"format": "np"}, **entries}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return names, struct.pack("<Q", len(text)) + text


@cache
def values():
    return np.random.default_rng().standard_normal((TENSORS, ROWS, COLUMNS)).astype(np.float32)


def make(rng):
    """A file whose 100 matrices are a permutation of random ones, with one that nobody has seen before."""
    names, head = header()
    order, chosen = rng.permutation(TENSORS), int(rng.integers(TENSORS))
    fresh = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    parts = [fresh if i == chosen else values()[k] for i, k in enumerate(order)]
    return (Shard(names[chosen], fresh.sum(axis=0, dtype=np.float64), [head, *parts]),)


def learner(built, shard):
    with built.Weights(os.fspath(shard)) as weights:
        return weights[shard.name].sum(axis=0, dtype=np.float64)


def read_all(shard):
    """Read the file, view every tensor, take one."""
    data = Path(os.fspath(shard)).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    start = 8 + length
    tensors = {}
    for name, info in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            tensors[name] = np.frombuffer(data, np.float32, (end - begin) // 4, start + begin).reshape(info["shape"])
    return tensors[shard.name].sum(axis=0, dtype=np.float64)


def verify(inputs, got, want):
    assert np.array_equal(want, inputs[0].value), "the baseline read another matrix"
    assert np.array_equal(got, want), "the sums of the matrix's columns differ"


CASES = {"one-of-100": Case(make=make, learner=learner, baseline=read_all, verify=verify)}
