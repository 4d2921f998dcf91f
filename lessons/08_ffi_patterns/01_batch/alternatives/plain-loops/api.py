"""Loops and lists; the cost model by NumPy's weighted polyfit."""

import ctypes
import math
from typing import NamedTuple

import numpy as np


def declare(library):
    library.hash_token.restype = ctypes.c_uint32
    library.hash_token.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32]
    library.hash_batch.restype = None
    library.hash_batch.argtypes = [
        ctypes.c_char_p,
        np.ctypeslib.ndpointer(np.int64, ndim=1, flags="C_CONTIGUOUS"),
        ctypes.c_size_t,
        ctypes.c_uint32,
        np.ctypeslib.ndpointer(np.uint32, ndim=1, flags="C_CONTIGUOUS,WRITEABLE"),
    ]


def pack(tokens):
    buffer = bytearray()
    offsets = [0]
    for token in tokens:
        buffer += token.encode("utf-8")
        offsets.append(len(buffer))
    return bytes(buffer), np.array(offsets, dtype=np.int64)


def _rows(library, tokens, rows):
    text, offsets = pack(tokens)
    result = np.zeros(len(tokens), dtype=np.uint32)
    library.hash_batch(text, offsets, len(tokens), rows, result)
    return result


def hash_stream(library, tokens, rows, chunk=4096):
    declare(library)
    waiting = []
    for token in tokens:
        waiting.append(token)
        if len(waiting) == chunk:
            yield _rows(library, waiting, rows)
            waiting = []
    if waiting:
        yield _rows(library, waiting, rows)


class Cost(NamedTuple):
    call: float
    token: float

    def predict(self, tokens, chunk):
        return self.call * math.ceil(tokens / chunk) + self.token * tokens


def fit(samples):
    sizes = [size for size, _ in samples]
    seconds = [second for _, second in samples]
    token, call = np.polyfit(sizes, seconds, deg=1, w=[1 / second for second in seconds])
    return Cost(call=max(call, 0.0), token=max(token, 0.0))
