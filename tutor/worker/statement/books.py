"""What many calls leave behind once all that belongs to the user is gone: malloc's books, Python's blocks, types."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from tutor.worker.linux import libc
from tutor.worker.probe import library
from tutor.worker.probe.forked import Reply, run_forked
from tutor.worker.statement.source import Subject

_SECONDS = 0.05  # of the smallest run
_FEWEST, _MOST = 6, 250
_TOO_FEW = 12  # to tell what is kept; references are exact, however few the runs were
_TIMED = 8
_LEAST_BYTES, _LEAST_TOTAL = 7.5, 2048
_LEAST_BLOCKS = 0.45
_MOST_ROWS = 3
_THREADS = "/proc/self/task"
_ATOMS = (types.NoneType, bool, int, float, complex, str, bytes, types.ModuleType, types.CodeType)
_DEFINED = (type, types.FunctionType, types.BuiltinFunctionType)
_TOO_LONG = "it takes too long for many calls"


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()  # noqa: SIM905
    ]


# (object, its type, references a call)
Gained = tuple[tuple[str, str, float], ...]


@dataclass(frozen=True, slots=True)
class Books:
    """Growth a call. `references`: (object, its type, gained) of objects that were there before.

    uneven: it grows, but not alike, as something else comes and goes; enough for what other passes have counted.
    unknown: why this means nothing; empty as a rule.
    """

    bytes: float = 0.0
    blocks: float = 0.0
    references: Gained = ()
    unknown: str = _TOO_LONG
    uneven: bool = False

    @property
    def grows(self) -> bool:
        """Whether anything at all is kept, as far as one can say."""
        return self.bytes > 0 or self.blocks > 0 or self.uneven or bool(self.unknown)


def keep_books(whole: Subject, clear: Callable[[], None], once: float, seconds: float) -> Books:
    """Run the statement in three forks, N, 4 N and 8 N times; what is kept must grow alike between them.

    Each fork drops the user's names before it counts, so what a parser or a list of theirs holds is no growth; and all
    begin alike, so what is allocated once or lazily is none either. once: seconds that one run takes.

    They begin in a process in which the statement has run already: what its first run puts into a cache is an old
    object then, which may lose or gain references. Where that run starts threads, no fork may follow it.
    """
    number = max(_FEWEST, min(_MOST, int(_SECONDS / max(once, 1e-7))))
    reply = run_forked(lambda: _keep_warm(whole, clear, number, seconds), 4 * seconds)
    if reply.value:
        return msgspec.convert(reply.value, Books)
    return _keep(whole, clear, number, seconds)


def _keep_warm(whole: Subject, clear: Callable[[], None], number: int, seconds: float) -> Any:
    """The fields of the books; None where they can't be told."""
    before = len(os.listdir(_THREADS))
    _call(whole.make()[0])
    gc.collect()
    if len(os.listdir(_THREADS)) > before:
        return None
    return msgspec.to_builtins(_keep(whole, clear, number, seconds))


def _keep(whole: Subject, clear: Callable[[], None], number: int, seconds: float) -> Books:
    counts = (number, 4 * number, 8 * number)
    census = Census(len(counts), whole.names)
    replies = [
        run_forked(lambda n=n, i=i: _run(whole, clear, n, lambda at: census.take(2 * i + at)), seconds)  # type: ignore[misc]
        for i, n in enumerate(counts)
    ]
    gained = census.gained((counts[1] - counts[0], counts[2] - counts[1]))
    census.forget()
    bad = next((reply for reply in replies if reply.value is None), None)
    if bad is not None:
        return Books(
            unknown=bad.error or ("it crashes when called often" if bad.signal and not bad.late else _TOO_LONG)
        )
    return _compare(counts, replies, gained)


def _run(whole: Subject, clear: Callable[[], None], number: int, take: Callable[[int], None]) -> list[int]:
    function, _, _ = whole.make()
    take(0)
    for _ in range(number):
        _call(function)
    function.__globals__.clear()
    clear()
    # One cache for all types holds the names that were looked up last: new types each time fill it.
    ctypes.pythonapi.PyType_ClearCache()
    for _ in range(3):
        gc.collect()
    blocks = sys.getallocatedblocks()
    libc.mallinfo2.restype = _Mallinfo
    info = libc.mallinfo2()
    take(1)
    return [info.uordblks + info.hblkhd, blocks]


def _call(function: Callable[..., Any]) -> None:
    try:
        function()
    except Exception:  # noqa: BLE001 - what the statement raises later (an exhausted iterator) is not looked at here
        return


