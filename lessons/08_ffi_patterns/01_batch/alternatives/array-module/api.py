"""array.array for the offsets, results as ctypes arrays that NumPy wraps, the cost model by hand."""

from __future__ import annotations

import array
import ctypes
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np


def declare(library: ctypes.CDLL) -> None:
    library.hash_token.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32)
    library.hash_token.restype = ctypes.c_uint32
    library.hash_batch.argtypes = (
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_uint32,
        ctypes.POINTER(ctypes.c_uint32),
    )
    library.hash_batch.restype = None


def pack(tokens: Sequence[str]) -> tuple[bytes, np.ndarray]:
    encoded = list(map(str.encode, tokens))
    ends = array.array("q", itertools.accumulate(map(len, encoded), initial=0))
    return b"".join(encoded), np.frombuffer(ends, dtype=np.int64)


class Chunks:
    """An iterator class, where a generator function would do."""

    def __init__(self, library: ctypes.CDLL, tokens: Iterable[str], rows: int, chunk: int) -> None:
        declare(library)
        self.crossing, self.rows, self.chunk = library.hash_batch, rows, chunk
        self.tokens = iter(tokens)

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        tokens = tuple(itertools.islice(self.tokens, self.chunk))
        if not tokens:
            raise StopIteration
        text, offsets = pack(tokens)
        out = (ctypes.c_uint32 * len(tokens))()
        self.crossing(text, offsets.ctypes.data_as(ctypes.c_void_p), len(tokens), self.rows, out)
        return np.ctypeslib.as_array(out)


def hash_stream(library: ctypes.CDLL, tokens: Iterable[str], rows: int, chunk: int = 4096) -> Iterator[np.ndarray]:
    return Chunks(library, tokens, rows, chunk)


class Cost:
    def __init__(self, call: float, token: float) -> None:
        self.call = call
        self.token = token

    def predict(self, tokens: int, chunk: int) -> float:
        whole, rest = divmod(tokens, chunk)
        return (whole + bool(rest)) * self.call + tokens * self.token


def fit(samples: Sequence[tuple[int, float]]) -> Cost:
    # The normal equations of the relative errors, with weights 1 / seconds^2.
    weights = [1 / seconds**2 for _, seconds in samples]
    w = sum(weights)
    x = sum(weight * size for weight, (size, _) in zip(weights, samples, strict=True)) / w
    y = sum(weight * seconds for weight, (_, seconds) in zip(weights, samples, strict=True)) / w
    above = below = 0.0
    for weight, (size, seconds) in zip(weights, samples, strict=True):
        above += weight * (size - x) * (seconds - y)
        below += weight * (size - x) ** 2
    slope = above / below
    return Cost(y - slope * x, slope)
