"""Checks of capi-type: records, damage, and what a type owes: references, cycles, subclasses, a second __init__."""

from __future__ import annotations

import ctypes
import functools
import gc
import itertools
import signal
import struct
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutor.core.finding import Finding
from tutor.worker.defects import Defects
from tutor.worker.probe.forked import run_forked

HEAP_GC = 1 << 14  # Py_TPFLAGS_HAVE_GC
M_MMAP_THRESHOLD = -3  # of mallopt: blocks of that size and more are mapped, and unmapped when they are freed


def shard_of(records):
    return b"".join(struct.pack("<I", len(record)) + record for record in records)


def random_records(rng, count=20):
    return [rng.bytes(size) for size in rng.integers(0, 40, count).tolist()]


def items(reader):
    """What the reader gives; at most 100 items, for one that never ends."""
    return list(itertools.islice(reader, 100))


def read_all(kind, *args):
    """Makes a reader, and reads what it has."""
    return items(kind(*args))


class Shard(bytearray):
    """Lends its memory, and can hold what it likes: also a reader of itself."""


class Call:
    """A transform that is an object of its own: it can be watched, and hold things."""

    def __init__(self, result=None):
        self.result = result

    def __call__(self, record):
        return record if self.result is None else self.result


@settings(max_examples=40, deadline=None, database=None)
@given(records=st.lists(st.binary(max_size=40), max_size=12))
def test_records_come_out_in_order(built, records):
    got = items(built.Reader(shard_of(records)))
    assert got == records, f"records {records}: got {got}"
    assert all(type(record) is bytes for record in got), "each record is a bytes object"


@pytest.mark.finds("wrong-result", at="reader_next")
def test_a_reader_is_an_iterator(built, rng):
    records = random_records(rng, 5)
    reader = built.Reader(shard=shard_of(records))
    assert iter(reader) is reader, "iter(reader) must be the reader itself"
    assert next(reader) == records[0], "next(reader) is the first record"
    assert items(reader) == records[1:], "the rest follows"
    assert [next(reader, "end") for _ in range(3)] == ["end"] * 3, "after the last record: StopIteration, each time"


@pytest.mark.finds("wrong-result", at="reader_next")
def test_transform_is_called_with_each_record(built, rng):
    records = random_records(rng)
    assert items(built.Reader(shard_of(records), len)) == [len(record) for record in records]
    assert items(built.Reader(shard_of(records), transform=None)) == records, "None means no transform"
    call = Call([1])
    assert all(item is call.result for item in built.Reader(shard_of(records), call)), "the transform's own result"


@pytest.mark.finds("wrong-result", at="reader_next")
def test_iteration_goes_on_after_a_transform_has_raised(built, rng):
    records = [b"one", b"two", b"three"]

    def refuse(record):
        if record == b"two":
            raise KeyError("not two")
        return record

    reader = built.Reader(shard_of(records), refuse)
    assert next(reader) == b"one"
    with pytest.raises(KeyError, match="not two"):
        next(reader)
    assert next(reader) == b"three", "a record that the transform refuses has been read: the next one follows"


@pytest.mark.finds("out-of-bounds", at="reader_next")
def test_a_shard_that_is_cut_off_is_refused(built, rng, guard):
    records = random_records(rng, 6)
    data = shard_of(records)
    ends = np.cumsum([0, *(4 + len(record) for record in records)]).tolist()
    edge = guard.array(np.frombuffer(data, np.uint8))
    for length in range(len(data) + 1):
        edge[len(data) - length :] = np.frombuffer(data[:length], np.uint8)
        reader = built.Reader(edge[len(data) - length :])
        whole = sum(end <= length for end in ends) - 1
        got = [next(reader) for _ in range(whole)]
        assert got == records[:whole], f"{length} bytes: the records before the cut are right"
        ended = "nothing"
        try:
            ended = next(reader)
        except (ValueError, StopIteration) as error:
            ended = type(error).__name__
        want = "StopIteration" if length in ends else "ValueError"
        assert ended == want, f"a shard cut off after {length} of {len(data)} bytes: want {want}, got {ended!r}"


