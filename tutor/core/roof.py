"""The roofline: how near a kernel comes to what one core of this machine, or its GPU, can move and compute at most."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from tutor.core.verdict import BenchResult


def owner(gpu: bool) -> str:
    """Of what a roof is, in words."""
    return "the GPU" if gpu else "one core"


class Roof(Struct, frozen=True):
    """Measured limits of one core, or of the GPU. bandwidth: (bytes of data, bytes a second), from caches to memory."""

    bandwidth: tuple[tuple[int, float], ...]
    flops: float
    gpu: bool = False

    @property
    def whose(self) -> str:
        """Of what these are the limits."""
        return owner(self.gpu)

    def bandwidth_for(self, size: int) -> tuple[int, float]:
        """The limit for data of this size: that of the smallest measured size that is not smaller, else of memory."""
        return next((level for level in self.bandwidth if level[0] >= size), self.bandwidth[-1])

    @property
    def memory(self) -> float:
        """Bytes a second from memory."""
        return self.bandwidth[-1][1]


class Standing(Struct, frozen=True):
    """One case under its roof. intensity: operations a byte, 0 where the case declares none.

    rate: bytes a second. limit: bytes a second that data of this size gets here. share: of what is attainable.
    """

    case: str
    size: int
    seconds: float
    rate: float
    limit: float
    intensity: float
    flops: float
    share: float
    bound: Literal["memory", "arithmetic"]
    whose: str = "one core"


def standing(bench: BenchResult, roof: Roof) -> Standing | None:
    """Where a case stands; None for one that declares no bytes, was not timed, or ran on what this roof is not of."""
    known = bench.bytes > 0 and bench.seconds > 0 and bool(roof.bandwidth) and roof.flops > 0
    if not known or bench.gpu != roof.gpu:
        return None
    limit = roof.bandwidth_for(bench.bytes)[1]
    intensity = bench.flops / bench.bytes
    bound: Literal["memory", "arithmetic"] = "arithmetic" if intensity * limit > roof.flops else "memory"
    rate, flops = bench.bytes / bench.seconds, bench.flops / bench.seconds
    share = flops / roof.flops if bound == "arithmetic" else rate / limit
    return Standing(bench.case, bench.bytes, bench.seconds, rate, limit, intensity, flops, share, bound, roof.whose)


def standings(bench: Iterable[BenchResult], roof: Roof | None) -> tuple[Standing, ...]:
    """All cases that can be placed."""
    return tuple(s for s in (standing(b, roof) for b in bench) if s is not None) if roof else ()
