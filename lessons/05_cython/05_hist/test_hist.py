"""Checks of cy-prange: sums against np.add.at, equal bits at equal calls, who did the work, and who could meanwhile."""

from __future__ import annotations

import os

# Read when OpenMP's library is loaded: what a loop gets that does not say how many threads it wants.
os.environ["OMP_NUM_THREADS"] = "3"

import time

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

# what a wrong implementation raises instead
OTHERS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, MemoryError)
THREADS = (1, 2, 3, 4, 7, 16)


def node(rng, samples=200, features=3, rows=None):
    """Whole numbers as gradients: every order of adding them gives the same sum."""
    bins = rng.integers(0, 256, (samples, features), np.uint8)
    gradients, hessians = rng.integers(-9, 10, (2, samples)).astype(np.float32)
    count = samples if rows is None else rows
    chosen = rng.integers(0, samples, count) if samples else np.zeros(0)
    return bins, gradients, hessians, chosen.astype(np.int32)


def define(bins, gradients, hessians, rows):
    features = bins.shape[1]
    want = np.zeros((features, 256, 2))
    for feature in range(features):
        for channel, values in enumerate((gradients, hessians)):
            np.add.at(want[feature, :, channel], bins[rows, feature], values[rows].astype(np.float64))
    return want


def call(built, arrays, threads, why):
    try:
        return built.histograms(*arrays, threads)
    except OTHERS as error:
        raise AssertionError(f"{why}, {threads} threads: raised {type(error).__name__}: {error}") from None


def told(got, want):
    """Where two histograms differ first."""
    feature, bin, channel = np.argwhere(got != want)[0].tolist()
    kind, values = ("gradients", "hessians")[channel], [float(a[feature, bin, channel]) for a in (got, want)]
    return f"{kind} of feature {feature}, bin {bin}: got {values[0]!r}, want {values[1]!r}"


def expect(built, arrays, threads, why):
    got, want = call(built, arrays, threads, why), define(*arrays)
    assert isinstance(got, np.ndarray), f"return a NumPy array, not {type(got).__name__}"
    shapes = (got.dtype, got.shape), (want.dtype, want.shape)
    assert shapes[0] == shapes[1], f"{why}: got {got.dtype} {got.shape}, want float64 {want.shape}"
    assert np.array_equal(got, want), f"{why}, {threads} threads: {told(got, want)}"


def refuses(built, error, arrays, threads, why):
    try:
        built.histograms(*arrays, threads)
    except error:
        return
    except OTHERS as other:
        raise AssertionError(f"{why}: want {error.__name__}, got {type(other).__name__}: {other}") from None
    raise AssertionError(f"{why}: want {error.__name__}, but it was accepted")


@pytest.mark.finds("wrong-result", at="histograms")
def test_sums_are_right_with_any_number_of_threads(built, rng):
    for threads in THREADS:
        for samples, features in ((1, 1), (50, 2), (997, 5)):
            arrays = node(rng, samples, features)
            expect(built, arrays, threads, f"{len(arrays[3])} rows of {samples} samples, {features} features")


@pytest.mark.finds("wrong-result", at="histograms")
# Not shrunk: a node is small enough to read, and shrinking a wrong program takes thousands of calls with threads.
@settings(max_examples=60, deadline=None, database=None, phases=[Phase.generate])
@given(
    seed=st.integers(0, 999),
    samples=st.integers(1, 40),
    features=st.integers(0, 4),
    rows=st.integers(0, 50),
    threads=st.integers(1, 9),
)
def test_any_small_node(built, seed, samples, features, rows, threads):
    arrays = node(np.random.default_rng(seed), samples, features, rows)
    expect(built, arrays, threads, f"{rows} rows of {samples} samples, {features} features")


@pytest.mark.finds("wrong-result", at="histograms")
def test_every_row_counts(built):
    """One sample a row, ones only: what is missing or doubled shows as a number of rows."""
    for count in range(1, 34):
        bins, ones = np.zeros((count, 1), np.uint8), np.ones(count, np.float32)
        for threads in (1, 2, 3, 5, 8, 40):
            got = call(built, (bins, ones, ones, np.arange(count, dtype=np.int32)), threads, f"{count} rows")
            seen = float(got[0, 0, 0])
            assert seen == count, f"{count} rows, {threads} threads: {seen:g} were added"


