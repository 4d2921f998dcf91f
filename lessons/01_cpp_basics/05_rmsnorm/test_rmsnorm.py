"""Checks of cpp-rmsnorm: the scale of a row, its precision and range, the rows, and the modes of the processor."""

from __future__ import annotations

import ctypes
import itertools
import math
import mmap
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutor.core.finding import Finding
from tutor.worker.defects import Defects

INT64, DOUBLE, POINTER = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p
TYPES = ("float32", "float64")
# Of the result of one row: three roundings as float; the order of a sum of doubles is the learner's to choose.
CLOSE = {"float32": 5e-7, "float64": 1e-12}
EPSILONS = (0.0, 1e-12, 1e-6, 1e-5, 0.25)


def scale_of(built, x, eps):
    """inverse_rms of a dense array."""
    call = getattr(built, f"inverse_rms_f{x.itemsize * 8}")
    call.argtypes, call.restype = (POINTER, INT64, DOUBLE), DOUBLE
    return call(x.ctypes.data, x.size, eps)


def normed(built, x, weight, eps, out=None):
    """rmsnorm of an array of two dimensions whose rows are dense. What is not written stays NaN."""
    rows, dim = x.shape
    if out is None:
        out = np.full((rows, dim), np.nan, x.dtype)
    call = getattr(built, f"rmsnorm_f{x.itemsize * 8}")
    call.argtypes, call.restype = (POINTER, INT64, POINTER, POINTER, INT64, INT64, DOUBLE), None
    stride = x.strides[0] // x.itemsize if rows > 1 else dim
    call(x.ctypes.data, stride, None if weight is None else weight.ctypes.data, out.ctypes.data, rows, dim, eps)
    return out


def mean_square(x):
    """In more digits than double where the machine has them."""
    wide = x.astype(np.longdouble)
    return np.mean(wide * wide, axis=-1)


def right_scale(x, eps):
    square = float(mean_square(x)) + eps
    return 1 / math.sqrt(square) if square else 0.0


def right(x, weight, eps):
    scales = np.array([right_scale(row, eps) for row in x], np.longdouble)[:, None]
    product = x.astype(np.longdouble) * scales
    return product if weight is None else product * weight


def fail(code, message):
    """A finding that the check's marker puts on its line."""
    __tracebackhide__ = True
    raise Defects(Finding(code, message))


def blame_scale(got, x, eps):
    """What people write instead of 1 / sqrt(mean + eps), told by its number."""
    square, n = float(mean_square(x)), x.size
    with np.errstate(all="ignore"):
        known = {
            "eps stands outside the root": 1 / np.float64(math.sqrt(square) + eps),
            "eps is left out": 1 / np.sqrt(np.float64(square)),
            "eps is added to the sum, not to the mean": 1 / np.sqrt(np.float64(square + eps / n)),
            "this is the sum's root: it is not divided by n": 1 / np.sqrt(np.float64(square * n + eps)),
        }
    return next((f": {what}" for what, value in known.items() if math.isclose(got, value, rel_tol=1e-6)), "")


def require(built, dtype):
    """The checks of the rows stand on inverse_rms: where it is wrong they say so and do not blame rmsnorm."""
    x = np.array([3.0, -4.0, 0.5, 1.25, 2.0], dtype)
    if not math.isclose(scale_of(built, x, 0.5), right_scale(x, 0.5), rel_tol=1e-6):
        fail("wrong-result", "inverse_rms is not right yet: rmsnorm is judged after it")


def close(got, want, what, dtype, code=None):
    """Element by element, relative; the first difference is told."""
    __tracebackhide__ = True
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(got - want) <= CLOSE[dtype] * np.abs(want))
    if not wrong.any():
        return
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    text = f"{what}: at {list(at)} got {got[at]}, want {float(want[at]):.9g} ({wrong.sum()} of {wrong.size} are wrong)"
    if code:
        fail(code, text)
    raise AssertionError(text)


@pytest.mark.finds("wrong-result", at="inverse_rms")
@pytest.mark.parametrize("dtype", TYPES)
def test_scale_of_a_row_is_right(built, rng, dtype):
    for n in (1, 2, 3, 5, 8, 15, 16, 17, 33, 63, 64, 100, 257, 4096):
        x = rng.standard_normal(n).astype(dtype)
        got, want = scale_of(built, x, 0.0), right_scale(x, 0.0)
        close_by = math.isclose(got, want, rel_tol=1e-6)
        assert close_by, f"{n} values of {dtype}, eps = 0: got {got}, want {want}{blame_scale(got, x, 0.0)}"


