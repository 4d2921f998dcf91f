"""Checks of ffi-dlpack: what capsules say, who ends a loan and when, with NumPy, PyTorch, and a lender that counts."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutor.worker.probe.forked import run_forked

# what a wrong implementation raises instead
OTHERS = (ArithmeticError, BufferError, LookupError, RuntimeError, TypeError, ValueError)
NEW, OLD = b"dltensor_versioned", b"dltensor"
CPU, CUDA, PINNED = (1, 0), (2, 0), (3, 0)
FLOAT32 = (2, 32, 1)

python = ctypes.pythonapi
python.PyCapsule_New.restype = ctypes.py_object
python.PyCapsule_New.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
python.PyCapsule_GetPointer.restype = ctypes.c_void_p
python.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
python.PyCapsule_GetName.restype = ctypes.c_char_p
python.PyCapsule_GetName.argtypes = (ctypes.py_object,)
python.PyCapsule_SetName.argtypes = (ctypes.py_object, ctypes.c_char_p)
INT64S = ctypes.POINTER(ctypes.c_int64)


class DLTensor(ctypes.Structure):
    """As in dlpack.h, device and dtype spread out."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", INT64S),
        ("strides", INT64S),
        ("byte_offset", ctypes.c_uint64),
    ]


class Versioned(ctypes.Structure):
    """The loan since DLPack 1.0."""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", DLTensor),
    ]


