"""A benchmark that can't be lied to by the kernel it measures, nor by the machine it runs on."""

import math
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Arrays = tuple[np.ndarray, ...]
Function = Callable[..., np.ndarray]

WARM_UP = 3  # calls of each side that don't count
TAIL = 0.025  # on each side of the interval: 95 % lie between

# @gap
# Taken when this module is imported, before any kernel runs: whoever replaces time.perf_counter_ns later replaces a name
# that nobody here looks up again.
CLOCKS = {name: value for name, value in vars(time).items() if callable(value)}
#| # TODO: a kernel may replace functions of `time`. What do you need to notice it, and when must you take it?
# @end


class Dishonest(Exception):
    """The kernel doesn't do what it is timed for; the text says how that showed."""


class Result(NamedTuple):
    """How many times faster than the reference the kernel is; 95 % interval of that number."""

    speedup: float
    low: float
    high: float


# @gap
class Inputs:
    """Memory that a side gets its inputs in: the same memory every time, other values every time."""

    def __init__(self, values: Arrays) -> None:
        self.arrays = tuple(np.empty_like(value) for value in values)

    def fill(self, values: Arrays) -> None:
        """Copy the values in."""
        for array, value in zip(self.arrays, values, strict=True):
            np.copyto(array, value)

    def check(self, values: Arrays) -> None:
        """Raise Dishonest when they are no longer these values, to the bit: NaN is unequal to itself."""
        for number, (array, value) in enumerate(zip(self.arrays, values, strict=True)):
            if array.tobytes() != value.tobytes():
                raise Dishonest(f"the kernel changed its input {number}")


# @end
def check_output(got: np.ndarray, want: np.ndarray, rtol: float) -> None:
    """Raise Dishonest unless dtype, shape and every element are right: floats within rtol, all others exactly."""
    # @gap
    if got.dtype != want.dtype or got.shape != want.shape:
        raise Dishonest(f"the kernel returned {got.dtype} {got.shape}, the reference {want.dtype} {want.shape}")
    if want.dtype.kind in "fc":
        same = np.isclose(got, want, rtol=rtol, atol=0.0, equal_nan=True)
    else:
        same = got == want
    if not same.all():
        raise Dishonest(f"{np.count_nonzero(~same)} of {same.size} elements are wrong")
    #| # TODO
    # @end


# @gap
def check_clocks() -> None:
    """Raise Dishonest when a function of `time` is not what it was."""
    for name, value in CLOCKS.items():
        if getattr(time, name, None) is not value:
            raise Dishonest(f"the kernel replaced time.{name}")


# @end
def timed(call: Function, arrays: Arrays, clock: Callable[[], int]) -> tuple[np.ndarray, int]:
    """A copy of the output as it was when the call was over, and the nanoseconds that the call took."""
    # @gap
    start = clock()
    output = call(*arrays)
    end = clock()
    if type(output) is not np.ndarray:
        raise Dishonest(f"the kernel returned a {type(output).__name__}, which may compute later, off the clock")
    # At once, so that nobody fills it later. And a copy: the next call may write into the same memory.
    return output.copy(), max(end - start, 1)
    #| # TODO: what may `output` be, and when is it complete?
    #| return call(*arrays), 1
    # @end


def summary(ratios: list[float]) -> Result:
    """The median of the ratios and its interval, from their order alone: no normal distribution is assumed."""
    # @gap
    ratios, n = sorted(ratios), len(ratios)
    # Each ratio is above the true median with a chance of 1/2. Leave out as many at each end as 2.5 % allow.
    out, tail = 0, 0.0
    while (tail := tail + math.comb(n, out) / 2**n) <= TAIL:
        out += 1
    out = max(out - 1, 0)
    return Result(statistics.median(ratios), ratios[out], ratios[n - 1 - out])
    #| # TODO: one slow call out of ten must not move it; more ratios must make the interval narrower.
    #| return Result(0.0, 0.0, 0.0)
    # @end


def measure(
    kernel: Function,
    reference: Function,
    make: Callable[[np.random.Generator], Arrays],
    *,
    pairs: int = 40,
    rtol: float = 1e-5,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Result:
    """Time `kernel` against `reference` on inputs of make(rng): contiguous arrays, always of the same shapes and dtypes.

    At least `pairs` calls of each count. Raises Dishonest for a kernel that cheats.
    """
    # @gap
    rng = np.random.default_rng()  # of an unknown seed: nobody can have prepared the answers
    first = make(rng)
    mine, theirs = Inputs(first), Inputs(first)

    def pair(kernel_first: bool) -> float:
        values = make(rng)
        mine.fill(values)
        theirs.fill(values)
        if kernel_first:
            got, fast = timed(kernel, mine.arrays, clock)
            check_clocks()
            want, slow = timed(reference, theirs.arrays, clock)
        else:
            want, slow = timed(reference, theirs.arrays, clock)
            got, fast = timed(kernel, mine.arrays, clock)
            check_clocks()
        mine.check(values)
        check_output(got, want, rtol)
        return slow / fast

    check_clocks()
    for turn in range(WARM_UP):
        pair(turn % 2 == 0)
    # Who goes second finds a warmer machine. One pair in each order, and their geometric mean: the advantage cancels.
    return summary([math.sqrt(pair(True) * pair(False)) for _ in range((pairs + 1) // 2)])
    #| # TODO: this believes everything. Make it doubt.
    #| inputs = make(np.random.default_rng(0))
    #| output, fast = timed(kernel, inputs, clock)
    #| want, slow = timed(reference, inputs, clock)
    #| check_output(output, want, rtol)
    #| return summary([slow / fast])
    # @end
