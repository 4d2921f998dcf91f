"""Checks of ffi-dlpack-cuda: two simulated GPUs tell who waits for whom and who frees what; then a real one."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OTHERS = (ArithmeticError, BufferError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
NEW, OLD = b"dltensor_versioned", b"dltensor"
CUDA = (2, 0)
FLOAT32 = (2, 32, 1)
SHARED = [HealthCheck.function_scoped_fixture]  # one machine for all examples: each looks at its own calls
FAR = 0x7F12_3400_0000  # an address that no memory of this process has: who reads it on the CPU ends there
LEGACY, PER_THREAD, SIDE, OTHER = 1, 2, 0x5500_1000, 0x5500_2000

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


class Machine:
    """The simulated GPUs of device.cpp."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.journal.restype = ctypes.c_char_p
        self.library.allocated.restype = ctypes.c_size_t
        self.library.simulate(2)
        self.before = self.library.allocated()
        self.calls()

    def calls(self, *names):
        """What was called since the last time, (name, number, number, number) each; `names`: only those."""
        lines = self.library.journal().decode().splitlines()
        calls = [(name, *map(int, numbers)) for name, *numbers in map(str.split, lines)]
        return [call for call in calls if not names or call[0] in names]

    def fail(self, name):
        self.library.fail_next(name.encode())

    @property
    def allocated(self):
        return self.library.allocated() - self.before

    @property
    def current(self):
        return self.library.current_device()


@pytest.fixture
def machine(built, artifact):
    machine = Machine(artifact.path)
    yield machine
    machine.library.simulate(0)


@pytest.fixture
def lender(artifact):
    """The C library that makes loans, counts how often they are ended, and ends those of others."""
    library = ctypes.CDLL(artifact.extra["lender"])
    addresses = (ctypes.cast(f, ctypes.c_void_p) for f in (python.PyCapsule_IsValid, python.PyCapsule_GetPointer))
    library.lender_python(*addresses)
    library.lender_give_back.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return library


class Loan:
    """A source for from_dlpack: one loan of device memory at FAR, the book about it, and what it was asked for.

    spoil: at its end the loan turns to rubbish, so that a late reader goes astray.
    """

    kept: ClassVar[list[Loan]] = []  # a borrower may end it later than the check ends

    def __init__(
        self, lender, shape=(4, 5), strides=None, name=NEW, deleter=True, spoil=True, flags=0, major=1, **described
    ):
        self.kept.append(self)
        self.name, self.asked, self.place = name, [], described.pop("place", None)
        self.machine, self.found = described.pop("machine", None), None
        strides = dense(shape) if strides is None else strides
        self.sizes = [(ctypes.c_int64 * 40)(*values) for values in (shape, strides)]
        tensor = DLTensor(FAR, CUDA, len(shape), *FLOAT32, *(ctypes.cast(s, INT64S) for s in self.sizes))
        if described.pop("nowhere", False):
            tensor.shape = ctypes.cast(0x10, INT64S)
        for field, value in described.items():
            setattr(tensor, field, value)
        self.place = tuple(tensor.device) if self.place is None else self.place
        self.book = Book()
        context = ctypes.addressof(self.book)
        end = getattr(lender, "lender_end_versioned" if name == NEW else "lender_end_legacy")
        end = ctypes.cast(end, ctypes.c_void_p).value if deleter else None
        self.loan = Versioned(major, 0, context, end, flags, tensor) if name == NEW else Legacy(tensor, context, end)
        if spoil:
            self.book.described, self.book.described_bytes = ctypes.addressof(self.loan.tensor), ctypes.sizeof(DLTensor)
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
        return self.place

    def __dlpack__(self, **asked):
        self.asked.append(asked)
        self.found = self.machine.current if self.machine else None
        return self.capsule if self.capsule is not None else self.make()


class OldLoan(Loan):
    """One from before DLPack 1.0: it knows no max_version, and calls that a TypeError."""

    def __init__(self, lender, *shape, **described):
        super().__init__(lender, *shape, name=OLD, **described)

    def __dlpack__(self, stream=None):
        return super().__dlpack__(stream=stream)


KINDS = {"versioned": Loan, "legacy": OldLoan}


def dense(shape):
    """Strides of row-major memory, in elements."""
    return tuple(int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape)))


def loan_in(capsule):
    """The loan in a capsule of the learner's, as it lies in memory."""
    name = python.PyCapsule_GetName(capsule)
    kind = {NEW: Versioned, OLD: Legacy}.get(name)
    assert kind is not None, f"the capsule is named {name!r}, want {NEW!r}, or {OLD!r} for borrowers of old"
    return kind.from_address(python.PyCapsule_GetPointer(capsule, name))


USED = {NEW: ctypes.create_string_buffer(b"used_" + NEW), OLD: ctypes.create_string_buffer(b"used_" + OLD)}


