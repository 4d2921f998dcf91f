"""Checks of cpp-view: the description after each operation, the sum, and that nothing is copied or overrun."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutor.core.finding import Finding
from tutor.worker.defects import Defects

INT64 = ctypes.c_int64


class View(ctypes.Structure):
    """The struct of view.hpp, field by field."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("ndim", INT64),
        ("shape", INT64 * 4),
        ("strides", INT64 * 4),
    )

    @property
    def layout(self):
        """((shape), (strides in elements))."""
        return tuple(self.shape[: self.ndim]), tuple(self.strides[: self.ndim])


def typed(built):
    """The library with its prototypes: without them ctypes passes int (32 bits) and expects int back."""
    pointer, numbers = ctypes.POINTER(View), ctypes.POINTER(INT64)
    built.view_from_numpy.argtypes = (pointer, ctypes.c_void_p, INT64, numbers, numbers)
    built.view_slice.argtypes = (pointer, pointer, INT64, INT64, INT64, INT64)
    built.view_transpose.argtypes = (pointer, pointer, INT64, INT64)
    built.view_sum.argtypes = (pointer,)
    built.view_sum.restype = ctypes.c_double
    for name in ("view_from_numpy", "view_slice", "view_transpose"):
        getattr(built, name).restype = None
    return built


def view_of(built, array):
    """The learner's view of a NumPy array. The caller keeps the array alive: nothing in C++ does."""
    view = View()
    sizes = INT64 * array.ndim
    typed(built).view_from_numpy(view, array.ctypes.data, array.ndim, sizes(*array.shape), sizes(*array.strides))
    return view


def sliced(built, view, dim, part):
    """view[..., part, ...] in dimension `dim`."""
    out = View()
    typed(built).view_slice(view, out, dim, *part.indices(view.shape[dim]))
    return out