@pytest.mark.finds("numerics", at="inverse_rms")
@pytest.mark.parametrize("dtype", TYPES)
def test_eps_is_added_inside_the_root(built, rng, dtype):
    for magnitude, eps in itertools.product((1e-4, 1e-3, 0.3), EPSILONS):
        x = (magnitude * rng.standard_normal(96)).astype(dtype)
        got, want = scale_of(built, x, eps), right_scale(x, eps)
        close_by = math.isclose(got, want, rel_tol=1e-6)
        assert close_by, f"values of about {magnitude}, eps = {eps}: got {got}, want {want}{blame_scale(got, x, eps)}"


@pytest.mark.finds("numerics", at="inverse_rms")
def test_a_huge_row_keeps_its_precision(built):
    """In float a sum of ones ends at 2**24, and in sixteen floats a sum of 0.01 drifts."""
    x = np.empty(50_000_000, np.float32)
    for value in (1.0, 0.1):
        x.fill(value)
        got, want = scale_of(built, x, 0.0), 1 / float(np.float32(value))
        if not math.isclose(got, want, rel_tol=0.3):
            text = f"{x.size:,} times {value}: 1 / rms is {got:.6f}, want {want:.6f}"
            fail("numerics" if 0 < got < math.inf else "wrong-result", text)
        same = math.isclose(got, want, rel_tol=1e-6)
        assert same, f"{x.size:,} times {value}: 1 / rms is {got:.7f}, want {want:.7f}: the sum loses its digits"


@pytest.mark.finds("numerics", at="inverse_rms")
def test_double_stays_double(built, rng):
    for n in (1, 7, 64, 1_000_001):
        x = rng.random(n) + 0.5
        for eps in (0.0, 1e-6):
            got, want = scale_of(built, x, eps), right_scale(x, eps)
            if not math.isclose(got, want, rel_tol=1e-3):
                fail("wrong-result", f"{n:,} doubles: got {got}, want {want}")
            off = abs(got / want - 1)
            assert off < 1e-11, (
                f"{n:,} doubles: got {got}, want {want}, off by {off:.1e}: was there a float in between?"
            )


MAGNITUDES = {"float32": (1e-30, 1e-25, 1e-19, 1.0, 1e19, 1e25, 1e37), "float64": (1e-150, 1e-60, 1.0, 1e60, 1e150)}


@pytest.mark.finds("numerics", at="inverse_rms")
@pytest.mark.parametrize("dtype", TYPES)
def test_values_of_any_magnitude(built, rng, dtype):
    """The square of 1e20 is infinite as float, that of 1e-25 is zero."""
    for magnitude in MAGNITUDES[dtype]:
        x = (magnitude * (0.5 + rng.random(200))).astype(dtype)
        got, want = scale_of(built, x, 0.0), right_scale(x, 0.0)
        same = math.isclose(got, want, rel_tol=1e-6)
        assert same, (
            f"values of about {magnitude}: got {got}, want {want:.6g}: the square does not fit the type it is in"
        )


@pytest.mark.finds("numerics", at="void rmsnorm(")
@pytest.mark.parametrize("dtype", TYPES)
def test_products_of_any_magnitude(built, rng, dtype):
    require(built, dtype)
    for magnitude in MAGNITUDES[dtype]:
        x = (magnitude * (0.5 + rng.random((3, 70)))).astype(dtype)
        weight = (50 + rng.random(70)).astype(dtype)
        close(normed(built, x, weight, 0.0), right(x, weight, 0.0), f"values of about {magnitude}", dtype)


@pytest.mark.finds("wrong-result", at="void rmsnorm(")
@pytest.mark.parametrize("weighted", [True, False], ids=["weight", "no weight"])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_row_is_normed(built, rng, dtype, weighted):
    require(built, dtype)
    for rows, dim in ((1, 1), (3, 1), (1, 40), (4, 7), (5, 16), (2, 33), (7, 129)):
        x = (rng.standard_normal((rows, dim)) * 10.0 ** rng.integers(-2, 3, (rows, 1))).astype(dtype)
        weight = (rng.standard_normal(dim) + 2).astype(dtype) if weighted else None
        eps = float(rng.choice(EPSILONS))
        close(normed(built, x, weight, eps), right(x, weight, eps), f"{rows} rows of {dim}, eps = {eps}", dtype)


@settings(max_examples=40, deadline=None, database=None)
@given(data=st.data())
@pytest.mark.finds("wrong-result", at="void rmsnorm(")
def test_any_shape_and_distance_of_rows(built, data):
    dtype = data.draw(st.sampled_from(TYPES))
    require(built, dtype)
    rows, dim, gap = (data.draw(st.integers(low, high)) for low, high in ((0, 6), (0, 70), (0, 9)))
    wide = np.random.default_rng(data.draw(st.integers(0, 999))).standard_normal((rows, dim + gap)).astype(dtype)
    x = wide[:, :dim]
    weight = (np.arange(dim) % 5 - 2).astype(dtype) if data.draw(st.booleans()) else None
    eps = data.draw(st.sampled_from(EPSILONS))
    close(normed(built, x, weight, eps), right(x, weight, eps), f"{rows} rows of {dim}, {dim + gap} apart", dtype)