def taken(lender, capsule):
    """What a borrower does: take the loan, rename the capsule. Returns what ends the loan, from C, without the GIL."""
    name = python.PyCapsule_GetName(capsule)
    loan = ctypes.addressof(loan_in(capsule))
    python.PyCapsule_SetName(capsule, USED[name])
    return lambda: lender.lender_give_back(loan, name == NEW)


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


def ordered(calls, before, after):
    """Does work on stream `after` that comes now wait for what was on stream `before` when the calls began?"""
    known, recorded = {before: True}, {}
    for name, first, second, *_ in calls:
        if name == "record":
            recorded[first] = known.get(second, False)
        elif name == "wait":
            known[second] = known.get(second, False) or recorded.get(first, False)
    return known.get(after, False)


# ---- Memory of our own ----


@pytest.mark.finds("wrong-result", at="static int allocate(Array")
def test_memory_is_on_the_device_that_was_asked_for(built, machine):
    for device in (0, 1):
        array = built.empty((3, 5), device)
        calls = machine.calls("malloc")
        assert calls == [("malloc", device, 60, 0)], f"empty((3, 5), {device}): {calls}, want 60 bytes there"
        assert machine.current == 0, f"device 0 was current before empty(...), now it is {machine.current}"
        assert array.__dlpack_device__() == (2, device)
    nothing = built.empty((3, 0))
    assert nothing.view()[1] == 0, f"{nothing.view()[1]} elements in an array of shape (3, 0)"


@pytest.mark.finds("memory-leak", at="static void release(Array")
def test_memory_is_freed_once(built, machine):
    array = built.empty((3, 5))
    assert machine.allocated == 60, f"empty((3, 5)): {machine.allocated} bytes are allocated, want 60"
    del array
    calls = machine.calls("free", "bad-free")
    assert calls == [("free", 60, 0, 0)], f"an array went: {calls or 'nothing was freed'}, want one free"


@pytest.mark.finds("error-path", at="static int allocate(Array")
def test_no_memory_is_a_memory_error_and_nobody_elses(built, machine):
    array = built.empty((4,))
    machine.fail("malloc")
    raises((MemoryError,), lambda: built.empty((1 << 20,)), "empty() where cudaMalloc fails")
    try:
        array.affine_(2.0, 1.0)
    except RuntimeError as error:
        raise AssertionError(f"after a cudaMalloc that failed, a launch that worked says: {error}") from None
    raises((RuntimeError, MemoryError), lambda: built.empty((4,), 7), "empty() on device 7 of 2")
    array.affine_(2.0, 1.0)
    assert machine.current == 0, f"after errors device {machine.current} is current, want 0"


# ---- The kernel's launch ----


@pytest.mark.finds("layout", at="static View view_of(")
def test_a_kernel_gets_the_first_element_and_the_strides(built, machine, lender):
    for shape, strides, offset in (
        ((4, 5), (5, 1), 0),
        ((4, 5), (10, 2), 64),
        ((3,), (-2,), 4096),
        ((), (), 12),
        ((2, 0, 3), (0, 3, 1), 8),
        ((2, 1, 2, 1, 2, 1, 2, 3), (48, 48, 24, 24, 12, 12, 6, 2), 4),
    ):
        array = built.from_dlpack(Loan(lender, shape, strides, byte_offset=offset))
        want = (FAR + offset, int(np.prod(shape, dtype=np.int64)), shape, strides)
        got = array.view()
        assert got == want, f"shape {shape}, strides {strides}, byte_offset {offset}: view {got}, want {want}"


@pytest.mark.finds("wrong-result", at="static int affine(Array")
def test_a_kernel_runs_on_the_device_of_its_memory(built, machine, lender):
    for device in (1, 0):
        array = built.from_dlpack(Loan(lender, device=(2, device)))
        machine.calls()
        array.affine_(2.0, 1.0, SIDE)
        calls = machine.calls("launch")
        assert [call[2] for call in calls] == [device], f"memory on device {device}: launches {calls}, want one there"
        assert machine.current == 0, f"device 0 was current before affine_, and now it is {machine.current}"


@pytest.mark.finds("cuda-stream", at='extern "C" cudaError_t affine_launch(')
def test_a_kernel_runs_on_the_stream_of_the_caller(built, machine):
    array = built.empty((1000,))
    for stream in (0, LEGACY, PER_THREAD, SIDE):
        machine.calls()
        array.affine_(2.0, 1.0, stream)
        calls = machine.calls("launch", "synchronize")
        got = [call[:2] for call in calls]
        assert got == [("launch", stream or LEGACY)], f"affine_(2, 1, stream={stream:#x}): {got}, want a launch there"


@pytest.mark.finds("layout", at='extern "C" cudaError_t affine_launch(')
def test_no_element_is_no_launch(built, machine, lender):
    for shape in ((0,), (3, 0, 2)):
        built.from_dlpack(Loan(lender, shape, data=None)).affine_(2.0, 1.0)
        calls = machine.calls("launch", "invalid-launch")
        assert not calls, f"shape {shape}: {calls}, want no launch"


