"""What one pass of the probe saw: typed rows of the dicts that the extension returns."""

from __future__ import annotations

from typing import Any

import msgspec

from tutor.worker.probe.sites import Site


class WatchedRow(msgspec.Struct, frozen=True, array_like=True):
    """An object of the arguments. `series`: references gained since the start, after each call.

    owed: places in results without a reference of their own, leaked: references that leaked objects hold, buffers:
    acquired and not released, kept: references that no container holds after the end (-1: not looked at), dropped:
    references that containers held before a call and not after it, yielded: not while its result was there; all over
    all calls.
    """

    index: int
    series: list[int]
    owed: int
    leaked: int
    buffers: int
    buffer_site: Site
    last_use: Site
    last_call: str
    kept: int = -1
    dropped: int = 0
    yielded: int = 0


class SurvivorRow(msgspec.Struct, frozen=True, array_like=True):
    """A block that was taken under the learner's code and not given back; `type` is empty for bare memory."""

    type: str
    bytes: int
    site: Site
    last_use: Site
    last_name: str
    call: int
    domain: int


class LedgerRow(msgspec.Struct, frozen=True, array_like=True):
    """A block of malloc or operator new that was not freed."""

    bytes: int
    site: Site
    call: int


class OverrunRow(msgspec.Struct, frozen=True, array_like=True):
    """A block of `bytes` bytes that was written past its end, by at least `past` bytes; `type` as in SurvivorRow."""

    type: str
    bytes: int
    past: int
    site: Site


class WithoutGil(msgspec.Struct, frozen=True, array_like=True):
    """A function of the API that was called without the GIL."""

    name: str
    times: int
    site: Site


class FailPoint(msgspec.Struct, frozen=True, array_like=True):
    """A call that can be made to fail."""

    name: str
    site: Site


class Survey(msgspec.Struct, frozen=True):
    """The calls under watch; `grown` is what malloc's books gained from the second call on, in bytes."""

    calls: int
    raised: int
    exception: str
    grown: int
    watched: list[WatchedRow]
    survivors: list[SurvivorRow]
    ledger: list[LedgerRow]
    without_gil: list[WithoutGil]
    log: list[FailPoint]
    failed: FailPoint | None
    overruns: list[OverrunRow]


class FreedUse(msgspec.Struct, frozen=True, array_like=True):
    """A use of a freed object: its type, what was done, where it was made, freed and used."""

    type: str
    how: str
    taken: Site
    freed: Site
    used: Site


class Exhumed(msgspec.Struct, frozen=True):
    """A call with freed objects kept."""

    exception: str
    without_gil: list[WithoutGil]
    use: FreedUse | None


class Intervals(msgspec.Struct, frozen=True):
    """Nanoseconds of all calls, and without the GIL; the longest stretch with it.

    last_ns is the length of the last call; spans: (from, to) without the GIL since its begin, of 512 releases at most.
    """

    total_ns: int
    released_ns: int
    releases: int
    longest_held_ns: int
    last_ns: int = 0
    spans: list[tuple[int, int]] = []


def read_survey(value: Any) -> Survey:
    """Raises msgspec.ValidationError when it is none: our own bug."""
    return msgspec.convert(value, Survey)


def read_exhumed(value: Any) -> Exhumed:
    """As read_survey."""
    return msgspec.convert(value, Exhumed)


def read_intervals(value: Any) -> Intervals:
    """As read_survey."""
    return msgspec.convert(value, Intervals)
