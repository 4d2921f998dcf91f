"""A benchmark of GPU kernels that can't be lied to by the kernel, nor by the queue between host and device."""

import math
import statistics
import time
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch

Tensors = tuple[torch.Tensor, ...]
Function = Callable[..., torch.Tensor]

WARM_UP = 3  # pairs that don't count
FLUSHES = 8  # times that the scratch memory is written: 0.3 ms on an H100, more than the host needs to queue a call
TAIL = 0.025  # on each side of the interval: 95 % lie between


class Dishonest(Exception):
    """The kernel doesn't do what it is timed for; the text says how that showed."""


class Result(NamedTuple):
    """How many times less device time than the reference the kernel takes; 95 % interval of that number."""

    speedup: float
    low: float
    high: float


class Output(NamedTuple):
    """What a timed call returned, a copy of it as the next kernel of the stream found it, and device microseconds."""

    raw: torch.Tensor
    copy: torch.Tensor
    microseconds: float


def summary(ratios: list[float]) -> Result:
    """Given. The median of the ratios and its interval, from their order alone: see ffi-bench."""
    ratios, n = sorted(ratios), len(ratios)
    out, tail = 0, 0.0
    while (tail := tail + math.comb(n, out) / 2**n) <= TAIL:
        out += 1
    out = max(out - 1, 0)
    return Result(statistics.median(ratios), ratios[out], ratios[n - 1 - out])


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Are these the same values, to the bit? NaN is unequal to itself, 0.0 equals -0.0: neither is meant here."""
    # @gap
    return torch.equal(*(torch.reshape(tensor, (-1,)).view(torch.uint8) for tensor in (a, b)))
    #| # TODO
    #| return True
    # @end


def check_output(got: torch.Tensor, want: torch.Tensor, rtol: float) -> None:
    """Raise Dishonest unless device, dtype, shape and every element are right: floats within rtol, others exactly."""
    # @gap
    for name in ("device", "dtype", "shape"):
        if getattr(got, name) != getattr(want, name):
            raise Dishonest(f"{name} of the output: {getattr(got, name)}, of the reference's {getattr(want, name)}")
    if want.is_floating_point() or want.is_complex():
        same = torch.isclose(got, want, rtol=rtol, atol=0.0, equal_nan=True)
    else:
        same = got == want
    wrong = int((~same).sum())
    if wrong:
        raise Dishonest(f"{wrong} of {same.numel()} elements are wrong, or too late for the stream's next kernel")
    #| # TODO
    # @end


class Inputs:
    """Memory that a side gets its inputs in: the same memory every time, other values every time."""

    # @gap
    def __init__(self, values: Tensors, rng: np.random.Generator) -> None:
        self.arrays = tuple(torch.empty_like(value) for value in values)
        self.rng = rng
        self.missing: list[Tensors] = []

    def fill(self, values: Tensors) -> None:
        """Queue the values, all but one element of each tensor: a kernel that doesn't wait its turn reads that."""
        self.missing = []
        for array, value in zip(self.arrays, values, strict=True):
            array.copy_(value)
            if value.numel():
                at = int(self.rng.integers(value.numel()))
                place, right = array.view(-1)[at : at + 1], value.view(-1)[at : at + 1]
                floating = right.is_floating_point() or right.is_complex()
                place.copy_(torch.full_like(right, math.nan) if floating else ~right)
                self.missing.append((place, right))

    def complete(self) -> None:
        """Queue the elements that are missing."""
        for place, right in self.missing:
            place.copy_(right)

    def check(self, values: Tensors) -> None:
        """Raise Dishonest when they are no longer these values."""
        for number, (array, value) in enumerate(zip(self.arrays, values, strict=True)):
            if not same_bits(array, value):
                raise Dishonest(f"the kernel changed its input {number}")
    #| # TODO: memory of its own. What may lie in it before the device gets to the first event?
    #| def __init__(self, values: Tensors) -> None:
    #|     self.arrays = values
    # @end