@pytest.mark.finds("layout", at="void rmsnorm(")
@pytest.mark.parametrize("dtype", TYPES)
def test_rows_of_a_wider_matrix(built, rng, dtype):
    """q out of a packed qkv: its rows are three times as far apart as they are long."""
    require(built, dtype)
    packed = rng.standard_normal((6, 3 * 48)).astype(dtype)
    packed[:, :48] = packed[:, 96:] = np.nan
    x, weight = packed[:, 48:96], rng.random(48).astype(dtype)
    if not np.allclose(normed(built, x.copy(), weight, 1e-6), right(x, weight, 1e-6), rtol=1e-5):
        fail("wrong-result", "rows that lie side by side are not right yet")
    close(normed(built, x, weight, 1e-6), right(x, weight, 1e-6), "rows of 48, 144 apart", dtype)


@pytest.mark.finds("layout", at="void rmsnorm(")
def test_rows_that_lie_gigabytes_apart(built, rng):
    """2**32 elements: an int holds nothing of that. Address space only, two pages of it in memory."""
    require(built, "float32")
    stride, dim = 1 << 32, 64
    size, words = (stride + dim) * 4, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    try:
        region = mmap.mmap(-1, size, flags=words)
    except (OSError, OverflowError, ValueError):
        pytest.skip("no 16 GiB of address space here")
    flat = np.frombuffer(region, np.float32)
    flat[:dim], flat[-dim:] = rng.random(dim), rng.random(dim) + 5
    x = np.lib.stride_tricks.as_strided(flat, (2, dim), (stride * 4, 4))
    close(normed(built, x, None, 0.0), right(x, None, 0.0), f"rows {stride:,} elements apart", "float32")


@pytest.mark.finds("numerics", at="inverse_rms")
@pytest.mark.parametrize("dtype", TYPES)
def test_a_row_of_zeros_stays_zero(built, rng, dtype):
    """Padding is zeros. 0 / 0 would be NaN, and one NaN makes the whole loss NaN."""
    for eps in EPSILONS:
        for n in (1, 16, 50):
            got, want = scale_of(built, np.zeros(n, dtype), eps), right_scale(np.zeros(n), eps)
            same = math.isclose(got, want, rel_tol=1e-6)
            assert same, f"{n} zeros, eps = {eps}: the scale is {got}, want {want:.6g}"
        x = rng.standard_normal((3, 40)).astype(dtype)
        x[1] = 0
        close(normed(built, x, None, eps), right(x, None, eps), f"a row of zeros, eps = {eps}", dtype, "numerics")


@pytest.mark.parametrize(("rows", "dim"), [(0, 8), (5, 0), (0, 0)])
@pytest.mark.parametrize("dtype", TYPES)
def test_nothing_to_do_is_no_error(built, guard, dtype, rows, dim):
    x, out = guard.array(np.zeros((rows, dim), dtype)), guard.array(np.zeros((rows, dim), dtype))
    normed(built, x, None, 1e-6, out)


@pytest.mark.finds("numerics", at="inverse_rms")
@pytest.mark.parametrize("dtype", TYPES)
def test_nan_and_infinity_spoil_their_row_only(built, rng, dtype):
    """A NaN must be seen: a run that diverges has to say so. So the whole row is NaN, and no other."""
    require(built, dtype)
    for bad, column in itertools.product((np.nan, np.inf, -np.inf), (0, 20, 49)):
        x = (0.5 + rng.random((3, 50))).astype(dtype)
        x[1, column] = bad
        with np.errstate(all="ignore"):
            want = right(x, None, 1e-6)
        got = normed(built, x, None, 1e-6)
        close(got[[0, 2]], want[[0, 2]], f"rows beside one with {bad}", dtype)
        same = np.array_equal(np.isnan(got[1]), np.isnan(want[1].astype(float)))
        assert same, (
            f"a row with {bad} at {column}: {np.isnan(got[1]).sum()} of 50 are NaN, want {np.isnan(want[1]).sum()}"
        )
        clean = ~np.isnan(got[1])
        assert not got[1][clean].any(), f"a row with {bad} at {column}: want 0 where it is not NaN"


@pytest.mark.finds("numerics", at="void rmsnorm(")
@pytest.mark.parametrize(("dtype", "tiny"), [("float32", 1e-40), ("float64", 1e-310)])
def test_subnormal_numbers_are_not_flushed(built, rng, dtype, tiny):
    """Below the smallest normal number digits are lost one by one; a processor told to flush makes zeros of them."""
    require(built, dtype)
    x = (1 + rng.random((2, 40))).astype(dtype)
    got, want = normed(built, x, np.full(40, tiny, dtype), 0.0), right(x, np.full(40, tiny, dtype), 0.0)
    assert got.all(), f"products of about {tiny} came out as 0 ({(got == 0).sum()} of {got.size})"
    assert np.allclose((got / tiny).astype(float), (want / tiny).astype(float), rtol=1e-3), f"products of about {tiny}"