@pytest.mark.finds("layout", at='extern "C" cudaError_t affine_launch(')
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=SHARED)
@given(count=st.integers(1, 1 << 34))
def test_a_grid_is_never_more_than_a_gpu_takes(built, machine, lender, count):
    machine.calls()
    built.from_dlpack(Loan(lender, (count,), deleter=False)).affine_(2.0, 1.0)
    launches = machine.calls("launch", "invalid-launch")
    assert [call[0] for call in launches] == ["launch"], f"{count:,} elements: {launches}"
    assert launches[0][3] <= 2**31 * 1024, f"{count:,} elements: {launches[0][3]:,} threads"


@pytest.mark.finds("error-path", at='extern "C" cudaError_t affine_launch(')
def test_a_launch_that_fails_is_told(built, machine):
    array = built.empty((1000,))
    machine.fail("launch")
    raises((RuntimeError,), lambda: array.affine_(2.0, 1.0), "affine_ whose launch fails")
    array.affine_(2.0, 1.0)
    assert machine.current == 0, f"after errors device {machine.current} is current, want 0"


@pytest.mark.finds("error-path", at="static int affine(Array")
def test_a_device_that_isnt_there_is_told(built, machine, lender):
    loan = Loan(lender, device=(2, 5))
    raises((RuntimeError,), lambda: built.from_dlpack(loan).affine_(2.0, 1.0), "affine_ on device 5 of 2")
    assert not machine.calls("launch"), "device 5 of 2: a kernel was launched all the same, on another one"
    built.empty((4,)).affine_(2.0, 1.0)
    assert machine.current == 0, f"after errors device {machine.current} is current, want 0"


# ---- The lender: in which order ----


@pytest.mark.finds("cuda-stream", at="static int order(Array")
def test_the_borrowers_stream_waits_for_the_lenders_work(built, machine):
    array = built.empty((100,), 1)
    for mine in (0, LEGACY, PER_THREAD, SIDE):
        for theirs in (None, LEGACY, PER_THREAD, OTHER):
            array.affine_(2.0, 1.0, mine)
            machine.calls()
            array.__dlpack__(stream=theirs, max_version=(1, 0))
            calls = machine.calls()
            what = f"work on stream {mine:#x}, __dlpack__(stream={theirs}): calls {calls}"
            assert ordered(calls, mine or LEGACY, theirs or LEGACY), f"{what}: the borrower doesn't wait"
            kinds = [call[0] for call in calls]
            assert "synchronize" not in kinds, f"{what}: the CPU waits for the GPU"
            assert kinds.count("event") == kinds.count("destroy"), f"{what}: an event is never destroyed"
            assert all(call[3] == 1 for call in calls if call[0] == "record"), f"{what}: device 1 has the stream"
            assert machine.current == 0, f"{what}: device 0 was current, and now it is {machine.current}"


@pytest.mark.finds("cuda-stream", at="static int affine(Array")
def test_what_was_queued_last_is_waited_for(built, machine):
    array = built.empty((100,))
    array.affine_(2.0, 1.0, OTHER)
    array.affine_(2.0, 1.0, SIDE)
    machine.calls()
    array.__dlpack__(stream=OTHER, max_version=(1, 0))
    calls = machine.calls()
    assert ordered(calls, SIDE, OTHER), f"the last kernel ran on {SIDE:#x}, and {OTHER:#x} doesn't wait for it: {calls}"


@pytest.mark.finds("cuda-stream", at="static int order(Array")
def test_minus_one_wants_no_order(built, machine):
    array = built.empty((100,))
    array.affine_(2.0, 1.0, SIDE)
    machine.calls()
    capsule = array.__dlpack__(stream=-1, max_version=(1, 0))
    calls = machine.calls()
    assert not calls, f"__dlpack__(stream=-1): the borrower wants no order, and there are calls {calls}"
    assert loan_in(capsule).tensor.data


@pytest.mark.finds("error-path", at="static int order(Array")
def test_what_is_no_stream_is_refused(built, machine):
    array = built.empty((100,))
    for bad in (0, -2, -(1 << 40)):
        raises((ValueError,), lambda bad=bad: array.__dlpack__(stream=bad), f"__dlpack__(stream={bad})")
    for bad in ("1", 1.5, object()):
        raises((TypeError,), lambda bad=bad: array.__dlpack__(stream=bad), f"__dlpack__(stream={bad!r})")


@pytest.mark.finds("error-path", at="static int order(Array")
def test_an_order_that_fails_is_no_loan(built, machine):
    for call in ("event", "record", "wait"):
        array = built.empty((100,))
        array.affine_(2.0, 1.0, SIDE)
        machine.fail(call)
        machine.calls()
        raises((RuntimeError,), lambda array=array: array.__dlpack__(stream=OTHER), f"__dlpack__ whose {call} fails")
        machine.fail("")
        kinds = [one[0] for one in machine.calls()]
        assert kinds.count("event") == kinds.count("destroy"), f"the {call} fails, and the event stays: {kinds}"
        del array
        assert machine.allocated == 0, f"the {call} failed, the array went, and {machine.allocated} bytes stay"