def _compare(counts: tuple[int, int, int], replies: list[Reply], gained: Gained) -> Books:
    small, middle, large = (reply.value for reply in replies)
    steps = (counts[1] - counts[0], counts[2] - counts[1])
    slopes = [((m - s) / steps[0], (b - m) / steps[1], b - s) for s, m, b in zip(small, middle, large, strict=True)]
    kept = slopes[0][1] if _alike(*slopes[0][:2], _LEAST_BYTES) and slopes[0][2] >= _LEAST_TOTAL else 0.0
    blocks = slopes[1][1] if _alike(*slopes[1][:2], _LEAST_BLOCKS) else 0.0
    uneven = min(slopes[0][:2]) >= _LEAST_BYTES or min(slopes[1][:2]) >= _LEAST_BLOCKS
    return Books(round(kept, 1), round(blocks, 2), gained, "" if counts[0] > _TOO_FEW else _TOO_LONG, uneven)


def _alike(first: float, second: float, least: float) -> bool:
    return min(first, second) >= least and max(first, second) <= 1.25 * min(first, second) + least / 4


class Census:
    """The reference counts of all objects that are there before the forks, each of which takes its own, twice.

    Where nothing new is kept, and yet an old object has the more references the more often it ran, they are lost.
    """

    def __init__(self, runs: int, names: dict[str, Any]) -> None:
        gc.unfreeze()
        found = {id(value): value for value in gc.get_objects()}
        for value in gc.get_referents(*found.values()):
            found.setdefault(id(value), value)
        # What is the user's must be able to go, with all that it has collected.
        owned = _owned(names)
        self._objects = [value for key, value in found.items() if key not in owned] + _numpy_types()
        self._size = 8 * len(self._objects)
        self._counts = mmap.mmap(-1, max(1, 2 * runs * self._size))

    def take(self, row: int) -> None:
        """In a fork: what the counts are now, for the parent to see. Each run has two rows, before and after it."""
        start = row * self._size
        with memoryview(self._counts) as view, view[start : start + self._size] as part:
            library.probe().refcounts(self._objects, part)

    def gained(self, steps: tuple[int, int]) -> Gained:
        """(what, its type, references a call) of those that gain or lose alike between the runs, most first."""
        with memoryview(self._counts) as raw, raw.cast("q") as counts:
            number = len(self._objects)
            found = []
            for i, value in enumerate(self._objects):
                small, middle, large = (counts[(2 * r + 1) * number + i] - counts[2 * r * number + i] for r in range(3))
                first, second = middle - small, large - middle
                if first and second and _in_step(first / steps[0], second / steps[1]):
                    kind = "type" if isinstance(value, type) else type(value).__name__
                    found.append((_describe(value), kind, round(second / steps[1], 2)))
        return tuple(sorted(found, key=lambda row: -abs(row[2]))[:_MOST_ROWS])

    def forget(self) -> None:
        """It holds itself, and everything else: let go of it now, not when the collector comes along in a pass."""
        self._objects.clear()


def _owned(names: dict[str, Any]) -> set[int]:
    """Ids of the objects that the user's names lead to; not of modules, nor of what modules define."""
    owned, front = {id(names)}, list(names.values())
    while front:
        value = front.pop()
        shared = isinstance(value, _ATOMS) or (isinstance(value, _DEFINED) and value.__module__ != "__main__")
        if not shared and id(value) not in owned:
            owned.add(id(value))
            front += gc.get_referents(value)
    return owned


def _numpy_types() -> list[Any]:
    """The dtypes that numpy itself is made of: no container holds them, and each array refers to one."""
    numpy = sys.modules.get("numpy")
    kinds = getattr(numpy, "sctypeDict", {}) if numpy is not None else {}
    return list({id(made): made for kind in set(kinds.values()) if (made := numpy.dtype(kind))}.values())  # type: ignore[union-attr]


def _in_step(first: float, second: float) -> bool:
    """A tenth may differ: Python itself takes some references to None, once, somewhere between the runs."""
    return min(abs(first), abs(second)) >= 0.8 and abs(first - second) <= 0.15 * abs(second)


def _describe(value: Any) -> str:
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)[:40]
    return str(getattr(value, "__qualname__", "") or getattr(value, "__name__", "") or f"a {type(value).__name__}")[:40]


def time_once(function: Callable[..., Any]) -> float:
    """Seconds of the quickest of a few runs: on a busy machine any of them may have to wait."""
    seconds: list[float] = []
    while len(seconds) < _TIMED and sum(seconds) < 0.5:
        start = time.perf_counter()
        _call(function)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