@pytest.mark.finds("out-of-bounds", at="reader_next")
def test_lengths_are_not_believed(built, guard):
    for length in (2**32 - 1, 2**32 - 4, 2**31, 2**31 - 1, 5):
        data = guard.array(np.frombuffer(struct.pack("<I", length) + b"four", np.uint8))
        with pytest.raises(ValueError):
            next(built.Reader(data))


@pytest.mark.finds("wrong-result", at="reader_init")
def test_wrong_arguments_are_type_errors(built):
    for args in ((), (5,), ("text",), (b"", 5), (b"", len, 1), (None,)):
        with pytest.raises(TypeError):
            built.Reader(*args)


@pytest.mark.finds("wrong-result", at="reader_next")
def test_a_reader_that_was_never_initialised_is_empty(built):
    assert items(built.Reader.__new__(built.Reader)) == [], "Reader.__new__(Reader) without __init__: no records"


def locked(source):
    """Whether somebody holds a buffer of the bytearray."""
    try:
        source.append(0)
    except BufferError:
        return True
    source.pop()
    return False


@pytest.mark.finds("lifetime", at="reader_init")
def test_the_shard_is_pinned_as_long_as_it_is_read(built, rng):
    data = Shard(shard_of(random_records(rng)))
    reader = built.Reader(data)
    next(reader)
    assert locked(data), "the bytearray can be resized while a reader points into it"


@pytest.mark.finds("buffer-not-released", at="reader_dealloc")
def test_the_shard_is_given_back_when_the_reader_goes(built, rng):
    data = Shard(shard_of(random_records(rng)))
    reader = built.Reader(data)
    next(reader)
    del reader
    assert not locked(data), "the reader is gone, and its buffer is still held"


@pytest.mark.finds("buffer-not-released", at="reader_init")
def test_the_shard_is_given_back_when_init_fails(built):
    data = Shard(b"\1\0\0\0x")
    with pytest.raises(TypeError):
        built.Reader(data, 5)
    gc.collect()
    assert not locked(data), "__init__ has raised TypeError for the transform, and the shard stays locked"


@pytest.mark.finds("error-path", at="reader_init")
@pytest.mark.parametrize("what", ["transform", "shard"])
def test_an_init_that_fails_changes_nothing(built, what):
    records = [b"one", b"two", b"three"]
    reader = built.Reader(Shard(shard_of(records)), bytes.upper)
    first = next(reader)
    wrong = {"transform": (b"", 5), "shard": (5,)}[what]
    with pytest.raises(TypeError):
        reader.__init__(*wrong)
    got = [first, *items(reader)]
    want = [record.upper() for record in records]
    assert got == want, (
        f"a second __init__ failed (wrong {what}), and the reader went on with {got[1:]}, want {want[1:]}"
    )


@pytest.mark.finds("layout", at="reader_init")
def test_a_strided_shard_is_refused(built):
    data = shard_of([b"one", b"two"])
    wide = np.zeros(2 * len(data), np.uint8)
    wide[: len(data)] = np.frombuffer(data, np.uint8)  # who forgets the stride finds whole records there
    try:
        got = items(built.Reader(wide[::2]))
    except (TypeError, BufferError, ValueError):
        return
    raise AssertionError(f"every second byte of an array is no block of memory: want BufferError, got {got}")


@pytest.mark.finds("error-path", at="reader_next")
def test_failures_on_the_way_are_noticed(built, faults, rng):
    faults(read_all, built.Reader, shard_of(random_records(rng, 4)), len)


def lost(call, watched, calls=20):
    """References that `watched` gains a call; it can't be freed by mistake meanwhile."""
    ballast = [watched] * (4 * calls)
    call()
    before = sys.getrefcount(watched)
    for _ in range(calls):
        call()
    gained = (sys.getrefcount(watched) - before) / calls
    if gained < 0:
        _forever.append(ballast)
    return gained


_forever: list[list[object]] = []