@pytest.mark.finds("error-path", at="static int order(Array")
def test_an_order_without_a_device_leaves_no_error(built, machine):
    with contextlib.suppress(RuntimeError):
        # Memory of 0 bytes: it may be that nobody has asked for the device until now.
        built.empty((0,), 5).__dlpack__(stream=OTHER)
    try:
        built.empty((4,)).affine_(2.0, 1.0)
    except RuntimeError as error:
        raise AssertionError(f"after __dlpack__ on device 5 of 2, a launch that worked says: {error}") from None
    assert machine.current == 0, f"after errors device {machine.current} is current, want 0"


# ---- The lender: what its loans say, and how long they live ----

VERSIONS = {(1, 0): NEW, (1, 9): NEW, None: OLD, (0, 8): OLD}


@pytest.mark.finds("layout", at="static PyObject *lend(")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_field_of_a_loan_is_right(built, machine, version):
    for shape in ((2, 3, 4), (7,), (), (3, 0)):
        array = built.empty(shape, 1)
        capsule = array.__dlpack__(max_version=version)
        what, name = f"empty({shape}, 1), max_version={version}", python.PyCapsule_GetName(capsule)
        assert name == VERSIONS[version], f"{what}: the capsule is named {name!r}, want {VERSIONS[version]!r}"
        loan = loan_in(capsule)
        tensor = loan.tensor
        if name == NEW:
            assert (loan.major, loan.flags) == (1, 0), f"{what}: version {loan.major}, flags {loan.flags}, want 1, 0"
        assert loan.deleter, f"{what}: no deleter, but there is memory to free"
        assert tuple(tensor.device) == (2, 1), f"{what}: device {tuple(tensor.device)}, want (2, 1)"
        assert (tensor.code, tensor.bits, tensor.lanes) == FLOAT32, f"{what}: not float32, one lane"
        sizes = tuple(tensor.shape[: len(shape)]), tuple(tensor.strides[: len(shape)])
        assert (tensor.ndim, sizes) == (len(shape), (shape, dense(shape))), f"{what}: {tensor.ndim} sizes, {sizes}"
        first = (tensor.data or 0) + tensor.byte_offset
        assert first == array.view()[0], f"{what}: data + byte_offset is {first:#x}, want {array.view()[0]:#x}"


KEPT = []  # what would take the process along when it goes


@pytest.mark.finds("lifetime", at="static PyObject *lend(")
@pytest.mark.parametrize("version", [(1, 0), None])
def test_a_loan_keeps_its_memory(built, machine, version):
    array = built.empty((100,))
    KEPT.append(array.__dlpack__(max_version=version))
    del array
    gc.collect()
    assert machine.allocated >= 400, "the array went, a capsule with a loan of it is there, and the memory was freed"
    assert not machine.calls("free", "bad-free"), "the array went, a loan of it is there, and the memory was freed"


@pytest.mark.finds("memory-leak", at="static void end_capsule(")
@pytest.mark.parametrize("version", [(1, 0), None])
def test_a_capsule_that_nobody_takes_ends_its_loan(built, machine, memory, version):
    array = built.empty((100,))
    capsules = [array.__dlpack__(max_version=version) for _ in range(3)]
    del array
    assert machine.allocated == 400, "capsules with loans are there, and the memory was freed: lend() keeps the array"
    del capsules
    gc.collect()
    calls = machine.calls("free", "bad-free")
    assert calls == [("free", 400, 0, 0)], f"array and capsules went: {calls or 'nothing was freed'}, want one free"
    array = built.empty((100,))
    memory.leak(lambda: array.__dlpack__(max_version=version))


@pytest.mark.finds("lifetime", at="static void end_capsule(")
@pytest.mark.parametrize("version", [(1, 0), None])
def test_a_loan_that_was_taken_is_the_borrowers(built, machine, lender, version):
    array = built.empty((100,))
    end = taken(lender, array.__dlpack__(max_version=version))
    del array
    gc.collect()
    assert machine.allocated == 400, "the loan was taken, its capsule and the array went, and the memory was freed"
    end()


@pytest.mark.finds("memory-leak", at="static void end_loan(")
@pytest.mark.parametrize("version", [(1, 0), None])
def test_a_deleter_frees_once_without_the_gil(built, machine, lender, memory, version):
    array = built.empty((100,))
    ends = [taken(lender, array.__dlpack__(max_version=version)) for _ in range(2)]
    del array
    ends[0]()
    assert machine.allocated == 400, "one of two loans has ended, and the memory was freed: the other one has it still"
    ends[1]()
    calls = machine.calls("free", "bad-free")
    assert calls == [("free", 400, 0, 0)], f"array and loans went: {calls or 'nothing was freed'}, want one free"
    array = built.empty((100,))
    memory.leak(lambda: taken(lender, array.__dlpack__(max_version=version))())