@pytest.mark.finds("wrong-result", at="histograms")
def test_a_result_is_not_changed_by_later_calls(built, rng):
    arrays, others = node(rng), node(rng)
    first = call(built, arrays, 2, "a node")
    kept = first.copy()
    for _ in range(4):
        call(built, others, 2, "another node")
    assert np.array_equal(first, kept), "the histograms that were returned changed when the next node was computed"


@pytest.mark.finds("numerics", at="histograms")
def test_sums_are_kept_in_double_precision(built, rng):
    """More than 2^24 in all: a sum in float32 stops at what it can tell apart."""
    bins, gradients, hessians, rows = node(rng, 60_000, 1)
    bins &= 1
    gradients, hessians = gradients + 3001, hessians + 5003
    for threads in (1, 2):
        expect(built, (bins, gradients, hessians, rows), threads, "60,000 rows in two bins, gradients about 3,000")


def one_bin(rng, samples, features):
    """The worst for threads: every row adds to the same place. The sums are below 2^24, exact in any precision."""
    bins = np.full((samples, features), rng.integers(0, 256), np.uint8)
    gradients, hessians = rng.integers(1, 6, (2, samples)).astype(np.float32)
    return bins, gradients, hessians, np.arange(samples, dtype=np.int32)


def different_bits(built, arrays, threads, repeats):
    """The first result of equal calls, and those that differ from it."""
    first, *results = [call(built, arrays, threads, "equal calls") for _ in range(repeats)]
    return first, [result for result in results if not np.array_equal(result, first)]


