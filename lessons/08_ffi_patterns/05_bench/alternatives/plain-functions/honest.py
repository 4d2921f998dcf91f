"""Functions only; blocks of four calls (ABBA); logarithms of ratios."""

import collections
import math
import time

import numpy as np

_ORIGINALS = dict(time.__dict__)

Result = collections.namedtuple("Result", "speedup low high")


class Dishonest(Exception):
    pass


def _expect(condition, text):
    if not condition:
        raise Dishonest(text)


def _clocks_are_whole():
    now = time.__dict__
    touched = [name for name, value in _ORIGINALS.items() if callable(value) and now.get(name) is not value]
    _expect(not touched, f"time.{', time.'.join(touched)} is not what it was")


def _bits(arrays):
    return [array.tobytes() for array in arrays]


def _compare(got, want, rtol):
    _expect(got.shape == want.shape, f"the shape is {got.shape}, not {want.shape}")
    _expect(got.dtype == want.dtype, f"the dtype is {got.dtype}, not {want.dtype}")
    if np.issubdtype(want.dtype, np.inexact):
        with np.errstate(invalid="ignore", over="ignore"):
            close = np.abs(got - want) <= rtol * np.abs(want)
        close = np.where(np.isfinite(want), close, (got == want) | (np.isnan(got) & np.isnan(want)))
    else:
        close = got == want
    _expect(np.all(close), f"{int((~close).sum())} wrong elements")


def _call(function, arrays, clock):
    before = clock()
    output = function(*arrays)
    after = clock()
    _expect(type(output) is np.ndarray, "the output is no plain array")
    return np.array(output), max(after - before, 1)


def _interval(sorted_ratios):
    """Order statistics between which the median lies with 95 %, or the extremes where that is impossible."""
    n = len(sorted_ratios)
    total, k = 0, 0
    while True:
        total += math.comb(n, k)
        if 2 * total > 0.05 * 2**n:
            break
        k += 1
    # k values at each end have a chance of no more than 5 % together
    k = max(k - 1, 0)
    return sorted_ratios[k], sorted_ratios[-1 - k]


def measure(kernel, reference, make, *, pairs=40, rtol=1e-5, clock=time.perf_counter_ns):
    generator = np.random.default_rng()
    for_kernel, for_reference = ([np.zeros_like(a) for a in make(generator)] for _ in range(2))

    def one_pair(order):
        fresh = make(generator)
        for target, other, source in zip(for_kernel, for_reference, fresh, strict=True):
            target[...] = source
            other[...] = source
        bits = _bits(for_kernel)
        results = {}
        for side in order:
            if side == "kernel":
                results[side] = _call(kernel, for_kernel, clock)
                _clocks_are_whole()
                _expect(_bits(for_kernel) == bits, "an input is not what it was before the call")
            else:
                results[side] = _call(reference, for_reference, clock)
        _compare(results["kernel"][0], results["reference"][0], rtol)
        return math.log(results["reference"][1]) - math.log(results["kernel"][1])

    there, back = ("kernel", "reference"), ("reference", "kernel")
    _clocks_are_whole()
    for order in (there, back, there, back):
        one_pair(order)
    logs = []
    for _ in range(-(-pairs // 2)):
        logs.append((one_pair(there) + one_pair(back)) / 2)
    logs.sort()
    low, high = _interval(logs)
    return Result(*(math.exp(value) for value in (float(np.median(logs)), low, high)))