# ---- The borrower: what it asks for ----


@pytest.mark.finds("cuda-stream", at="static PyObject *ask(")
@pytest.mark.parametrize("kind", KINDS)
def test_the_lender_is_told_which_stream(built, machine, lender, kind):
    for stream, want in ((0, LEGACY), (LEGACY, LEGACY), (PER_THREAD, PER_THREAD), (SIDE, SIDE)):
        loan = KINDS[kind](lender)
        built.from_dlpack(loan, stream)
        asked = loan.asked[-1].get("stream", "nothing")
        assert asked == want, f"from_dlpack(..., stream={stream:#x}): __dlpack__ gets stream={asked}, want {want}"


@pytest.mark.finds("layout", at="static PyObject *ask(")
def test_the_lender_is_told_which_version_we_know(built, machine, lender):
    loan = Loan(lender)
    built.from_dlpack(loan)
    got = loan.asked[-1].get("max_version")
    assert (got or (0, 0))[0] >= 1, f"__dlpack__ gets max_version={got}: a lender gives the old form then, want (1, 0)"


@pytest.mark.finds("wrong-result", at="static PyObject *ask(")
def test_other_devices_are_refused_before_a_loan_is_made(built, machine, lender):
    for place in ((1, 0), (3, 0), (8, 0), (10, 0), (13, 0)):
        loan = Loan(lender, place=place, device=place)
        raises((BufferError,), lambda loan=loan: built.from_dlpack(loan), f"memory on device {place}")
        assert not loan.asked, f"memory on device {place}: __dlpack__ was called, and the device was known before"
    raises((BufferError,), lambda: built.from_dlpack(np.ones(3, np.float32)), "a NumPy array")


@pytest.mark.finds("wrong-result", at="static PyObject *ask(")
@pytest.mark.parametrize("kind", KINDS)
def test_the_lender_is_asked_on_its_device(built, machine, lender, kind):
    for device in (1, 0):
        loan = KINDS[kind](lender, device=(2, device), machine=machine)
        built.from_dlpack(loan, SIDE)
        assert loan.found == device, f"memory on device {device}: __dlpack__ runs while device {loan.found} is current"
        assert machine.current == 0, f"device 0 was current before from_dlpack, now it is {machine.current}"


class Broken:
    """Gives, or raises, what no lender should."""

    def __init__(self, gives, place=CUDA):
        self.gives, self.place = gives, place

    def __dlpack_device__(self):
        if isinstance(self.place, type):
            raise self.place("raised by __dlpack_device__")
        return self.place

    def __dlpack__(self, **asked):
        if isinstance(self.gives, type):
            raise self.gives("raised by __dlpack__")
        return self.gives


@pytest.mark.finds("error-path", at="static PyObject *ask(")
def test_what_is_no_lender_is_refused(built, machine):
    other = python.PyCapsule_New(ctypes.addressof(Book()), b"something.else", None)
    for what, source, errors in (
        ("no capsule", Broken(7), (TypeError, ValueError, BufferError)),
        ("a capsule of something else", Broken(other), (TypeError, ValueError, BufferError)),
        ("an error of __dlpack__", Broken(KeyError), (KeyError,)),
        ("a TypeError of __dlpack__", Broken(TypeError), (TypeError,)),
        ("an error of __dlpack_device__", Broken(7, KeyError), (KeyError,)),
        ("a device that is no pair", Broken(7, "cuda"), (TypeError, ValueError, BufferError)),
        ("no __dlpack__", object(), (AttributeError, TypeError)),
    ):
        raises(errors, lambda source=source: built.from_dlpack(source), what)


# ---- The borrower: whose loan it is ----


@pytest.mark.finds("layout", at="static int describe(Array")
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=SHARED)
@given(
    shape=st.lists(st.integers(1, 9), max_size=8),
    steps=st.lists(st.integers(-3, 99), min_size=8, max_size=8),
    offset=st.integers(0, 1 << 36),
    device=st.integers(0, 1),
    is_dense=st.booleans(),
)
def test_any_loan_is_borrowed_and_lent_on(built, machine, lender, shape, steps, offset, device, is_dense):
    strides = dense(shape) if is_dense else tuple(steps[: len(shape)])
    loan = Loan(lender, tuple(shape), strides, deleter=False, byte_offset=offset * 4, device=(2, device))
    if is_dense:
        loan.loan.tensor.strides = None
    array = built.from_dlpack(loan)
    what = f"shape {shape}, strides {'NULL' if is_dense else strides}, device {device}"
    assert (array.shape, array.strides) == (tuple(shape), strides), f"{what}: {array.shape}, {array.strides}"
    assert array.__dlpack_device__() == (2, device), f"{what}: device {array.__dlpack_device__()}"
    capsule = array.__dlpack__(stream=-1, max_version=(1, 0))
    tensor = loan_in(capsule).tensor
    got = (tensor.data or 0) + tensor.byte_offset, tuple(tensor.device), tuple(tensor.strides[: len(shape)])
    want = FAR + offset * 4, (2, device), strides
    assert got == want, f"{what}, lent on: first, device, strides {got}, want {want}"


