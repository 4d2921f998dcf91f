"""A class for the run, orders drawn by lot, and a bootstrap for the interval."""

import dataclasses
import hashlib
import random
import time
from types import BuiltinFunctionType

import numpy as np

KNOWN = tuple((name, value) for name, value in vars(time).items() if isinstance(value, BuiltinFunctionType))


class Dishonest(Exception):
    """A kernel was caught."""


@dataclasses.dataclass(frozen=True)
class Result:
    speedup: float
    low: float
    high: float

    def __iter__(self):
        return iter(dataclasses.astuple(self))


class Side:
    def __init__(self, function, like, clock):
        self.function, self.clock = function, clock
        self.inputs = [np.array(each) for each in like]

    def load(self, values):
        for mine, value in zip(self.inputs, values, strict=True):
            mine[:] = value

    def digest(self):
        total = hashlib.blake2b()
        for each in self.inputs:
            total.update(each.view(np.uint8) if each.size else b"")
        return total.digest()

    def run(self):
        started = self.clock()
        result = self.function(*self.inputs)
        stopped = self.clock()
        if type(result) is not np.ndarray:
            raise Dishonest("only a plain numpy.ndarray is finished when the call is")
        return result.copy(), max(stopped - started, 1)


class Run:
    def __init__(self, kernel, reference, make, rtol, clock):
        self.rng = np.random.default_rng()
        self.make, self.rtol = make, rtol
        example = make(self.rng)
        self.kernel, self.reference = Side(kernel, example, clock), Side(reference, example, clock)

    def pair(self, kernel_first):
        values = self.make(self.rng)
        self.kernel.load(values)
        self.reference.load(values)
        before = self.kernel.digest()
        if not kernel_first:
            want, slow = self.reference.run()
        got, fast = self.kernel.run()
        self.watch_clocks()
        if kernel_first:
            want, slow = self.reference.run()
        if self.kernel.digest() != before:
            raise Dishonest("inputs were edited")
        self.verify(got, want)
        return slow / fast

    def verify(self, got, want):
        if (got.dtype, got.shape) != (want.dtype, want.shape):
            raise Dishonest(f"{got.dtype} {got.shape} instead of {want.dtype} {want.shape}")
        try:
            if want.dtype.kind in "biu":
                np.testing.assert_array_equal(got, want)
            else:
                np.testing.assert_allclose(got, want, rtol=self.rtol, atol=0)
        except AssertionError as error:
            raise Dishonest(f"another result than the reference's: {error}") from error

    @staticmethod
    def watch_clocks():
        for name, value in KNOWN:
            if vars(time).get(name) is not value:
                raise Dishonest(f"somebody replaced {name}")


def measure(kernel, reference, make, *, pairs=40, rtol=1e-5, clock=time.perf_counter_ns):
    Run.watch_clocks()
    run = Run(kernel, reference, make, rtol, clock)
    for _ in range(5):
        run.pair(True)
    ratios = []
    while 2 * len(ratios) < pairs:
        orders = random.sample((True, False), 2)
        ratios.append(np.sqrt(np.prod([run.pair(order) for order in orders])))
    ratios = np.array(ratios)
    again = run.rng.choice(ratios, (4000, len(ratios)))
    low, high = np.quantile(np.median(again, axis=1), [0.025, 0.975])
    middle = float(np.median(ratios))
    return Result(middle, min(float(low), middle), max(float(high), middle))