class Legacy(ctypes.Structure):
    """The loan of old."""

    _fields_ = [("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class Book(ctypes.Structure):
    """`lender_book` of lender.h."""

    _fields_ = [
        ("ended", ctypes.c_int64),
        ("described", ctypes.c_void_p),
        ("described_bytes", ctypes.c_size_t),
        ("values", ctypes.c_void_p),
        ("values_bytes", ctypes.c_size_t),
    ]


@pytest.fixture
def lender(artifact):
    """The C library that makes loans, counts how often they are ended, and ends those of others."""
    library = ctypes.CDLL(artifact.extra["lender"])
    addresses = (ctypes.cast(f, ctypes.c_void_p) for f in (python.PyCapsule_IsValid, python.PyCapsule_GetPointer))
    library.lender_python(*addresses)
    library.lender_give_back.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return library


class Loan:
    """A source for from_dlpack: each has one loan, of the memory of `array`, and keeps the book about it.

    spoil: at its end the loan and the values turn to rubbish, so that a late reader goes astray.
    """

    kept: ClassVar[list[Loan]] = []  # a borrower may end it later than the check ends

    def __init__(self, lender, array, name=NEW, deleter=True, spoil=False, flags=0, major=1, **described):
        self.kept.append(self)
        self.name, self.array, self.device = name, array, described.get("device", CPU)
        self.sizes = [(ctypes.c_int64 * 32)(*values) for values in (array.shape, elements(array))]
        tensor = DLTensor(array.ctypes.data, CPU, array.ndim, *FLOAT32, *(ctypes.cast(s, INT64S) for s in self.sizes))
        for field, value in described.items():
            setattr(tensor, field, value)
        self.book = Book()
        context = ctypes.addressof(self.book)
        end = getattr(lender, "lender_end_versioned" if name == NEW else "lender_end_legacy")
        end = ctypes.cast(end, ctypes.c_void_p).value if deleter else None
        self.loan = Versioned(major, 0, context, end, flags, tensor) if name == NEW else Legacy(tensor, context, end)
        if spoil:
            self.book.described, self.book.described_bytes = ctypes.addressof(self.loan.tensor), ctypes.sizeof(DLTensor)
            self.book.values, self.book.values_bytes = array.ctypes.data, array.nbytes
        self.end_capsule = ctypes.cast(lender.lender_end_capsule, ctypes.c_void_p)
        self.capsule = None

    @property
    def ended(self):
        """How often the loan was ended."""
        return self.book.ended

    def make(self):
        """The capsule of the loan."""
        return python.PyCapsule_New(ctypes.addressof(self.loan), self.name, self.end_capsule)

    def __dlpack_device__(self):
        return tuple(self.device)

    def __dlpack__(self, **asked):
        return self.capsule if self.capsule is not None else self.make()


class OldLoan(Loan):
    """One from before DLPack 1.0: it knows no max_version, and calls that a TypeError."""

    def __init__(self, lender, array, **described):
        super().__init__(lender, array, name=OLD, **described)

    def __dlpack__(self, stream=None):
        return super().__dlpack__()


KINDS = {"versioned": Loan, "legacy": OldLoan}


def elements(array):
    """Strides in elements."""
    return tuple(stride // array.itemsize for stride in array.strides)


def numbers(rng, *shape, dtype=np.float32):
    return rng.integers(-99, 100, shape).astype(dtype)


def tensor_of(built, view, base):
    """dl.Tensor that shows what the array `view` shows of the memory of `base`."""
    offset = view.ctypes.data - base.ctypes.data
    return built.Tensor(base, str(view.dtype), view.shape, elements(view), offset)


def loan_in(capsule):
    """The loan in a capsule of the learner's, as it lies in memory."""
    name = python.PyCapsule_GetName(capsule)
    kind = {NEW: Versioned, OLD: Legacy}.get(name)
    assert kind is not None, f"the capsule is named {name!r}, want {NEW!r}, or {OLD!r} for borrowers of old"
    return kind.from_address(python.PyCapsule_GetPointer(capsule, name))


def same(got, want, what):
    assert (got.dtype, got.shape) == (want.dtype, want.shape), (
        f"{what}: {got.dtype} of shape {got.shape}, want {want.dtype} of shape {want.shape}"
    )
    if not np.array_equal(got, want):
        place = tuple(np.argwhere(got != want)[0].tolist())
        raise AssertionError(f"{what}: at {list(place)} got {got[place]}, want {want[place]}")


def raises(errors, call, what):
    __tracebackhide__ = True
    names = " or ".join(one.__name__ for one in errors)
    try:
        got = call()
    except errors:
        return
    except OTHERS as other:
        raise AssertionError(f"{what}: want {names}, got {type(other).__name__}: {other}") from None
    raise AssertionError(f"{what}: want {names}, but it returned {type(got).__name__}")


def rubbish(size):
    """Takes memory that was freed, if it was, and writes into it."""
    return [np.full(size, 0xAA, np.uint8) for _ in range(8)]


def is_pinned(source):
    """Does anybody hold the memory of this bytearray?"""
    try:
        source.append(0)
    except BufferError:
        return True
    source.pop()
    return False


def views(rng):
    """(name, view, base): what strides can say, over memory that holds more than the view."""
    base = numbers(rng, 6, 8, 5)
    yield "all of it", base, base
    yield "rows from the second on", base[1:], base
    yield "every second", base[:, ::2], base
    yield "transposed", base.transpose(2, 0, 1), base
    yield "reversed", base[::-1, :, ::-2], base
    yield "one column", base[3, :, 2], base
    yield "broadcast", np.broadcast_to(base[2, 1:2, 1], (4, 1)), base
    yield "one element, no dimension", base[5, 7, 4, ...], base
    yield "nothing", base[2:2], base


# ---- The lender: what its loans say ----


@pytest.mark.finds("layout", at="PyObject *lend(")
def test_numpy_sees_what_was_lent(built, rng):
    for name, view, base in views(rng):
        same(np.from_dlpack(tensor_of(built, view, base)), view, f"np.from_dlpack, {name}")
    for dtype in ("float64", "float16", "int8", "int16", "int32", "int64", "uint8", "bool"):
        base = numbers(rng, 4, 6, dtype=dtype)
        same(np.from_dlpack(tensor_of(built, base[1:, ::3], base)), base[1:, ::3], f"np.from_dlpack, {dtype}")


@pytest.mark.finds("layout", at="PyObject *lend(")
@settings(max_examples=60, deadline=None, database=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    steps=st.lists(st.sampled_from([1, 2, 3, -1, -2]), min_size=4, max_size=4),
    starts=st.lists(st.integers(0, 4), min_size=4, max_size=4),
    order=st.permutations(range(4)),
)
def test_any_view_goes_out_and_comes_back(built, shape, steps, starts, order):
    base = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    cuts = [slice(start if step > 0 else None, None, step) for start, step in zip(starts, steps, strict=True)]
    cut = base[tuple(cuts[: base.ndim])]
    view = cut.transpose([axis for axis in order if axis < cut.ndim])
    lent = tensor_of(built, view, base) if view.size else built.Tensor(base, "float32", view.shape)
    same(np.from_dlpack(lent), view, f"lent with strides {elements(view)}")
    same(np.from_dlpack(built.from_dlpack(view)), view, f"borrowed with strides {elements(view)}")


@pytest.mark.parametrize(
    "version",
    [
        pytest.param((1, 0), marks=pytest.mark.finds("layout", at="PyObject *lend(")),
        pytest.param((1, 9), marks=pytest.mark.finds("layout", at="PyObject *lend(")),
        pytest.param(None, marks=pytest.mark.finds("layout", at="PyObject *lend_legacy(")),
        pytest.param((0, 8), marks=pytest.mark.finds("layout", at="PyObject *lend_legacy(")),
    ],
)
def test_every_field_of_a_loan_is_right(built, rng, version):
    for name, view, base in views(rng):
        tensor = tensor_of(built, view, base)
        capsule = tensor.__dlpack__(max_version=version)
        want = NEW if version and version[0] else OLD
        got = python.PyCapsule_GetName(capsule)
        assert got == want, f"max_version={version}: the capsule is named {got!r}, want {want!r}"
        loan, what = loan_in(capsule), f"max_version={version}, {name}"
        if want == NEW:
            assert loan.major == 1, f"{what}: version {loan.major}.{loan.minor}, want 1.x"
            assert loan.flags == 0, f"{what}: flags {loan.flags:#x} for memory that may be written to, want 0"
        assert loan.deleter, f"{what}: no deleter, but there is a tensor to let go of"
        fields_of(loan.tensor, view, what)


def fields_of(tensor, view, what):
    assert tuple(tensor.device) == CPU, f"{what}: device {tuple(tensor.device)}, want {CPU}"
    assert (tensor.code, tensor.bits, tensor.lanes) == FLOAT32, f"{what}: dtype is not float32, one lane"
    assert tensor.ndim == view.ndim, f"{what}: ndim {tensor.ndim}, want {view.ndim}"
    if view.ndim:
        assert tensor.shape, f"{what}: shape is NULL"
        assert tensor.strides, f"{what}: strides are NULL, which DLPack 1.2 forbids and these are not dense"
        assert tuple(tensor.shape[: view.ndim]) == view.shape, f"{what}: shape {tensor.shape[: view.ndim]}"
        got = tuple(tensor.strides[: view.ndim])
        assert got == elements(view) or not view.size, f"{what}: strides {got}, want {elements(view)}, in elements"
    if view.size:
        off = (tensor.data or 0) + tensor.byte_offset - view.ctypes.data
        assert off == 0, f"{what}: data + byte_offset is {off} bytes away from the first element"


@pytest.mark.finds("wrong-result", at="PyObject *lend(")
def test_read_only_memory_says_so(built):
    values = np.arange(6, dtype=np.float32)
    for source in (values.tobytes(), memoryview(values).toreadonly()):
        tensor = built.Tensor(source, "float32", (2, 3))
        loan = loan_in(tensor.__dlpack__(max_version=(1, 0)))
        assert loan.flags & 1, "the memory is read-only, and the flag is not set: a borrower may write to it"
        assert not np.from_dlpack(tensor).flags.writeable, "read-only memory became a writable array"
    array = np.from_dlpack(built.Tensor(values, "float32", (6,)))
    assert array.flags.writeable, "memory that may be written to became a read-only array"
    array[2] = 50
    assert values[2] == 50, "what the borrower writes does not show in the lender's memory"


@pytest.mark.finds("wrong-result", at="PyObject *lend_legacy(")
def test_read_only_memory_is_not_lent_in_the_old_form(built):
    tensor = built.Tensor(np.arange(6, dtype=np.float32).tobytes(), "float32", (6,))
    for asked in ({}, {"max_version": None}, {"max_version": (0, 8)}):
        raises((BufferError,), lambda asked=asked: tensor.__dlpack__(**asked), f"read-only, __dlpack__({asked})")


@pytest.mark.finds("hidden-copy", at="PyObject *lend(")
def test_what_is_lent_is_no_copy(built, memory):
    big = np.zeros(1 << 22, np.float32)
    tensor = built.Tensor(big, "float32", big.shape)
    array, extra = memory.peak(np.from_dlpack, tensor)
    assert np.shares_memory(array, big), "np.from_dlpack(Tensor) is another memory than the tensor's"
    assert extra < big.nbytes / 4, f"lending {big.nbytes:,} bytes needed {extra:,}"


# ---- The lender: how long its loans live ----

VERSIONS = [
    pytest.param((1, 0), marks=pytest.mark.finds("memory-leak", at="void end_capsule(")),
    pytest.param(None, marks=pytest.mark.finds("memory-leak", at="void end_capsule(")),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_capsule_that_nobody_takes_ends_its_loan(built, memory, version):
    source = bytearray(4000)
    tensor = built.Tensor(source, "float32", (1000,))
    capsules = [tensor.__dlpack__(max_version=version) for _ in range(3)]
    del tensor, capsules
    gc.collect()
    assert not is_pinned(source), "capsules and tensor are gone, and the tensor's memory is still held"
    tensor = built.Tensor(source, "float32", (1000,))
    memory.leak(lambda: tensor.__dlpack__(max_version=version))


def stack():
    """The addresses of this thread's stack: what lies there is gone when a function returns."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        low, high = next(line for line in maps if line.rstrip().endswith("[stack]")).split()[0].split("-")
    return range(int(low, 16), int(high, 16))


@pytest.mark.parametrize(
    "version",
    [
        pytest.param((1, 0), marks=pytest.mark.finds("lifetime", at="PyObject *lend(")),
        pytest.param(None, marks=pytest.mark.finds("lifetime", at="PyObject *lend_legacy(")),
    ],
)
def test_a_loan_outlives_the_call_and_the_next_one(built, version):
    values, local = np.zeros(24, np.float32), stack()
    shapes = [(2, 3, 4), (4, 6), (24,), (3, 1, 8)]
    capsules = [built.Tensor(values, "float32", shape).__dlpack__(max_version=version) for shape in shapes]
    for shape, capsule in zip(shapes, capsules, strict=True):
        loan = loan_in(capsule)
        parts = {"loan": ctypes.pointer(loan), "shape": loan.tensor.shape, "strides": loan.tensor.strides}
        for what, pointer in parts.items():
            where = ctypes.cast(pointer, ctypes.c_void_p).value
            assert where not in local, f"its {what} is a local variable of a function that has returned"
        got, strides = tuple(loan.tensor.shape[: len(shape)]), tuple(loan.tensor.strides[: len(shape)])
        want = elements(values.reshape(shape))
        assert (got, strides) == (shape, want), f"a loan of {shape} says {got}, {strides} after others were made"


@pytest.mark.finds("lifetime", at="PyObject *lend(")
def test_an_array_outlives_capsule_and_tensor(built):
    values = np.arange(200_000, dtype=np.float32)
    source = bytearray(values.tobytes())
    array = np.from_dlpack(built.Tensor(source, "float32", (200, 1000)))
    gc.collect()
    kept = rubbish(800_000)
    assert is_pinned(source), "the array is there, and the lender has let go of its memory"
    part = array[1::2, ::-1]
    del array
    gc.collect()
    kept += rubbish(800_000)
    assert is_pinned(source), "a view of the array is there, and the lender has let go of its memory"
    same(part, values.reshape(200, 1000)[1::2, ::-1], "a view of what was lent, all else dropped")
    del part
    gc.collect()
    assert not is_pinned(source), "the last array is gone, and the memory is still held"


USED = {NEW: ctypes.create_string_buffer(b"used_" + NEW), OLD: ctypes.create_string_buffer(b"used_" + OLD)}


def taken(lender, capsule):
    """What a borrower does: take the loan, rename the capsule. Returns what ends the loan."""
    name = python.PyCapsule_GetName(capsule)
    loan = ctypes.addressof(loan_in(capsule))
    python.PyCapsule_SetName(capsule, USED[name])
    return lambda: lender.lender_give_back(loan, name == NEW)


@pytest.mark.finds("lifetime", at="void end_capsule(")
@pytest.mark.parametrize("version", [(1, 0), None])
def test_a_loan_that_was_taken_is_the_borrowers(built, lender, version):
    source = bytearray(400)
    tensor = built.Tensor(source, "float32", (10, 10))
    capsule = tensor.__dlpack__(max_version=version)
    end = taken(lender, capsule)
    del tensor, capsule
    gc.collect()
    assert is_pinned(source), "the loan was taken, and the capsule has ended it when it went: it is the borrower's now"
    end()


ENDS = {(1, 0): "void end_loan(", None: "void end_legacy_loan("}


@pytest.mark.parametrize(
    "version", [pytest.param(one, marks=pytest.mark.finds("memory-leak", at=at)) for one, at in ENDS.items()]
)
def test_a_deleter_lets_go_of_everything(built, lender, memory, version):
    source = bytearray(400)
    tensor = built.Tensor(source, "float32", (10, 10))
    end = taken(lender, tensor.__dlpack__(max_version=version))
    del tensor
    assert is_pinned(source), "the tensor is lent, and its memory is let go of"
    end()
    assert not is_pinned(source), "the borrower has called the deleter, and the memory is still held"
    tensor = built.Tensor(source, "float32", (10, 10))
    memory.leak(lambda: taken(lender, tensor.__dlpack__(max_version=version))())


class Watched(bytearray):
    """A bytearray that runs Python code at its end."""

    ends = 0

    def __del__(self):
        Watched.ends += 1


@pytest.mark.parametrize(
    "version", [pytest.param(one, marks=pytest.mark.finds("gil-missing", at=at)) for one, at in ENDS.items()]
)
def test_loans_may_end_in_any_thread(built, lender, artifact, version):
    holding = ctypes.PyDLL(artifact.extra["lender"])  # keeps the GIL during a call; ctypes.CDLL lets go of it
    holding.lender_give_back.argtypes = (ctypes.c_void_p, ctypes.c_int)

    def lend_and_end(library):
        end = taken(library, built.Tensor(Watched(400), "float32", (10, 10)).__dlpack__(max_version=version))
        end()  # the last reference runs Python code

    if survives(lend_and_end, holding):
        assert survives(lend_and_end, lender), "the deleter works with the GIL, and crashes when called without it"
    before = Watched.ends
    lend_and_end(lender)
    assert Watched.ends == before + 1, f"the loan has ended, and the source went {Watched.ends - before} times, want 1"


def survives(call, *args):
    """Does a forked child get through this call?"""

    def scenario():
        with contextlib.suppress(Exception):
            call(*args)

    return run_forked(scenario, 60).signal == 0


@pytest.mark.finds("lifetime", at="PyObject *lend(")
def test_loans_of_one_tensor_are_independent(built, lender):
    source = bytearray(np.arange(100, dtype=np.float32).tobytes())
    tensor = built.Tensor(source, "float32", (10, 10))
    ends = [taken(lender, tensor.__dlpack__(max_version=version)) for version in ((1, 0), None, (1, 0))]
    array, view = np.from_dlpack(tensor), built.from_dlpack(tensor)
    del tensor
    for number, end in enumerate(ends):
        end()
        assert is_pinned(source), f"{number + 1} of 5 loans have ended, and the memory is let go of"
    del array
    gc.collect()
    assert is_pinned(source), "4 of 5 loans have ended, and the memory is let go of"
    assert view.norm() == pytest.approx(np.linalg.norm(np.arange(100.0)))
    del view
    assert not is_pinned(source), "all 5 loans have ended, and the memory is still held"


@pytest.mark.finds("memory-leak", at="PyObject *lend(")
def test_lending_leaks_nothing(built, memory):
    tensor = built.Tensor(bytearray(400), "float32", (10, 10))
    memory.leak(np.from_dlpack, tensor)
    memory.leak(built.from_dlpack, tensor)


# ---- The borrower: what it reads ----


def norm_of(array):
    return pytest.approx(float(np.linalg.norm(array.astype(np.float64))), rel=1e-6, abs=1e-12)


def seen(built, loan, view, what):
    """The borrowed tensor shows the same shape and strides, the same values to NumPy, and has the right norm."""
    tensor = built.from_dlpack(loan)
    assert tensor.shape == view.shape, f"{what}: shape {tensor.shape}, want {view.shape}"
    if view.size:
        got, want = tensor.strides, elements(view)
        assert got == want, f"{what}: strides {got}, want {want}"
        same(np.from_dlpack(tensor), view, f"{what}, borrowed and lent on")
    return tensor


@pytest.mark.finds("layout", at="int describe(")
@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_is_borrowed(built, lender, rng, kind):
    for name, view, base in views(rng):
        seen(built, KINDS[kind](lender, view), view, f"{kind}, {name}")
        start = view.ctypes.data - base.ctypes.data
        loan = KINDS[kind](lender, view, data=base.ctypes.data, byte_offset=start)
        seen(built, loan, view, f"{kind}, {name}, byte_offset {start}")
    scalar = numbers(rng)
    seen(built, KINDS[kind](lender, scalar, shape=None, strides=None), scalar, f"{kind}, no dimension, shape NULL")
    for shape in ((0,), (0, 3), (4, 0, 2)):
        empty = np.empty(shape, np.float32)
        got = built.from_dlpack(KINDS[kind](lender, empty, data=None)).shape
        assert got == shape, f"{kind}, no elements and data NULL: shape {got}, want {shape}"


@pytest.mark.finds("layout", at="int describe(")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(7,), (2, 3), (4, 1, 5), (2, 3, 4, 5), (3, 0)])
def test_no_strides_mean_row_major(built, lender, rng, kind, shape):
    base = numbers(rng, *shape)
    seen(built, KINDS[kind](lender, base, strides=None), base, f"{kind}, shape {shape}, strides NULL")


@pytest.mark.finds("wrong-result", at="PyObject *tensor_norm(")
def test_norms_are_right(built, lender, rng):
    for name, view, base in views(rng):
        start = view.ctypes.data - base.ctypes.data
        got = built.from_dlpack(Loan(lender, view, data=base.ctypes.data, byte_offset=start)).norm()
        assert got == norm_of(view), f"{name}, byte_offset {start}: norm {got}, want {norm_of(view).expected}"
        got = tensor_of(built, view, base).norm()
        assert got == norm_of(view), f"Tensor(...), {name}: norm {got}, want {norm_of(view).expected}"


@pytest.mark.finds("layout", at="double squares(")
def test_norm_walks_by_strides(built, rng):
    for name, view, _ in views(rng):
        got = built.from_dlpack(view).norm()
        assert got == norm_of(view), f"{name}, strides {elements(view)}: norm {got}, want {norm_of(view).expected}"


@pytest.mark.finds("out-of-bounds", at="double squares(")
@pytest.mark.parametrize("side", ["after", "before"])
def test_norm_stays_inside(built, guard, rng, side):
    base = guard.array(numbers(rng, 12, 16), side)
    for view in (base, base[::-1], base[:, ::3], base.T, base[11:, 15:], base[:0], base[..., :0]):
        got = built.from_dlpack(view).norm()
        assert got == norm_of(view), f"strides {elements(view)}: norm {got}, want {norm_of(view).expected}"


@pytest.mark.finds("numerics", at="double squares(")
def test_large_and_small_values_are_summed_in_double(built, rng):
    many = np.full(1 << 22, 0.1, np.float32)
    got, want = built.from_dlpack(many).norm(), 2048 * float(np.float32(0.1))
    assert got == pytest.approx(want, rel=1e-7), f"four million times 0.1: norm {got}, want {want}"
    for value in (3e30, 3e-30):
        got, want = built.from_dlpack(np.full(4, value, np.float32)).norm(), 2 * float(np.float32(value))
        assert got == pytest.approx(want, rel=1e-6), f"four times {value}: norm {got}, want {want}"


@pytest.mark.finds("dtype", at="PyObject *tensor_norm(")
def test_norm_of_another_dtype_is_a_type_error(built):
    for dtype in ("int32", "uint32", "float64", "float16", "complex64", "int8", "bool"):
        tensor = built.from_dlpack(np.ones(8, dtype))
        raises((TypeError,), tensor.norm, f"norm of {dtype}")


# ---- The borrower: whose loan it is ----


@pytest.mark.finds("memory-leak", at="void give_back(")
@pytest.mark.parametrize("kind", KINDS)
def test_a_loan_is_ended_once(built, lender, rng, kind):
    loan = KINDS[kind](lender, numbers(rng, 4, 5), spoil=True)
    want = norm_of(loan.array)
    tensor = built.from_dlpack(loan)
    gc.collect()
    early(loan, "the tensor is alive")
    assert tensor.norm() == want, f"norm {tensor.norm()}, want {want.expected}"
    del tensor
    assert loan.ended == 1, f"the tensor is gone, and its loan was ended {loan.ended} times, want 1"


def early(loan, what):
    """What was ended too soon, is the fault of the one who took it."""
    __tracebackhide__ = True
    if loan.ended:
        at = "int take(" if loan.name == NEW else "int take_legacy("
        raise AssertionError(f"{what}, and its loan was ended {loan.ended} times: the capsule ended it, see {at}...)")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("versioned", marks=pytest.mark.finds("lifetime", at="int take(")),
        pytest.param("legacy", marks=pytest.mark.finds("lifetime", at="int take_legacy(")),
    ],
)
def test_a_capsule_is_renamed_when_its_loan_is_taken(built, lender, rng, kind):
    loan = KINDS[kind](lender, numbers(rng, 4, 5))
    loan.capsule = loan.make()
    tensor = built.from_dlpack(loan)
    want = b"used_" + loan.name
    got = python.PyCapsule_GetName(loan.capsule)
    assert got == want, f"after from_dlpack the capsule is named {got!r}, want {want!r}"
    raises((BufferError, ValueError), lambda: built.from_dlpack(loan), "a capsule whose loan was taken")
    loan.capsule = None
    gc.collect()
    assert loan.ended == 0, f"the capsule went, the tensor is alive, and its loan was ended {loan.ended} times"
    del tensor
    assert loan.ended == 1, f"capsule and tensor are gone, and the loan was ended {loan.ended} times, want 1"


@pytest.mark.finds("error-path", at="void give_back(")
@pytest.mark.parametrize("kind", KINDS)
def test_a_loan_may_have_no_deleter(built, lender, rng, kind):
    loan = KINDS[kind](lender, numbers(rng, 3), deleter=False)
    tensor = built.from_dlpack(loan)
    assert tensor.norm() == norm_of(loan.array)
    del tensor
    assert loan.ended == 0


def refused(built, loan, what):
    """BufferError, and the loan has ended, once, when the capsule is gone; not before, and not never."""
    __tracebackhide__ = True
    raises((BufferError,), lambda: built.from_dlpack(loan), what)
    gc.collect()
    assert loan.ended == 1, f"{what}: refused, and its loan was ended {loan.ended} times, want 1"


@pytest.mark.finds("memory-leak", at="int describe(")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", ["elements of four lanes", "17 dimensions", "32 dimensions", "-1 dimensions"])
def test_what_is_refused_is_given_back(built, lender, rng, kind, bad):
    described = {"elements of four lanes": {"lanes": 4}}.get(bad) or {"ndim": int(bad.split()[0])}
    refused(built, KINDS[kind](lender, numbers(rng, 4, 5), **described), bad)


@pytest.mark.finds("wrong-result", at="int describe(")
@pytest.mark.parametrize("kind", KINDS)
def test_memory_of_a_gpu_is_refused(built, lender, rng, kind):
    for device in (CUDA, (2, 3), (8, 0), (10, 0), (13, 0)):
        refused(built, KINDS[kind](lender, numbers(rng, 4), device=device), f"{kind}, device {device}")
    pinned = KINDS[kind](lender, numbers(rng, 4), device=PINNED)
    got = built.from_dlpack(pinned).norm()
    assert got == norm_of(pinned.array), f"pinned memory, device {PINNED}, is read by the CPU: norm {got}"


@pytest.mark.finds("wrong-result", at="int take(")
def test_another_major_version_is_not_looked_at(built, lender, rng):
    for major in (0, 2, 3, 1 << 31):
        # nothing but the deleter is where it was: what was a shape is no address
        loan = Loan(lender, numbers(rng, 4), major=major, shape=ctypes.cast(0x10, INT64S), ndim=4)
        refused(built, loan, f"version {major}.0")


@pytest.mark.finds("wrong-result", at="int take(")
def test_read_only_stays_read_only(built, lender, rng):
    for flags, minor in ((1, "read-only"), (0, "writable"), (2, "a copy, writable"), (3, "a copy, read-only")):
        loan = Loan(lender, numbers(rng, 4), flags=flags)
        tensor = built.from_dlpack(loan)
        want = bool(flags & 1)
        assert tensor.readonly is want, f"a loan that is {minor} (flags {flags}): readonly is {tensor.readonly}"
        writeable = np.from_dlpack(tensor).flags.writeable
        assert writeable is not want, f"a loan that is {minor}, lent on to NumPy: writeable is {writeable}"
        if want:
            raises((BufferError,), tensor.__dlpack__, f"a loan that is {minor}, lent on in the old form")


@pytest.mark.finds("lifetime", at="int describe(")
@pytest.mark.parametrize("kind", KINDS)
def test_loans_of_loans_keep_the_first_alive(built, lender, rng, kind):
    loan = KINDS[kind](lender, numbers(rng, 30, 40), spoil=True)
    want = loan.array.copy()
    array = np.from_dlpack(built.from_dlpack(built.from_dlpack(built.from_dlpack(loan))))
    gc.collect()
    kept = rubbish(4800)
    early(loan, "an array at the end of a chain of loans is alive")
    same(array, want, f"the array at the end of {len(kept[:3])} loans")
    del array
    gc.collect()
    assert loan.ended == 1, f"the array at the end of the chain is gone, the first loan was ended {loan.ended} times"


class Broken:
    """Gives, or raises, what no lender should."""

    def __init__(self, gives):
        self.gives = gives

    def __dlpack__(self, **asked):
        if isinstance(self.gives, type):
            raise self.gives("a fresh one each time: one that is raised again keeps the frames it went through")
        return self.gives


@pytest.mark.finds("error-path", at="int take(")
def test_what_is_no_loan_is_refused(built):
    other = python.PyCapsule_New(ctypes.addressof(Book()), b"something.else", None)
    bad = {
        "no capsule": (Broken(7), (TypeError, ValueError, BufferError)),
        "a capsule of something else": (Broken(other), (TypeError, ValueError, BufferError)),
        "an error of the lender's": (Broken(RuntimeError), (RuntimeError,)),
        "no __dlpack__": (object(), (AttributeError, TypeError)),
    }
    for what, (source, errors) in bad.items():
        try:
            built.from_dlpack(source)
        except errors:
            continue
        raise AssertionError(f"{what}: from_dlpack returns a tensor")


@pytest.mark.finds("memory-leak", at="void give_back(")
@pytest.mark.parametrize("kind", KINDS)
def test_borrowing_leaks_nothing(built, lender, memory, rng, kind):
    loan = KINDS[kind](lender, numbers(rng, 4, 5))
    memory.leak(built.from_dlpack, loan)
    array = numbers(rng, 4, 5)
    memory.leak(built.from_dlpack, array)
    far = KINDS[kind](lender, array, device=CUDA)

    def call():
        with contextlib.suppress(BufferError):
            built.from_dlpack(far)

    memory.leak(call)


@pytest.mark.finds("hidden-copy", at="int describe(")
def test_what_is_borrowed_is_no_copy(built, memory):
    big = np.zeros(1 << 22, np.float32)
    tensor, extra = memory.peak(built.from_dlpack, big)
    assert extra < big.nbytes / 4, f"borrowing {big.nbytes:,} bytes needed {extra:,}"
    back = np.from_dlpack(tensor)
    assert np.shares_memory(back, big), "what was borrowed and lent on is other memory"


# ---- PyTorch, and a GPU ----


@pytest.fixture
def torch():
    """PyTorch; not below a sanitizer, which would watch all of it."""
    if os.environ.get("MLTUTOR_SANITIZER"):
        pytest.skip("PyTorch is not loaded below a sanitizer")
    return pytest.importorskip("torch")


@pytest.mark.finds("wrong-result", at="PyObject *lend(")
def test_torch_lends_and_borrows(built, torch, rng):
    weights = numbers(rng, 40, 6)
    lent = torch.from_dlpack(tensor_of(built, weights[2:, ::2], weights))
    assert torch.equal(lent, torch.from_numpy(weights[2:, ::2])), "torch.from_dlpack(Tensor) shows other values"
    lent[0, 0] = 123
    assert weights[2, 0] == 123, "what PyTorch writes does not show in the lender's memory"
    tensor = torch.from_numpy(weights).t()[1:]
    view = built.from_dlpack(tensor)
    assert (view.shape, view.strides) == (tuple(tensor.shape), tensor.stride()), f"{view.shape}, {view.strides}"
    assert view.norm() == pytest.approx(float(tensor.norm()), rel=1e-5), "the norm of a transposed torch tensor"
    assert torch.from_dlpack(view).data_ptr() == tensor.data_ptr(), "borrowed and lent on, it is other memory"


@pytest.mark.finds("dtype", at="PyObject *lend(")
def test_bfloat16_travels_where_numpy_has_no_name_for_it(built, torch, rng):
    want = torch.from_numpy(numbers(rng, 8, 3)).to(torch.bfloat16)
    lent = torch.from_dlpack(built.Tensor(want.view(torch.int16).numpy(), "bfloat16", (8, 3)))
    assert lent.dtype == torch.bfloat16, f"bfloat16 arrives as {lent.dtype}"
    assert torch.equal(lent, want), "bfloat16 arrives with other values"
    again = torch.from_dlpack(built.from_dlpack(want))
    assert torch.equal(again, want), "bfloat16, borrowed and lent on, has other values"


@pytest.mark.finds("error-path", at="int take(")
def test_what_torch_refuses_stays_refused(built, torch):
    parameter = torch.nn.Parameter(torch.ones(3))
    raises((BufferError,), lambda: built.from_dlpack(parameter), "a tensor that requires grad")
    assert built.from_dlpack(parameter.detach()).norm() == pytest.approx(3**0.5)


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="int describe(")
def test_a_cuda_tensor_is_refused_and_freed(built, torch):
    torch.ones(1, device="cuda")
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    tensor = torch.ones(1 << 20, device="cuda")
    raises((BufferError,), functools.partial(built.from_dlpack, tensor), "a tensor in the memory of a GPU")
    del tensor
    gc.collect()
    left = torch.cuda.memory_allocated() - before
    assert left == 0, f"a CUDA tensor was refused and dropped, and {left:,} bytes of the GPU stay taken"


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="int describe(")
def test_a_pinned_tensor_is_read(built, torch):
    tensor = torch.arange(100, dtype=torch.float32).pin_memory()
    assert built.from_dlpack(tensor).norm() == pytest.approx(float(tensor.norm()), rel=1e-6)
    copied = built.from_dlpack(tensor.cuda().cpu())
    assert copied.norm() == pytest.approx(float(tensor.norm()), rel=1e-6)