@pytest.mark.finds("memory-leak", at="static void release(Array")
@pytest.mark.parametrize("kind", KINDS)
def test_a_loan_is_ended_once(built, machine, lender, kind):
    loan = KINDS[kind](lender)
    array = built.from_dlpack(loan)
    want = array.view()
    gc.collect()
    early(loan, "the array is alive")
    del array
    assert loan.ended == 1, f"the array is gone, and its loan was ended {loan.ended} times, want 1"
    calls = machine.calls("free", "bad-free")
    assert not calls, f"borrowed memory at {want[0]:#x} is the lender's to free, and there are {calls}"


def early(loan, what):
    """What was ended too soon, is the fault of the one who took it."""
    __tracebackhide__ = True
    assert not loan.ended, f"{what}, and its loan was ended {loan.ended} times: see static int take(Array...)"


@pytest.mark.finds("lifetime", at="static int take(Array")
@pytest.mark.parametrize("kind", KINDS)
def test_a_capsule_is_renamed_when_its_loan_is_taken(built, machine, lender, kind):
    loan = KINDS[kind](lender)
    loan.capsule = loan.make()
    array = built.from_dlpack(loan)
    want, got = b"used_" + loan.name, python.PyCapsule_GetName(loan.capsule)
    assert got == want, f"after from_dlpack the capsule is named {got!r}, want {want!r}"
    raises((BufferError, ValueError), lambda: built.from_dlpack(loan), "a capsule whose loan was taken")
    loan.capsule = None
    gc.collect()
    assert loan.ended == 0, f"the capsule went, the array is alive, and its loan was ended {loan.ended} times"
    del array
    assert loan.ended == 1, f"capsule and array are gone, and the loan was ended {loan.ended} times, want 1"


@pytest.mark.finds("error-path", at="static void release(Array")
@pytest.mark.parametrize("kind", KINDS)
def test_a_loan_may_have_no_deleter(built, machine, lender, kind):
    loan = KINDS[kind](lender, deleter=False)
    array = built.from_dlpack(loan)
    assert array.view()[1] == 20
    del array
    assert loan.ended == 0


def refused(built, loan, what):
    """BufferError, and the loan has ended, once, when the capsule is gone; not before, and not never."""
    __tracebackhide__ = True
    raises((BufferError,), lambda: built.from_dlpack(loan), what)
    gc.collect()
    assert loan.ended == 1, f"{what}: refused, and its loan was ended {loan.ended} times, want 1"


@pytest.mark.finds("wrong-result", at="static int describe(Array")
@pytest.mark.parametrize("kind", KINDS)
def test_what_cant_be_used_is_given_back(built, machine, lender, kind):
    for what, described in (
        ("elements of four lanes", {"lanes": 4}),
        ("9 dimensions", {"ndim": 9}),
        ("-1 dimensions", {"ndim": -1}),
        ("a loan of CPU memory from a source on CUDA", {"device": (1, 0), "place": CUDA}),
    ):
        refused(built, KINDS[kind](lender, **described), what)


@pytest.mark.finds("wrong-result", at="static int take(Array")
def test_another_major_version_is_not_looked_at(built, machine, lender):
    for major in (0, 2, 1 << 31):
        # nothing but the deleter is where it was: what was a shape is no address
        refused(built, Loan(lender, major=major, ndim=4, nowhere=True), f"version {major}.0")


@pytest.mark.finds("wrong-result", at="static int take(Array")
def test_read_only_stays_read_only(built, machine, lender):
    for flags in range(4):
        array, want = built.from_dlpack(Loan(lender, flags=flags)), bool(flags & 1)
        assert array.readonly is want, f"a loan of flags {flags}: readonly is {array.readonly}, want {want}"


@pytest.mark.finds("wrong-result", at="static PyObject *lend(")
def test_read_only_memory_says_so(built, machine, lender):
    array = built.from_dlpack(Loan(lender, flags=1))
    flags = loan_in(array.__dlpack__(max_version=(1, 0))).flags
    assert flags & 1, f"read-only memory is lent on with flags {flags}: a borrower would write to it"
    raises((BufferError,), array.__dlpack__, "read-only memory, lent on in the old form")


@pytest.mark.finds("cuda-stream", at="static int order(Array")
def test_what_is_lent_on_waits_for_the_first_lender(built, machine, lender):
    array = built.from_dlpack(Loan(lender), SIDE)  # the lender made SIDE wait, and no other stream
    machine.calls()
    array.__dlpack__(stream=OTHER, max_version=(1, 0))
    calls = machine.calls()
    assert ordered(calls, SIDE, OTHER), f"borrowed on {SIDE:#x}, lent on to {OTHER:#x}, which doesn't wait: {calls}"