class Modes:
    """How this thread's processor rounds, and what it does with tiny numbers: told by arithmetic."""

    normal, tiny, one = float("2.5e-308"), float("1e-310"), float("1")

    def changed(self):
        if self.normal * 0.25 == 0.0:
            return "results below 2.2e-308 are flushed to zero (FTZ)"
        if self.tiny * 1e300 == 0.0:
            return "operands below 2.2e-308 are taken for zero (DAZ)"
        if self.one + 1e-30 != 1.0 or self.one - 1e-30 != 1.0:
            return "numbers are rounded in another direction"
        return ""


SWITCHES = re.compile(r"_MM_SET_|_mm_setcsr|ldmxcsr|fpcr|fesetenv|fesetround|fast-math|Ofast", re.IGNORECASE)


@pytest.mark.finds("numerics", at="void rmsnorm(")
@pytest.mark.parametrize("dtype", TYPES)
def test_the_processors_modes_are_left_alone(built, artifact, rng, dtype):
    """MXCSR belongs to the thread: what is switched here holds for NumPy, for PyTorch, for everybody after the call."""
    modes = Modes()
    changed = modes.changed()
    when = "loading the library" if changed else "a call"
    if not changed:
        scale_of(built, rng.random(64).astype(dtype), 0.0)
        normed(built, rng.random((4, 64)).astype(dtype), None, 1e-6)
        changed = modes.changed()
    if changed:
        lines = Path(artifact.sources["rmsnorm.hpp"]).read_text("utf-8").splitlines()
        found = (
            n for n, line in enumerate(lines, 1) if SWITCHES.search(line.split("//")[0]) and "#include" not in line
        )
        text = f"after {when}, {changed}, in all code of this thread"
        raise Defects(Finding("numerics", text).at("rmsnorm.hpp", next(found, None)))


@pytest.mark.finds("out-of-bounds", at="void rmsnorm(")
@pytest.mark.parametrize("side", ["after", "before"])
@pytest.mark.parametrize("dtype", TYPES)
def test_no_element_outside_is_touched(built, rng, guard, dtype, side):
    for rows, dim in ((1, 1), (3, 5), (2, 16), (2, 17), (1, 31), (4, 64)):
        x = guard.array(rng.random((rows, dim)).astype(dtype), side, readonly=True)
        weight = guard.array(rng.random(dim).astype(dtype), side, readonly=True)
        out = guard.array(np.zeros((rows, dim), dtype), side)
        scale_of(built, x[-1 if side == "after" else 0], 1e-6)
        normed(built, x, weight, 1e-6, out)
        normed(built, x, None, 1e-6, out)


@pytest.mark.finds("out-of-bounds", at="void rmsnorm(")
def test_gaps_between_rows_are_not_touched(built, rng, guard):
    """The last row has no gap behind it."""
    wide = rng.random(2 * 40 + 24).astype(np.float32)
    flat = guard.array(wide, readonly=True)
    x = np.lib.stride_tricks.as_strided(flat, (3, 24), (160, 4))
    out = guard.array(np.zeros((3, 24), np.float32))
    normed(built, x, None, 1e-6, out)


@pytest.mark.finds("hidden-copy", at="void rmsnorm(")
def test_no_memory_but_out(built, memory):
    x, out = (np.ones((2, 4_000_000), np.float32) for _ in range(2))  # zeros would be pages not there yet
    _, extra = memory.peak(normed, built, x, None, 1e-6, out)
    assert extra < x.nbytes / 8, f"{x.nbytes:,} bytes were normed into `out`, and {extra:,} more were needed"


@pytest.mark.finds("memory-leak", at="void rmsnorm(")
def test_nothing_leaks(built, rng, memory):
    x, out = rng.random((4, 96)).astype(np.float32), np.zeros((4, 96), np.float32)

    def norm_f32():
        normed(built, x, None, 1e-6, out)

    memory.leak(norm_f32)


@pytest.mark.parametrize("dtype", TYPES)
def test_inputs_are_only_read(built, rng, dtype):
    x, weight = rng.random((5, 33)).astype(dtype), rng.random(33).astype(dtype)
    before = x.copy(), weight.copy()
    out = normed(built, x, weight, 1e-6)
    assert not np.isnan(out).any(), "some of `out` was not written"
    assert np.array_equal(x, before[0]), "x was changed"
    assert np.array_equal(weight, before[1]), "weight was changed"
