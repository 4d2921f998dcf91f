"""Puts the zygote's memory on huge pages: a fork copies one entry for each, not 512."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from functools import partial

_MADV_COLLAPSE = 25  # Linux 6.1; works whatever the system's setting for transparent huge pages is
_HUGE = 2 << 20
_STEP = 16 * _HUGE
# What is larger is reserved, not used. A sanitizer's shadow is 15 TB: to go through it took a core for hours.
_LARGEST = 4 << 30


def collapse_steps(maps: str = "/proc/self/maps") -> list[Callable[[], None]]:
    """Steps of some 30 ms each; none where the system can't.

    New memory of the children stays on small pages, so that what they are seen to use is what they use. A warm torch
    holds 450 MB of its own: forked from small pages a child costs 35 ms, from huge ones 7 ms.
    """
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open(maps, encoding="utf-8") as lines:
        return [partial(_collapse, libc, start, end) for start, end in _anonymous(lines)]


def _anonymous(lines: Iterator[str]) -> Iterator[tuple[int, int]]:
    """Aligned pieces of the private writable mappings that belong to no file."""
    for line in lines:
        span, access, _, _, inode = line.split()[:5]
        if access[:2] != "rw" or inode != "0" or "[stack]" in line:
            continue
        low, high = (int(end, 16) for end in span.split("-"))
        if high - low > _LARGEST:
            continue
        first, last = -(-low // _HUGE) * _HUGE, high // _HUGE * _HUGE
        yield from ((start, min(start + _STEP, last)) for start in range(first, last, _STEP))


def _collapse(libc: ctypes.CDLL, start: int, end: int) -> None:
    for address in range(start, end, _HUGE):
        libc.madvise(address, _HUGE, _MADV_COLLAPSE)  # a piece that can't be is left as it is
