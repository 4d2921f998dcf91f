"""The Python side: packs tokens, crosses into C once for each chunk of them, and predicts what that costs."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np


def declare(library: ctypes.CDLL) -> None:
    """Given: the prototypes. Without them ctypes passes int, 32 bits, and pointers lose their upper half."""
    library.hash_token.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32)
    library.hash_token.restype = ctypes.c_uint32
    pointer = ctypes.c_void_p
    library.hash_batch.argtypes = (ctypes.c_char_p, pointer, ctypes.c_size_t, ctypes.c_uint32, pointer)
    library.hash_batch.restype = None


def pack(tokens: Sequence[str]) -> tuple[bytes, np.ndarray]:
    """The UTF-8 bytes of all tokens end to end, and the int64 offsets (len(tokens) + 1) at which they begin and end."""
    # @gap
    text = "".join(tokens)
    if text.isascii():  # a flag of the string: no scan. One character is one byte, and one encode does for all
        data, lengths = text.encode(), map(len, tokens)
    else:
        pieces = [token.encode() for token in tokens]
        data, lengths = b"".join(pieces), map(len, pieces)
    offsets = np.zeros(len(tokens) + 1, np.int64)
    np.cumsum(np.fromiter(lengths, np.int64, len(tokens)), out=offsets[1:])
    return data, offsets
    #| # TODO: a token's length in bytes is not always its length in characters.
    #| return b"", np.zeros(len(tokens) + 1, np.int64)
    # @end


def hash_stream(library: ctypes.CDLL, tokens: Iterable[str], rows: int, chunk: int = 4096) -> Iterator[np.ndarray]:
    """Yield uint32 arrays of the rows of the tokens, in order: `chunk` tokens each, the last one what is left.

    One crossing (call into the library) for each array. `tokens` may be endless: hold at most `chunk` of them.
    """
    declare(library)
    # @gap
    source = iter(tokens)
    while part := list(islice(source, chunk)):
        data, offsets = pack(part)
        out = np.empty(len(part), np.uint32)  # a new one each time: the caller keeps what it got
        library.hash_batch(data, offsets.ctypes.data, len(part), rows, out.ctypes.data)
        yield out
    #| # TODO: until the tokens end: take a chunk, pack it, cross once, yield the rows.
    #| yield from ()
    # @end


@dataclass(frozen=True)
class Cost:
    """What crossings cost, in seconds: `call` for each crossing, `token` for each token carried across."""

    call: float
    token: float

    def predict(self, tokens: int, chunk: int) -> float:
        """Seconds for `tokens` tokens in crossings of `chunk` tokens; the last may carry fewer."""
        # @gap
        crossings = -(-tokens // chunk)  # rounded up
        return crossings * self.call + tokens * self.token
        #| return 0.0  # TODO
        # @end


def fit(samples: Sequence[tuple[int, float]]) -> Cost:
    """The cost model behind measured samples (tokens in one crossing, its seconds), at least two different sizes.

    Every sample is off by some percent, be it 1 token or 100,000: predict each of them well.
    """
    # @gap
    sizes, seconds = np.array(samples, np.float64).T
    # Least squares of (call + token * size) / seconds against 1: relative errors count. Without the division an error
    # of 5 % in the largest sample, 250 microseconds, would bury a call of 1 microsecond.
    design = np.stack([1 / seconds, sizes / seconds], axis=1)
    (call, token), *_ = np.linalg.lstsq(design, np.ones_like(seconds))
    return Cost(max(float(call), 0.0), max(float(token), 0.0))
    #| # TODO: seconds = call + token * size. np.linalg.lstsq or np.polyfit (see its `w`) solve for both.
    #| return Cost(0.0, 0.0)
    # @end