@pytest.mark.finds("lifetime", at="static PyObject *lend(")
@pytest.mark.parametrize("kind", KINDS)
def test_loans_of_loans_keep_the_first_alive(built, machine, lender, kind):
    loan = KINDS[kind](lender, (3, 4))
    array = built.from_dlpack(built.from_dlpack(built.from_dlpack(loan)))
    gc.collect()
    early(loan, "an array at the end of a chain of loans is alive")
    assert array.view() == (FAR, 12, (3, 4), (4, 1)), f"the end of a chain of loans: {array.view()}"
    del array
    gc.collect()
    assert loan.ended == 1, f"the array at the end of the chain is gone, the first loan was ended {loan.ended} times"


@pytest.mark.finds("memory-leak", at="static PyObject *ask(")
@pytest.mark.parametrize("kind", KINDS)
def test_borrowing_leaks_nothing(built, machine, lender, memory, kind):
    loan, lanes, near = (KINDS[kind](lender, spoil=False, **d) for d in ({}, {"lanes": 2}, {"place": (1, 0)}))
    memory.leak(lambda: (loan.asked.clear(), built.from_dlpack(loan)))
    for bad in (lanes, near):

        def call(bad=bad):
            bad.asked.clear()
            with contextlib.suppress(BufferError):
                built.from_dlpack(bad)

        memory.leak(call)


# ---- On a GPU ----


def current_stream():
    import torch

    return torch.cuda.current_stream().cuda_stream


def borrowed_affine(built, tensor, scale, shift):
    """x = scale * x + shift on a torch tensor, on the current stream."""
    stream = current_stream()
    built.from_dlpack(tensor, stream).affine_(scale, shift, stream)
    return tensor


def whole_numbers(rng, *shape):
    """Small whole numbers: twice one plus 3 is exact, rounded once or twice."""
    import torch

    return torch.from_numpy(rng.integers(-999, 1000, shape).astype(np.float32)).cuda()


def torch_views():
    """(name, size of the base, view of it): what strides can say."""
    yield "all of it", (6, 8, 5), lambda x: x
    yield "rows from the second on", (6, 8, 5), lambda x: x[1:]
    yield "every second", (6, 8, 50), lambda x: x[:, ::2, 3::7]
    yield "transposed", (6, 80, 5), lambda x: x.permute(2, 0, 1)
    yield "one column", (60, 8, 5), lambda x: x[:, 3, 2]
    yield "one element, no dimension", (6, 8, 5), lambda x: x[5, 7, 4]
    yield "one of one", (1,), lambda x: x
    yield "nothing", (6, 8), lambda x: x[2:2]
    yield "a block and one", (257,), lambda x: x
    yield "65,537 rows", (65_537, 3), lambda x: x[:, 1:]
    yield "more than a grid", (3, 1_048_583), lambda x: x
    yield "more than a grid, strided", (1_048_583, 4), lambda x: x.t()[1:]
    yield "eight dimensions", (2, 3, 2, 3, 2, 3, 2, 3), lambda x: x.permute(7, 0, 6, 1, 5, 2, 4, 3)


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="float *element(const")
@pytest.mark.parametrize("case", list(torch_views()), ids=lambda case: case[0])
def test_a_kernel_changes_the_view_and_nothing_else(built, rng, case):
    import torch

    name, size, view = case
    got = whole_numbers(rng, *size)
    want = got.clone()
    view(want).mul_(2).add_(3)
    array = built.from_dlpack(view(got), current_stream())
    assert array.view()[0] == view(got).data_ptr() or not view(got).numel(), f"{name}: other memory than the tensor's"
    array.affine_(2.0, 3.0, current_stream())
    wrong = (got != want).nonzero()
    torch.cuda.synchronize()
    assert not len(wrong), (
        f"{name}: {len(wrong)} elements of the base are wrong, the first at {wrong[0].tolist()}: "
        f"got {got[tuple(wrong[0])]:.0f}, want {want[tuple(wrong[0])]:.0f}"
    )


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="__global__ void affine_kernel(")
def test_memory_that_was_never_filled_is_not_read(built):
    import torch

    x = torch.tensor([float("nan"), float("inf"), -1.0, 0.0], device="cuda")
    borrowed_affine(built, x, 0.0, 7.0)
    assert x.tolist() == [7.0] * 4, f"0 * [nan, inf, -1, 0] + 7: got {x.tolist()}, want 7: scale 0 doesn't read"
    x = torch.tensor([float("nan"), float("inf"), -1.0, 0.0], device="cuda")
    got = borrowed_affine(built, x, 2.0, 7.0).tolist()
    assert np.isnan(got[0]), f"2 * nan + 7: got {got[0]}, want nan"
    assert got[1:] == [float("inf"), 5.0, 7.0], f"2 * [inf, -1, 0] + 7: got {got[1:]}"


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="static PyObject *lend(")
def test_torch_borrows_our_memory(built):
    import torch

    array = built.empty((100, 300)).affine_(0.0, 3.0)
    tensor = torch.from_dlpack(array)
    assert (tuple(tensor.shape), tensor.device.type) == ((100, 300), "cuda"), f"{tensor.shape} on {tensor.device}"
    assert tensor.data_ptr() == array.view()[0], "torch.from_dlpack(array) is other memory"
    assert bool((tensor == 3).all()), "torch.from_dlpack(array) shows other values"
    tensor[5, 7] = 50
    array.affine_(2.0, 1.0, current_stream())
    assert tensor[5, 7].item() == 101, f"torch wrote 50, 2 * 50 + 1 is {tensor[5, 7].item()}"
    del array
    gc.collect()
    rest = torch.from_dlpack(built.from_dlpack(tensor, current_stream()))
    del tensor
    gc.collect()
    others = [torch.full((100, 300), -1.0, device="cuda") for _ in range(8)]
    assert rest[5, 7].item() == 101, "at the end of a chain of loans the memory has changed"
    assert bool((rest.sum() == 7 * 29_999 + 101).item()), "at the end of a chain of loans the memory has changed"
    assert len(others) == 8