def layout_of(array):
    """What the description of a NumPy array must be, in elements."""
    return array.shape, tuple(stride // 4 for stride in array.strides)


def total(array):
    """The right sum: element by element in double."""
    return float(np.sum(array, dtype=np.float64))


def matrix(rng, *shape):
    """Whole numbers: their sum in double is exact in any order."""
    return rng.integers(-1000, 1000, shape).astype(np.float32)


@pytest.mark.finds("layout", at="View::from_numpy(")
@pytest.mark.parametrize("kind", ["contiguous", "strided", "transposed", "negative", "broadcast", "zero-d", "empty"])
def test_numpy_strides_become_element_strides(built, rng, kind):
    base = matrix(rng, 6, 8)
    array = {
        "contiguous": base,
        "strided": base[::2, ::3],
        "transposed": base.T,
        "negative": base[::-1, ::-2],
        "broadcast": np.broadcast_to(base[0], (5, 8)),
        "zero-d": np.asarray(base[2, 3]),
        "empty": base[:0],
    }[kind]
    view = view_of(built, array)
    assert view.layout == layout_of(array), f"{kind}: (shape, strides) is {view.layout}, want {layout_of(array)}"
    assert view.data == array.ctypes.data, f"{kind}: the view begins {view.data - array.ctypes.data} bytes off"


SHAPES = [(), (1,), (5,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (1, 7, 1, 2), (4, 0, 3), (0,)]
PARTS = [slice(1, 5), slice(None, None, 2), slice(1, None, 3), slice(None, None, -1), slice(5, 1, -2), slice(6, 2, -3)]


@pytest.mark.finds("layout", at="slice")
@pytest.mark.parametrize("dim", [0, 1])
def test_a_slice_begins_and_steps_right(built, rng, dim):
    array = matrix(rng, 7, 8)
    require(built, array)
    for part in PARTS:
        got = sliced(built, view_of(built, array), dim, part)
        want = array[part] if dim == 0 else array[:, part]
        offset = (got.data - want.ctypes.data) // 4
        assert got.shape[dim] == want.shape[dim], f"{part}: {got.shape[dim]} elements, want {want.shape[dim]}"
        assert offset == 0, f"{part} of dimension {dim}: begins {offset} elements off"
        assert got.layout == layout_of(want), f"{part}: (shape, strides) is {got.layout}, want {layout_of(want)}"


@pytest.mark.finds("layout", at="slice")
def test_a_slice_of_a_slice_multiplies_the_strides(built, rng):
    array = matrix(rng, 20, 5)
    require(built, array)
    got = sliced(built, sliced(built, view_of(built, array), 0, slice(1, None, 3)), 0, slice(None, None, -2))
    want = array[1::3][::-2]
    assert got.layout == layout_of(want), f"(shape, strides) is {got.layout}, want {layout_of(want)}"
    assert got.data == want.ctypes.data, f"begins {(got.data - want.ctypes.data) // 4} elements off"


@pytest.mark.finds("layout", at="slice")
def test_an_empty_slice_has_no_elements(built, rng):
    array = matrix(rng, 7, 3)
    require(built, array)
    for part in (slice(3, 3), slice(5, 2), slice(9, None), slice(0, 3, -1), slice(7, 7, 2)):
        got = sliced(built, view_of(built, array), 0, part)
        assert got.shape[0] == 0, f"{part} of 7: {got.shape[0]} elements, want 0"


@pytest.mark.finds("layout", at="transpose")
def test_transposing_swaps_shape_and_strides(built, rng):
    array = matrix(rng, 2, 3, 4)
    require(built, array)
    for a, b in ((0, 1), (0, 2), (2, 1), (1, 1)):
        out = View()
        built.view_transpose(view_of(built, array), out, a, b)
        want = layout_of(np.swapaxes(array, a, b))
        assert out.layout == want, f"dimensions {a} and {b}: (shape, strides) is {out.layout}, want {want}"


def require(built, array):
    """Later checks stand on from_numpy: when it is wrong they say so, and do not blame slice or sum."""
    if view_of(built, array).layout != layout_of(array):
        raise Defects(Finding("wrong-result", "View::from_numpy is not right yet: shape or strides differ"))


@pytest.mark.finds("layout", at="sum")
@pytest.mark.parametrize("kind", ["contiguous", "strided", "transposed", "negative", "readonly", "empty"])
def test_any_layout_sums_right(built, rng, variants, kind):
    for label, array in variants(matrix(rng, 6, 10), kinds=(kind,)):
        require(built, array)
        got, want = built.view_sum(view_of(built, array)), total(array)
        assert got == want, f"{label} array of shape {array.shape}, strides {array.strides}: sum {got}, want {want}"


@pytest.mark.parametrize(
    "shape", [(), (1,), (5,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (1, 7, 1, 2), (4, 0, 3), (0,)], ids=str
)
def test_zero_to_four_dimensions_sum_right(built, rng, shape):
    array = matrix(rng, *shape)
    require(built, array)
    got = built.view_sum(view_of(built, array))
    assert got == total(array), f"shape {shape}: sum {got}, want {total(array)}"


@pytest.mark.finds("layout", at="sum")
def test_a_broadcast_row_counts_every_time(built, rng):
    row = matrix(rng, 9)
    array = np.broadcast_to(row, (5, 9))
    require(built, array)
    got = built.view_sum(view_of(built, array))
    assert got == total(array), f"a row repeated 5 times (stride 0): sum {got}, want {total(array)}"


def slices(length):
    """Slices of a dimension that begin, end and step anywhere near it. (st.slices takes steps of any size, and the
    product of two of them is no stride.)"""
    place = st.none() | st.integers(-length - 1, length + 1)
    step = st.none() | st.integers(-length - 1, length + 1).filter(bool)
    return st.builds(slice, place, place, step)


@settings(max_examples=30, deadline=None, database=None)
@given(data=st.data())
def test_any_chain_of_operations_agrees_with_numpy(built, data):
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    require(built, array)
    view, names = view_of(built, array), [f"arange{tuple(shape)}"]
    for _ in range(data.draw(st.integers(0, 3))):
        dim = data.draw(st.integers(0, array.ndim - 1))
        if data.draw(st.booleans()):
            other, out = data.draw(st.integers(0, array.ndim - 1)), View()
            built.view_transpose(view, out, dim, other)
            array, view = np.swapaxes(array, dim, other), out
            names.append(f"transpose({dim}, {other})")
        else:
            part = data.draw(slices(array.shape[dim]))
            view = sliced(built, view, dim, part)
            array = array[(slice(None),) * dim + (part,)]
            names.append(f"slice({dim}, {part.start}, {part.stop}, {part.step})")
        if tuple(view.shape[: view.ndim]) != array.shape:
            break
    got = tuple(view.shape[: view.ndim])
    assert got == array.shape, f"{' -> '.join(names)}: shape {got}, want {array.shape}"
    assert built.view_sum(view) == total(array), f"{' -> '.join(names)}: the sum is wrong"


@pytest.mark.finds("out-of-bounds", at="sum")
@pytest.mark.parametrize("side", ["after", "before"])
def test_no_element_outside_is_read(built, rng, guard, side):
    for shape in ((3, 5), (4, 8), (1, 1), (0, 4)):
        array = guard.array(matrix(rng, *shape), side=side)
        require(built, array)
        for label, view in (("", array), (", reversed", array[::-1, ::-1])):
            got = built.view_sum(view_of(built, view))
            if got != total(array):
                raise Defects(Finding("wrong-result", f"shape {shape}{label}: sum {got}, want {total(array)}"))


@pytest.mark.finds("out-of-bounds", at="slice")
def test_a_slice_stays_inside(built, rng, guard):
    for part in (slice(1, None, 2), slice(None, None, 3), slice(None, None, -2)):
        array = guard.array(matrix(rng, 8), side="before" if (part.step or 1) < 0 else "after")
        require(built, array)
        got = sliced(built, view_of(built, array), 0, part)
        first = (got.data - array.ctypes.data) // 4
        last = first + (got.shape[0] - 1) * got.strides[0]
        assert {first, last} <= set(range(8)), f"[{part}] of 8 elements: reaches from element {first} to element {last}"
        summed = built.view_sum(got)
        if summed != total(array[part]):
            raise Defects(Finding("wrong-result", f"[{part}]: sum {summed}, want {total(array[part])}"))


@pytest.mark.finds("numerics", at="sum")
@pytest.mark.parametrize("shape", [(1_000_000,), (1000, 1000)], ids=str)
def test_a_long_sum_keeps_its_precision(built, shape):
    """In float the sum of a million times 0.1 comes out as 100,958.34."""
    array = np.broadcast_to(np.float32(0.1), shape)
    require(built, array)
    got, want = built.view_sum(view_of(built, array)), 1e6 * float(np.float32(0.1))
    if abs(got - want) > 0.1 * want:
        raise Defects(Finding("wrong-result", f"the sum of a million times 0.1 is {got}"))
    assert abs(got - want) < 1e-9 * want, f"a million times 0.1: sum {got:.6f}, want {want:.6f}: add in double"


@pytest.mark.finds("hidden-copy", at="sum")
@pytest.mark.parametrize("kind", ["broadcast", "transposed"])
def test_a_sum_copies_nothing(built, memory, kind):
    base = np.ones((2048, 2048), np.float32)
    array = {"broadcast": np.broadcast_to(base[0], (4096, 2048)), "transposed": base.T[::2]}[kind]
    require(built, array)
    _, extra = memory.peak(built.view_sum, view_of(built, array))
    assert extra < array.size, f"the sum of {array.size * 4:,} bytes took {extra:,} bytes more: it must copy nothing"


OPERATIONS = {"slice": (0, 1, 9, 2), "transpose": (0, 1), "sum": ()}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.finds("memory-leak", at=name)) for name in OPERATIONS]
)
def test_no_operation_leaks(built, rng, memory, name):
    array = matrix(rng, 16, 16)
    require(built, array)
    out = () if name == "sum" else (View(),)
    memory.leak(getattr(built, f"view_{name}"), view_of(built, array), *out, *OPERATIONS[name])


def test_the_array_is_only_read(built, rng):
    array = matrix(rng, 9, 9)
    before = array.copy()
    got = built.view_sum(view_of(built, array))
    assert np.array_equal(array, before), f"summing (to {got}) changed the array"
