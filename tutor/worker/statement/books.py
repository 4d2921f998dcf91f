"""What many calls leave behind once all that belongs to the user is gone: malloc's books, Python's blocks, types."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tutor.worker.linux import libc
from tutor.worker.probe.forked import Reply, run_forked
from tutor.worker.statement.source import Subject

_SECONDS = 0.05  # of the smallest run
_FEWEST, _MOST = 8, 250
_LEAST_BYTES, _LEAST_TOTAL = 7.5, 2048
_LEAST_BLOCKS = 0.45
_HEAPTYPE = 1 << 9
_TOO_LONG = "it takes too long for many calls"


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()  # noqa: SIM905
    ]


@dataclass(frozen=True, slots=True)
class Books:
    """Growth a call. `types`: references to heap types, by name. unknown: why this means nothing; empty as a rule."""

    bytes: float = 0.0
    blocks: float = 0.0
    types: tuple[tuple[str, float], ...] = ()
    unknown: str = _TOO_LONG

    @property
    def grows(self) -> bool:
        """Whether anything at all is kept, as far as one can say."""
        return self.bytes > 0 or self.blocks > 0 or bool(self.unknown)


def keep_books(whole: Subject, clear: Callable[[], None], kinds: dict[str, type], once: float, seconds: float) -> Books:
    """Run the statement in three forks, N, 4 N and 8 N times; what is kept must grow alike between them.

    Each fork drops the user's names before it counts, so what a parser or a list of theirs holds is no growth; and all
    begin alike, so what is allocated once or lazily is none either. once: seconds that one run takes.
    """
    number = max(_FEWEST, min(_MOST, int(_SECONDS / max(once, 1e-7))))
    counts = (number, 4 * number, 8 * number)
    replies = [run_forked(lambda n=n: _run(whole, clear, kinds, n), seconds) for n in counts]  # type: ignore[misc]
    bad = next((reply for reply in replies if reply.value is None), None)
    if bad is not None:
        return Books(
            unknown=bad.error or ("it crashes when called often" if bad.signal and not bad.late else _TOO_LONG)
        )
    return _compare(counts, replies, sorted(kinds))


def _run(whole: Subject, clear: Callable[[], None], kinds: dict[str, type], number: int) -> list[Any]:
    function, _, _ = whole.make()
    for _ in range(number):
        _call(function)
    function.__globals__.clear()
    clear()
    for _ in range(3):
        gc.collect()
    blocks = sys.getallocatedblocks()
    libc.mallinfo2.restype = _Mallinfo
    info = libc.mallinfo2()
    return [info.uordblks + info.hblkhd, blocks, *(sys.getrefcount(kinds[name]) for name in sorted(kinds))]


def _call(function: Callable[..., Any]) -> None:
    try:
        function()
    except Exception:  # noqa: BLE001 - what the statement raises later (an exhausted iterator) is not looked at here
        return


def _compare(counts: tuple[int, int, int], replies: list[Reply], names: list[str]) -> Books:
    small, middle, large = (reply.value for reply in replies)
    steps = (counts[1] - counts[0], counts[2] - counts[1])
    slopes = [((m - s) / steps[0], (b - m) / steps[1], b - s) for s, m, b in zip(small, middle, large, strict=True)]
    kept = slopes[0][1] if _alike(*slopes[0][:2], _LEAST_BYTES) and slopes[0][2] >= _LEAST_TOTAL else 0.0
    blocks = slopes[1][1] if _alike(*slopes[1][:2], _LEAST_BLOCKS) else 0.0
    types = [(name, slope[1]) for name, slope in zip(names, slopes[2:], strict=True) if _alike(*slope[:2], 0.9)]
    return Books(round(kept, 1), round(blocks, 2), tuple(types), "" if counts[0] > _FEWEST else _TOO_LONG)


def _alike(first: float, second: float, least: float) -> bool:
    return min(first, second) >= least and max(first, second) <= 1.25 * min(first, second) + least / 4


def heap_types(paths: set[str]) -> dict[str, type]:
    """Types made at run time that the modules of these libraries define, by their name."""
    found: dict[str, type] = {}
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) in paths:
            for value in list(vars(module).values()):
                if isinstance(value, type) and value.__flags__ & _HEAPTYPE and value.__module__ == module.__name__:
                    found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


def time_once(function: Callable[..., Any]) -> float:
    """Seconds of the second of two runs."""
    _call(function)
    start = time.perf_counter()
    _call(function)
    return time.perf_counter() - start