@pytest.mark.gpu
@pytest.mark.finds("memory-leak", at="static void release(Array")
def test_device_memory_is_free_again(built, gpu):
    import torch

    gpu.leak(lambda: torch.from_dlpack(built.empty((1 << 20,))), calls=50)
    gpu.leak(lambda: built.empty((1 << 20,)).__dlpack__(max_version=(1, 0)), calls=50)
    tensor = torch.ones(1 << 20, device="cuda")
    gpu.leak(lambda: built.from_dlpack(tensor.clone(), current_stream()), calls=50)
    gpu.extra(lambda: built.from_dlpack(tensor, current_stream()).affine_(1.0, 0.0, current_stream()))


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at='extern "C" cudaError_t affine_launch(')
def test_a_kernel_waits_for_what_is_queued_on_its_stream(built, gpu, rng):
    gpu.stream(lambda x: borrowed_affine(built, x, 2.0, 3.0), whole_numbers(rng, 300, 7))


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="static int affine(Array")
def test_a_kernel_can_be_captured_in_a_graph(built, rng):
    import torch

    x = whole_numbers(rng, 300, 7)
    want = (x * 2 + 3) * 2 + 3
    array = built.from_dlpack(x, current_stream())
    array.affine_(1.0, 0.0, current_stream())  # what is made once is made here, not in the graph
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            array.affine_(2.0, 3.0, current_stream())
    except RuntimeError as error:
        raise AssertionError(
            f"affine_ can't be captured: it waits for the GPU or leaves the stream ({error})"
        ) from None
    graph.replay()
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(x, want), "affine_, captured once and replayed twice, isn't affine_ twice"


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="static int order(Array")
def test_torch_waits_for_our_work(built):
    import torch

    side = torch.cuda.Stream()
    array = built.empty((1000,)).affine_(0.0, 1.0)
    torch.from_dlpack(array).add_(1).clone()  # what is loaded once, is loaded now
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep(400_000_000)  # about 0.2 s
    array.affine_(0.0, 7.0, side.cuda_stream)
    got = torch.from_dlpack(array).clone()  # on the default stream
    torch.cuda.synchronize()
    assert bool((got == 7).all()), (
        f"work was queued on a side stream, and torch.from_dlpack reads {got[0].item()}, want 7"
    )


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="static PyObject *ask(")
def test_our_work_waits_for_torch(built):
    import torch

    side, other = torch.cuda.Stream(), torch.cuda.Stream()
    x = torch.ones(1000, device="cuda")
    borrowed_affine(built, x, 1.0, 0.0)
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep(400_000_000)
        x.fill_(5.0)
        array = built.from_dlpack(x, other.cuda_stream)
    array.affine_(2.0, 1.0, other.cuda_stream)
    torch.cuda.synchronize()
    assert bool((x == 11).all()), (
        f"torch filled x with 5 on its stream, 2 * x + 1 on another gives {x[0].item()}, want 11"
    )
    with torch.cuda.stream(side):
        torch.cuda._sleep(400_000_000)
        x.fill_(6.0)
        array = built.from_dlpack(x)  # the legacy default stream
    array.affine_(2.0, 1.0)
    torch.cuda.synchronize()
    assert bool((x == 13).all()), f"the same on the default stream gives {x[0].item()}, want 13"


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="static PyObject *ask(")
def test_memory_that_is_not_on_a_gpu_is_refused(built):
    import torch

    for tensor in (torch.ones(4), torch.ones(4).pin_memory()):
        raises(
            (BufferError,), lambda tensor=tensor: built.from_dlpack(tensor), f"{tensor.device}, {tensor.is_pinned()}"
        )
    parameter = torch.nn.Parameter(torch.ones(4, device="cuda"))
    raises((BufferError,), lambda: built.from_dlpack(parameter), "a tensor that requires grad")