def expect_even(gained, what, leak, place):
    """Neither gained nor lost. `leak` is the code for what is gained."""
    if abs(gained) < 0.9:
        return
    verb = "gains" if gained > 0 else "loses"
    code = leak if gained > 0 else "ref-underflow"
    raise Defects(Finding(code, f"{what} {verb} {abs(gained):.2g} references for each {place}"))


@pytest.mark.finds("type-leak", at="reader_dealloc")
@pytest.mark.parametrize("kind", ["Reader", "a subclass"])
def test_an_instance_gives_back_its_type(built, rng, kind):
    data, kinds = (
        shard_of(random_records(rng)),
        {"Reader": built.Reader, "a subclass": type("Sub", (built.Reader,), {})},
    )
    gained = lost(lambda: kinds[kind](data), kinds[kind])
    expect_even(gained, f"the type ({kind})", "type-leak", "reader that is made and dropped")


@pytest.mark.finds("type-leak", at="reader_dealloc")
@pytest.mark.parametrize("field", ["transform", "shard"])
def test_an_instance_gives_back_its_fields(built, rng, field):
    data, call = Shard(shard_of(random_records(rng))), Call()
    gained = lost(lambda: next(built.Reader(data, call)), call if field == "transform" else data)
    expect_even(gained, f"the {field}", "type-leak", "reader that is made and dropped")


@pytest.mark.finds("ref-leak", at="reader_init")
@pytest.mark.parametrize("field", ["transform", "shard"])
def test_a_second_init_gives_back_what_the_first_took(built, rng, field):
    data, call = Shard(shard_of(random_records(rng))), Call()
    reader = built.Reader(data, call)
    gained = lost(lambda: reader.__init__(data, call), call if field == "transform" else data)
    expect_even(gained, f"the {field}", "ref-leak", "further call of __init__")


@pytest.mark.finds("buffer-not-released", at="reader_init")
def test_a_second_init_begins_anew(built, rng):
    first, second = Shard(shard_of([b"old", b"older"])), shard_of([b"new", b"newer"])
    reader = built.Reader(first, len)
    next(reader)
    reader.__init__(second)
    assert not locked(first), "after a second __init__ the first shard is still held"
    got = items(reader)
    if got != [b"new", b"newer"]:
        raise Defects(Finding("wrong-result", f"after a second __init__: got {got}, want the new shard from its start"))


@pytest.mark.finds("use-after-free", at="reader_next")
def test_a_transform_may_start_the_reader_again(built):
    """The transform drops the reader's references to the shard and to itself while it is being called."""
    done = []

    class Restart:
        def __call__(self, record):
            reader.__init__(shard_of([b"second"]))
            done.append(gc.collect())
            return record.upper()

    reader = built.Reader(shard_of([b"first"]), Restart())
    assert items(reader) == [b"FIRST", b"second"], "the new shard is read after the transform has called __init__"


@pytest.mark.finds("use-after-free", at="reader_next")
def test_a_transform_lives_until_its_call_is_over(built):
    """Its reader lets go of it during the call. A function of Python holds itself; an object of C does not."""
    alive = []

    def restart(record):
        reader.__init__(shard_of([b"second"]))
        alive.append(watched() is not None)
        return record

    transform = functools.partial(restart)
    watched = weakref.ref(transform)
    reader = built.Reader(shard_of([b"first"]), transform)
    del transform
    next(reader)
    assert alive == [True], "a transform was freed during its own call: hold a reference of your own meanwhile"


@pytest.mark.finds("use-after-free", at="reader_init")
def test_what_is_dropped_is_no_longer_held(built):
    """Dropping a transform runs its __del__, which may look at the reader: the field must not lead to it any more."""
    seen = []

    class Last(Call):
        def __del__(self):
            seen.append(any(item is self for item in gc.get_referents(reader)))

    reader = built.Reader(b"", Last())
    reader.__init__(b"")
    assert seen == [False], "while the old transform goes, the reader still points to it: Py_CLEAR, not Py_DECREF"