class Harness:
    """Measures kernels on the device of `cuda`. Made before the first kernel is loaded: it knows what was there."""

    def __init__(self, cuda: ModuleType = torch.cuda) -> None:
        self.cuda = cuda
        # @gap
        # Twice what L2 holds: after writing that, nothing else is left in it.
        size = 2 * cuda.get_device_properties(cuda.current_device()).L2_cache_size
        self.scratch = torch.empty(size, dtype=torch.uint8, device="cuda")
        owners = (cuda, cuda.Event, cuda.Stream, time)
        self.originals = [(o, name, value) for o in owners for name, value in vars(o).items() if callable(value)]
        self.record = cuda.Event.record
        #| # TODO: a kernel may replace functions. What do you need to notice it?
        # @end

    # @gap
    def check_originals(self) -> None:
        """Raise Dishonest when a function is not what it was."""
        for owner, name, value in self.originals:
            if vars(owner).get(name) is not value:
                raise Dishonest(f"the kernel replaced {owner.__name__}.{name}")

    def flush(self) -> None:
        """Queue writes that empty L2 and keep the device busy, while the host queues what is to be timed."""
        for _ in range(FLUSHES):
            self.scratch.zero_()

    # @end
    def timed(self, call: Function, inputs: Inputs, values: Tensors) -> Output:
        """Time one call of a kernel or the reference on these values, in the memory of `inputs`."""
        # @gap
        cuda, stream = self.cuda, self.cuda.current_stream()
        begin, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        inputs.fill(values)
        self.flush()
        inputs.complete()
        self.record(begin, stream)
        output = call(*inputs.arrays)
        self.record(end, stream)  # the function that it was at the beginning: nobody is asked to play along
        self.check_originals()
        if cuda.current_stream() != stream:
            raise Dishonest("the kernel left another stream current")
        if type(output) is not torch.Tensor:
            raise Dishonest(f"the kernel returned a {type(output).__name__}, which may compute later, off the clock")
        # What the caller's next kernel would read. No waiting before: that would wait for other streams too. And no
        # method of the output, which may have a `clone` of its own.
        copy = torch.clone(output)
        cuda.synchronize()
        return Output(output, copy, begin.elapsed_time(end) * 1000)
        #| # TODO: on which stream is what? When does the host wait, and when must it not?
        #| begin, end = self.cuda.Event(enable_timing=True), self.cuda.Event(enable_timing=True)
        #| begin.record()
        #| output = call(*inputs.arrays)
        #| end.record()
        #| self.cuda.synchronize()
        #| return Output(output, output, begin.elapsed_time(end) * 1000)
        # @end

    def measure(
        self,
        kernel: Function,
        reference: Function,
        make: Callable[[np.random.Generator], Tensors],
        *,
        pairs: int = 20,
        rtol: float = 1e-5,
    ) -> Result:
        """Compare device times on inputs of make(rng): dense tensors on the device, always of one shape and dtype.

        At least `pairs` calls of each count. Raises Dishonest for a kernel that cheats.
        """
        # @gap
        rng = np.random.default_rng()  # of an unknown seed: nobody can have prepared the answers
        first = make(rng)
        mine, theirs = Inputs(first, rng), Inputs(first, rng)
        before: Output | None = None

        def pair(kernel_first: bool) -> float:
            nonlocal before
            values = make(rng)
            if kernel_first:
                got = self.timed(kernel, mine, values)
                want = self.timed(reference, theirs, values)
            else:
                # `want` keeps the reference's output. Freed, its memory would be the kernel's, right values and all.
                want = self.timed(reference, theirs, values)
                got = self.timed(kernel, mine, values)
            mine.check(values)
            check_output(got.copy, want.copy, rtol)
            if before is not None and not same_bits(before.raw, before.copy):
                raise Dishonest("the kernel wrote into the output of the call before, which is the caller's")
            before = got
            return want.microseconds / got.microseconds

        self.check_originals()
        for turn in range(WARM_UP):
            pair(turn % 2 == 0)
        # One pair in each order, and their geometric mean: what the second gains cancels.
        return summary([math.sqrt(pair(True) * pair(False)) for _ in range((pairs + 1) // 2)])
        #| # TODO: this believes everything. Make it doubt.
        #| values = make(np.random.default_rng(0))
        #| ratios = []
        #| for _ in range(pairs):
        #|     got = self.timed(kernel, Inputs(values), values)
        #|     want = self.timed(reference, Inputs(values), values)
        #|     check_output(got.copy, want.copy, rtol)
        #|     ratios.append(want.microseconds / got.microseconds)
        #| return summary(ratios)
        # @end