@pytest.mark.finds("data-race", at="histograms")
@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("threads", [2, 4, 8])
def test_no_addition_is_lost_in_50_repeats(built, rng, threads, features):
    arrays = one_bin(rng, 900_000 // features, features)
    alone, varying = different_bits(built, arrays, 1, 3)
    if varying:
        return  # wrong without any other thread: other checks say so
    first, others = different_bits(built, arrays, threads, 50)
    if not others:
        return  # always the same: if that is wrong it is no race
    bin = int(arrays[0][0, 0])
    sums, want = sorted(float(result[0, bin, 0]) for result in (first, *others)), float(alone[0, bin, 0])
    raise AssertionError(
        f"50 equal calls with {threads} threads, all {len(arrays[3]):,} rows in bin {bin}: {len(others)} gave another "
        f"result than the first, the sums were between {sums[0]:,.0f} and {sums[-1]:,.0f}, want {want:,.0f}: "
        "threads add to the same memory"
    )


@pytest.mark.finds("numerics", at="histograms")
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_equal_calls_give_equal_bits(built, rng, threads):
    """Magnitudes from 1e-9 to 1e9: each order of adding rounds in another way."""
    # Milliseconds of work: on a busy machine a shorter call is over before a second thread has begun.
    count = 400_000
    bins, _, _, rows = node(rng, count, 2)
    bins &= 3
    gradients, hessians = (10.0 ** rng.uniform(-9, 9, (2, count)) * rng.choice([-1, 1], count)).astype(np.float32)
    arrays = bins, gradients, hessians, rows
    first, others = different_bits(built, arrays, threads, 30)
    assert not others, (
        f"{len(others)} of 30 equal calls with {threads} threads gave other bits than the first: "
        f"{told(others[0], first)}. Which thread is done first must not decide in which order is added"
    )


def who_worked(built, arrays, threads):
    """Of a call's processor time the part that the calling thread took; and how many processors were busy at a time."""
    wall, mine, all_of_us = time.perf_counter(), time.thread_time(), time.process_time()
    built.histograms(*arrays, threads)
    wall, mine, all_of_us = time.perf_counter() - wall, time.thread_time() - mine, time.process_time() - all_of_us
    return mine / max(all_of_us, 1e-9), all_of_us / max(wall, 1e-9)


def share_of_the_caller(built, arrays, threads):
    return who_worked(built, arrays, threads)[0]


@pytest.mark.finds("slow", at="histograms")
def test_the_threads_share_the_work(built, rng):
    arrays = node(rng, 400_000, 8)
    for threads in (2, 4):
        # Processor time, not time: it is shared on a busy machine as well. The least of ten calls.
        share = min(share_of_the_caller(built, arrays, threads) for _ in range(10))
        assert share < 0.85, f"{threads} threads were asked for, but the calling thread did {share:.0%} of the work"


@pytest.mark.finds("wrong-result", at="histograms")
def test_one_thread_means_one_thread(built, rng):
    arrays = node(rng, 400_000, 8)
    calls = [who_worked(built, arrays, 1) for _ in range(5)]
    share, busy = max(share for share, _ in calls), max(busy for _, busy in calls)
    # A caller that does nothing waits for a thread of a pool: right, as long as it is one.
    assert share > 0.9 or (share < 0.2 and busy < 1.5), (
        f"threads=1, but the calling thread did only {share:.0%} of the work, and {busy:.1f} processors were busy at a "
        "time: other processes need the other cores"
    )


@pytest.mark.finds("wrong-result", at="histograms")
def test_no_threads_are_refused(built, rng):
    for threads in (0, -1, 257, 1 << 40):
        refuses(built, ValueError, node(rng), threads, f"threads={threads}")


@pytest.mark.finds("out-of-bounds", at="histograms")
@pytest.mark.parametrize("threads", [1, 3])
def test_rows_that_do_not_exist_are_refused(built, rng, threads):
    bins, gradients, hessians, rows = node(rng, 50)
    for bad in (-1, 50, 51, 2**31 - 1, -(2**31)):
        for place in (0, 25, 49):
            rows[:] = np.arange(50)
            rows[place] = bad
            refuses(built, IndexError, (bins, gradients, hessians, rows), threads, f"row {bad} of 50, at place {place}")


@pytest.mark.finds("out-of-bounds", at="histograms")
def test_lengths_must_agree(built, rng):
    for extra in (-1, 1, -50):
        for wrong in (1, 2):
            arrays = list(node(rng, 50))
            arrays[wrong] = np.zeros(50 + extra, np.float32)
            kind = ("gradients", "hessians")[wrong - 1]
            refuses(built, ValueError, arrays, 2, f"{50 + extra} {kind} for 50 samples")


@pytest.mark.finds("out-of-bounds", at="histograms")
@pytest.mark.parametrize("side", ["after", "before"])
def test_no_access_outside_the_arrays(built, rng, guard, side):
    for samples, features in ((1, 1), (33, 3), (500, 2)):
        arrays = tuple(guard.array(array, side=side) for array in node(rng, samples, features))
        for threads in (1, 2, 5):
            expect(built, arrays, threads, f"arrays that touch a protected page ({side})")


@pytest.mark.finds("layout", at="histograms")
def test_readonly_arrays_are_accepted(built, rng):
    arrays = node(rng)
    for array in arrays:
        array.setflags(write=False)
    expect(built, arrays, 2, "read-only arrays")


@pytest.mark.finds("layout", at="histograms")
def test_other_layouts_are_right_or_refused(built, rng, variants):
    bins, gradients, hessians, rows = node(rng, 40)
    want = define(bins, gradients, hessians, rows)
    for label, view in variants(bins, kinds=("strided", "transposed", "negative")):
        try:
            got = built.histograms(view, gradients, hessians, rows, 2)
        except (ValueError, BufferError):
            continue
        assert np.array_equal(got, want), f"{label} bins: {told(got, want)}"


@pytest.mark.finds("wrong-result", at="histograms")
def test_the_callers_arrays_stay_as_they_were(built, rng):
    arrays = node(rng)
    before = [array.copy() for array in arrays]
    call(built, arrays, 3, "a node")
    for name, now, then in zip(("bins", "gradients", "hessians", "rows"), arrays, before, strict=True):
        assert np.array_equal(now, then), f"the caller's {name} were changed"


@pytest.mark.finds("memory-leak", at="histograms")
@pytest.mark.parametrize("kind", ["a node", "a row that does not exist"])
def test_a_call_keeps_no_memory(built, rng, memory, kind):
    bins, gradients, hessians, rows = node(rng, 30, 2)
    if kind != "a node":
        rows[7] = 30

    def run():
        try:
            built.histograms(bins, gradients, hessians, rows, 3)
        except (IndexError, ValueError):
            assert kind != "a node", "a right node is refused"

    memory.leak(run)


def test_other_python_threads_run_meanwhile(built, rng, gil):
    # One thread: the GIL is watched in a forked child, and a pool of OpenMP threads does not survive a fork.
    arrays = node(rng, 600_000, 8)
    if share_of_the_caller(built, arrays, 1) > 0.9:  # else the check above says so
        gil.check(built.histograms, *arrays, 1, at_least=0.6)


def test_the_inner_loop_stays_in_c(annotation):
    annotation.check(depth=2)