@pytest.mark.finds("gc-missing", at="reader_traverse")
def test_the_collector_sees_what_a_reader_holds(built, rng):
    assert built.Reader.__flags__ & HEAP_GC, "Py_TPFLAGS_HAVE_GC is missing: the collector does not look at readers"
    data, call = Shard(shard_of(random_records(rng))), Call()
    reader = built.Reader(data, call)
    assert gc.is_tracked(reader), "a new reader is not tracked by the collector"
    # A memoryview may hold the shard: the collector looks through it.
    seen = [item.obj if isinstance(item, memoryview) else item for item in gc.get_referents(reader)]
    for name, held in (("transform", call), ("shard", data), ("type", built.Reader)):
        times = sum(item is held for item in seen)
        assert times == 1, f"traverse shows the {name} {times} times, want once: the reader holds one reference to it"


def cycle(built, kind):
    """A weak reference to an object of a cycle that nobody else holds."""
    data, call = Shard(shard_of([b"x"])), Call()
    reader = type("Sub", (built.Reader,), {})(data, call)
    holder = {"transform": call, "shard": data, "subclass": reader}[kind]
    holder.reader = reader
    return weakref.ref(holder)


@pytest.mark.finds("gc-missing", at="reader_clear")
@pytest.mark.parametrize("kind", ["transform", "shard", "subclass"])
def test_a_cycle_is_collected(built, kind):
    watched = cycle(built, kind)
    gc.collect()
    gc.collect()
    text = f"a {kind} that holds its own reader is never freed: traverse must show it and clear must drop it"
    assert watched() is None, text


@pytest.mark.finds("gc-missing", at="reader_clear")
def test_a_cycle_that_only_the_reader_can_break_is_collected(built):
    """Its own __next__ as the transform: a method can't be cleared. (Weak references go even when clearing fails.)"""
    data = Shard(shard_of([b"x"]))
    reader = built.Reader(data)
    reader.__init__(data, reader.__next__)
    del reader
    gc.collect()
    gc.collect()
    assert not locked(data), "a reader whose transform is its own __next__ is never freed: is tp_clear there?"


@pytest.mark.finds("type-leak", at="reader_dealloc")
def test_a_dropped_subclass_goes(built, rng):
    data = shard_of(random_records(rng))

    def use():
        kind = type("Sub", (built.Reader,), {})
        items(kind(data, len))
        return weakref.ref(kind)

    watched = use()
    gc.collect()
    assert watched() is None, "a subclass whose readers are all gone is still alive: a reader kept its type"


@pytest.mark.finds("gc-missing", at="reader_dealloc")
def test_the_collector_may_run_while_a_reader_goes(built):
    """The last reference to a transform goes with its reader, and its __del__ runs the collector."""

    class Last(Call):
        def __del__(self):
            gc.collect()

    def scenario():
        for _ in range(100):
            built.Reader(b"", Last())

    ended = run_forked(scenario, 60).signal
    text = (
        "a collection while a reader is being freed crashes: untrack it (PyObject_GC_UnTrack) before you drop anything"
    )
    assert ended == 0, f"{text} ({signal.Signals(ended).name if ended else ''})"


@pytest.mark.finds("use-after-free", at="reader_dealloc")
def test_a_reader_is_not_touched_after_it_is_freed(built):
    """Instances of a subclass with many slots get pages of their own, which are gone when they are freed."""

    def scenario():
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)
        wide = type("Wide", (built.Reader,), {"__slots__": [f"slot{number}" for number in range(20_000)]})
        readers = [wide(b"", Call()) for _ in range(200)]  # 32 MB: more than the holes that earlier work has left
        del readers

    ended = run_forked(scenario, 60).signal
    text = "the reader is looked at after tp_free: keep what you need of it, its type, in a variable"
    assert ended == 0, f"{text} ({signal.Signals(ended).name if ended else ''})"


@pytest.mark.finds("memory-leak", at="reader_next")
@pytest.mark.parametrize("transform", [None, len])
def test_nothing_is_kept_of_the_records(built, memory, rng, transform):
    data = shard_of(random_records(rng))
    memory.leak(functools.partial(read_all, built.Reader, data, transform))
