"""Checks of capi-evt1: columns bit for bit, damage of every kind at a protected page, the buffer, the GIL, memory."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import resource
import signal
import struct
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutor.core.finding import Finding
from tutor.worker import crash
from tutor.worker.defects import Defects
from tutor.worker.probe.forked import run_forked

NAMES = ("timestamps", "users", "labels", "feature offsets", "features", "token offsets", "tokens")
TYPES = ("u8", "u4", "u1", "i8", "f4", "i8", "u2")


class Damaged(Exception):
    """What the reference reader raises; `record` is the number of the damaged record, -1 for the header."""

    def __init__(self, record):
        super().__init__(f"damage in record {record}" if record >= 0 else "damage in the header")
        self.record = record


def encode(timestamp, user, label, features, tokens):
    """One record as the README describes it; features and tokens are bytes."""
    counts = len(features) // 4, len(tokens) // 2
    body = struct.pack("<QIBBH", timestamp, user, label, *counts) + features + tokens
    return body + struct.pack("<I", sum(body) & 0xFFFFFFFF)


def shard_of(records):
    return b"".join([b"EVT1", struct.pack("<I", len(records)), *records])


def random_records(rng, count, most_features=6, most_tokens=12):
    records = []
    for features, tokens in zip(
        rng.integers(0, most_features + 1, count).tolist(),
        rng.integers(0, most_tokens + 1, count).tolist(),
        strict=True,
    ):
        fixed = int(rng.integers(1 << 63)) * 2 + 1, int(rng.integers(1 << 32)), int(rng.integers(256))
        floats = rng.standard_normal(features).astype("<f4").tobytes()
        records.append(encode(*fixed, floats, rng.bytes(2 * tokens)))
    return records


def large_shard(rng, repeats=400):
    """200,000 records in about 11 MB: 500 of them, again and again."""
    return shard_of(random_records(rng, 500) * repeats)


def record_ends(data):
    """Where the records end; raises Damaged."""
    if len(data) < 8 or data[:4] != b"EVT1":
        raise Damaged(-1)
    at, ends = 8, [8]
    (count,) = struct.unpack_from("<I", data, 4)
    for number in range(count):
        if len(data) - at < 20:
            raise Damaged(number)
        features, tokens = struct.unpack_from("<BH", data, at + 13)
        end = at + 16 + 4 * features + 2 * tokens
        if len(data) - end < 4 or sum(data[at:end]) & 0xFFFFFFFF != struct.unpack_from("<I", data, end)[0]:
            raise Damaged(number)
        at = end + 4
        ends.append(at)
    if at != len(data):
        raise Damaged(count)
    return ends


def reference(data):
    """The seven columns, read in Python. Payloads stay bytes until the end: no float is converted."""
    ends = record_ends(data)
    heads = [struct.unpack_from("<QIBBH", data, at) for at in ends[:-1]]
    middles = [at + 16 + 4 * head[3] for at, head in zip(ends, heads, strict=False)]
    features = b"".join(data[at + 16 : middle] for at, middle in zip(ends, middles, strict=False))
    tokens = b"".join(data[middle : end - 4] for middle, end in zip(middles, ends[1:], strict=True))
    fixed = [np.array([head[i] for head in heads], TYPES[i]) for i in range(3)]
    offsets = [np.cumsum([0, *(head[i] for head in heads)]).astype("i8") for i in (3, 4)]
    return (*fixed, offsets[0], np.frombuffer(features, "f4"), offsets[1], np.frombuffer(tokens, "u2"))


def compare(got, data, what="a shard"):
    want = reference(bytes(data))
    assert isinstance(got, tuple), f"{what}: parse returns a tuple of columns, not {type(got).__name__}"
    assert len(got) == len(want), f"{what}: got {len(got)} columns, want {len(want)}"
    for name, mine, right in zip(NAMES, got, want, strict=True):
        assert isinstance(mine, np.ndarray), f"{what}: {name} must be an array, not {type(mine).__name__}"
        if mine.dtype != right.dtype:
            raise Defects(Finding("dtype", f"{name} are {mine.dtype}, want {right.dtype}"))
        assert mine.shape == right.shape, f"{what}: {name} have shape {mine.shape}, want {right.shape}"
        different = mine.view(f"V{mine.itemsize}") != right.view(f"V{right.itemsize}")
        if different.any():
            at = int(np.argmax(different))
            raise AssertionError(f"{what}: {name}[{at}] is {mine[at]!r}, want {right[at]!r}")


def expect_same(built, source, what):
    """The columns, or a ValueError that names the damaged record: whatever the reference reader says."""
    try:
        record_ends(bytes(source))
    except Damaged as damage:
        expect_damage(built, source, damage.record, what)
    else:
        compare(built.parse(source), source, what)


def expect_damage(built, source, record, what):
    try:
        built.parse(source)
    except ValueError as error:
        named = re.search(r"\brecord (\d+)\b", str(error))
        got = named.group(0) if named else "header" if "header" in str(error) else f"no place ({error})"
        want = "header" if record < 0 else f"record {record}"
        assert got == want, f"{what}: the ValueError names {got}, want {want}"
        return
    raise AssertionError(f"{what}: parse accepts it, want a ValueError for {Damaged(record)}")


@pytest.mark.parametrize("count", [0, 1, 300])
def test_columns_are_right(built, rng, count):
    data = shard_of(random_records(rng, count))
    compare(built.parse(data), data, f"{count} records")


@pytest.mark.parametrize(("features", "tokens"), [(0, 0), (255, 65_535)])
def test_the_longest_and_the_shortest_record_are_read(built, rng, features, tokens):
    full = encode(2**64 - 1, 2**32 - 1, 255, b"\xff" * 4 * features, b"\xff" * 2 * tokens)
    data = shard_of([*random_records(rng, 1), full, *random_records(rng, 2)])
    compare(built.parse(data), data, f"a record with {features} features and {tokens} tokens, all bits set")


@settings(max_examples=40, deadline=None, database=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**64 - 1),
            st.integers(0, 2**32 - 1),
            st.integers(0, 255),
            st.integers(0, 20).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n)),
            st.integers(0, 20).flatmap(lambda n: st.binary(min_size=2 * n, max_size=2 * n)),
        ),
        max_size=8,
    )
)
def test_any_records_are_read_bit_for_bit(built, records):
    data = shard_of([encode(*record) for record in records])
    compare(built.parse(data), data)


def mapped(data):
    region = mmap.mmap(-1, max(1, len(data)))
    region.write(data)
    return region


SOURCES = {
    "bytearray": bytearray,
    "read-only array": lambda data: np.frombuffer(data, np.uint8),
    "memory map": mapped,
    "odd address": lambda data: memoryview(b"." + data)[1:],
}


@pytest.mark.parametrize("kind", list(SOURCES))
def test_any_contiguous_buffer_will_do(built, rng, kind):
    data = shard_of(random_records(rng, 50))
    compare(built.parse(SOURCES[kind](data)), data, kind)


@pytest.mark.finds("layout", at="parse")
def test_what_is_no_block_of_bytes_is_refused(built, rng):
    data = shard_of(random_records(rng, 5))
    wide = np.zeros(2 * len(data), np.uint8)
    wide[: len(data)] = np.frombuffer(data, np.uint8)  # who forgets the stride finds a whole shard there
    for what, source in (("every second byte of an array", wide[::2]), ("a str", "EVT1"), ("None", None)):
        try:
            built.parse(source)
        except (TypeError, ValueError, BufferError):
            continue
        raise AssertionError(f"{what} is no block of bytes, and parse takes it")


@pytest.mark.finds("out-of-bounds", at="survey")
def test_500_truncations_are_refused(built, rng, guard):
    data = shard_of(random_records(rng, 20))
    edge = guard.array(np.frombuffer(data, np.uint8))
    for length in [*range(40), *rng.integers(40, len(data), 460).tolist()]:
        edge[len(data) - length :] = np.frombuffer(data[:length], np.uint8)
        expect_same(built, edge[len(data) - length :], f"a shard cut off after {length} of {len(data)} bytes")


def flip(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return changed


@pytest.mark.finds("wrong-result", at="survey")
@pytest.mark.parametrize("where", ["anywhere", "in the lengths"])
def test_500_flipped_bits_are_found(built, rng, guard, where):
    data = shard_of(random_records(rng, 20))
    edge = guard.array(np.frombuffer(data, np.uint8))
    lengths = [8 * (at + byte) + bit for at in record_ends(data)[:-1] for byte in (13, 14, 15) for bit in range(8)]
    bits = rng.integers(0, 8 * len(data), 500).tolist() if where == "anywhere" else lengths
    for bit in bits:
        edge[:] = np.frombuffer(flip(data, bit), np.uint8)
        expect_same(built, edge, f"bit {bit % 8} of byte {bit // 8} flipped in a shard of {len(data)} bytes")


@pytest.mark.finds("wrong-result", at="survey")
def test_bytes_after_the_last_record_are_refused(built, rng):
    records = random_records(rng, 3)
    for extra in (b"\0", bytes(20), records[0]):
        expect_damage(built, shard_of(records) + extra, 3, f"{len(extra)} bytes after the last of 3 records")


@pytest.mark.finds("wrong-result", at="parse")
def test_a_wrong_header_is_refused(built, guard):
    for start in (b"", b"EVT", b"EVT1\0\0\0", b"EVT2\0\0\0\0", b"evt1\0\0\0\0"):
        expect_damage(built, guard.array(np.frombuffer(start, np.uint8)), -1, f"a shard that begins with {start!r}")


@pytest.mark.finds("out-of-bounds", at="parse")
@pytest.mark.parametrize("side", ["before", "after"])
def test_nothing_outside_the_shard_is_read(built, rng, guard, side):
    data = shard_of(random_records(rng, 30))
    compare(built.parse(guard.array(np.frombuffer(data, np.uint8), side=side, readonly=True)), data)


@pytest.mark.finds("out-of-memory", at="parse")
@pytest.mark.parametrize("count", [2**32 - 1, 2**27])
def test_the_count_in_the_header_is_not_believed(built, rng, count):
    """A file of a few hundred bytes that asks for gigabytes. Only 512 MB of addresses are there for it."""
    data = b"EVT1" + struct.pack("<I", count) + b"".join(random_records(rng, 5))
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * mmap.PAGESIZE
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20), old[1]))
    try:
        expect_damage(built, data, 5, f"5 records, {count} according to the header")
    except MemoryError:
        raise AssertionError(f"{len(data)} bytes that claim {count} records: columns are allocated unseen") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


LONG = 128 << 10  # bytes of each record of the shard below: whole pages
REPEATED = 32  # records that lie in memory once and are mapped again and again


def over_4_gib(last):
    """(bytes-like, records): a shard of 4 GiB and one record, of which only 4 MiB and the record `last` are real.

    Around it lie 4 GiB of protected addresses, where an offset that has wrapped ends up.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    block, gap, page = REPEATED * LONG, 1 << 32, mmap.PAGESIZE
    rounds = (1 << 32) // block
    size = 8 + (1 << 32) + LONG
    shared, reserve, fixed = mmap.MAP_SHARED, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, 0x10
    base = libc.mmap(None, 2 * gap + page + size + LONG, 0, reserve, -1, 0)
    assert base not in (None, 2**64 - 1), "12 GiB of addresses can't be reserved here"
    fd = os.memfd_create("shard")
    head = b"EVT1" + struct.pack("<I", rounds * REPEATED + 1)
    one = encode(7, 8, 1, b"\x01" * 1020, b"\x02" * (LONG - 20 - 1020))
    os.write(fd, head.rjust(page, b"\0") + one * REPEATED + last)
    start = base + gap
    places = [(start, page, 0), *((start + page + i * block, block, page) for i in range(rounds))]
    for address, length, offset in [*places, (start + page + rounds * block, LONG, page + block)]:
        got = libc.mmap(address, length, mmap.PROT_READ | mmap.PROT_WRITE, shared | fixed, fd, offset)
        assert got == address, "a part of the shard can't be mapped here"
    os.close(fd)
    crash.guard(base, start)
    crash.guard(start + page + rounds * block + LONG, base + 2 * gap)
    return (ctypes.c_uint8 * size).from_address(start + page - 8), rounds * REPEATED + 1


@pytest.mark.finds("wrong-result", at="survey")
def test_a_shard_of_more_than_4_gib_is_walked_to_its_end(built):
    wrong = encode(7, 8, 1, b"\x01" * 1020, b"\x03" * (LONG - 20 - 1020))[:-1] + b"\xff"
    shard, count = over_4_gib(wrong)
    expect_damage(built, shard, count - 1, f"a shard of 4 GiB, damaged in the last of its {count} records")


def damaged(data, kind):
    """`data` with one damage; `kind` is one of KINDS."""
    return {
        "header": b"EVT0" + data[4:],
        "short header": data[:7],
        "cut off": data[:-1],
        "checksum": data[:-1] + bytes([data[-1] ^ 1]),
        "bytes left": data + b"\0",
    }[kind]


KINDS = ("header", "short header", "cut off", "checksum", "bytes left")


@pytest.mark.finds("buffer-not-released", at="parse")
@pytest.mark.parametrize("kinds", [("whole",), KINDS], ids=["whole shard", "damaged shards"])
def test_the_buffer_is_given_back(built, rng, kinds):
    data = shard_of(random_records(rng, 20))
    for kind in kinds:
        source = bytearray(data if kind == "whole" else damaged(data, kind))
        try:
            built.parse(source)
        except ValueError:
            assert kind != "whole", "a whole shard is refused"
        try:
            source.append(0)
        except BufferError:
            text = f"after a call ({kind}) the bytearray is still locked: its buffer is not released"
            raise AssertionError(text) from None


@pytest.mark.finds("ref-leak", at="parse")
@pytest.mark.parametrize("kind", ["whole", "header", "checksum"])
def test_a_call_gives_back_every_reference(built, refs, rng, kind):
    data = shard_of(random_records(rng, 20))
    refs(built.parse, data if kind == "whole" else damaged(data, kind))


@pytest.mark.finds("memory-leak", at="parse")
@pytest.mark.parametrize("kind", ["whole", "checksum"])
def test_no_memory_is_kept(built, memory, rng, kind):
    data = shard_of(random_records(rng, 100))
    source = data if kind == "whole" else damaged(data, kind)

    def call():
        try:
            return built.parse(source)
        except ValueError:
            return None

    memory.leak(call)


@pytest.mark.finds("hidden-copy", at="parse")
def test_memory_is_the_columns_and_little_else(built, memory, rng):
    data = bytearray(large_shard(rng))
    built.parse(shard_of(random_records(rng, 20)))
    result, peak = memory.peak(built.parse, data)
    columns = sum(column.nbytes for column in result)
    text = f"a call needs {peak / 1e6:.1f} MB for columns of {columns / 1e6:.1f} MB: is there a copy, or objects?"
    assert peak < columns + len(data) / 2 + (1 << 20), text


def test_other_threads_run_meanwhile(built, gil, rng):
    gil.check(built.parse, large_shard(rng, repeats=1600), at_least=0.4)


def attempts_during(call, source):
    """(share of the call, could `source` be resized) of each attempt to resize it while `call(source)` runs."""
    span: list[float] = []

    def work():
        span.append(time.perf_counter())
        call(source)
        span.append(time.perf_counter())

    thread = threading.Thread(target=work)
    thread.start()
    tries = []
    while thread.is_alive():
        now = time.perf_counter()
        try:
            source.append(0)
        except BufferError:
            tries.append((now, False))
        else:
            source.pop()
            tries.append((now, True))
        time.sleep(0.0002)
    thread.join()
    if len(span) < 2:
        return []
    return [((now - span[0]) / (span[1] - span[0]), resized) for now, resized in tries]


@pytest.mark.finds("lifetime", at="parse")
def test_the_buffer_is_pinned_while_others_run(built, rng):
    source = bytearray(large_shard(rng))
    source.append(0)  # leaves room to grow, so that a resize which should have failed does not move the bytes
    source.pop()
    seen = [resized for _ in range(5) for share, resized in attempts_during(built.parse, source) if 0.1 < share < 0.9]
    # Where the GIL is held nobody can try, and another check says so.
    assert not any(seen), f"another thread resized the bytearray during the call, {sum(seen)} of {len(seen)} times"


def together(call, sources):
    """What call(source) returns, for all sources at the same time."""
    start, got = threading.Barrier(len(sources)), [None] * len(sources)

    def work(place):
        start.wait()
        got[place] = call(sources[place])

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(sources))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def outcome(parse, source):
    """The columns, or the exception that refuses them."""
    try:
        return parse(source)
    except (ValueError, RuntimeError) as error:
        return error


def mixed(parse, sources, alone):
    """What is wrong when all sources are parsed at the same time, four times; empty when nothing is."""
    for _ in range(4):
        for mine, right in zip(together(lambda one: outcome(parse, one), sources), alone, strict=True):
            if isinstance(mine, Exception):
                return f"a whole shard is refused while others are parsed: {mine}"
            for name, got, want in zip(NAMES, mine, right, strict=True):
                if got.tobytes() != want.tobytes():
                    return f"{name} differ when three threads parse at the same time"
    return ""


@pytest.mark.finds("wrong-result", at="parse")
def test_calls_at_the_same_time_do_not_mix(built, rng):
    """Without the GIL calls overlap: what one of them knows must not lie in a static variable.

    What is mixed up may be a result or an address: a crash says the same.
    """
    # Records of the same lengths: what is mixed up differs, no more. So many that a call takes longer than a thread may
    # run at a stretch: the calls overlap on a single free core, too.
    times = rng.integers(1 << 63, size=(3, 500)).tolist()
    sources = [shard_of([encode(at, 1, 2, rng.bytes(12), rng.bytes(10)) for at in row] * 400) for row in times]
    alone = [built.parse(source) for source in sources]
    reply = run_forked(lambda: mixed(built.parse, sources, alone), 60)
    ended = signal.Signals(reply.signal).name if reply.signal else reply.error
    assert not ended, f"three threads parse at the same time, and that ends by {ended}"
    assert not reply.value, reply.value


def padding(records):
    """A record with which both columns end at a multiple of 16 bytes: malloc leaves room for 8 bytes more there.

    Who writes four too many then destroys nothing, and the check can say what happened.
    """
    features, tokens = (
        sum(int.from_bytes(one[at:end], "little") for one in records) for at, end in ((13, 14), (14, 16))
    )
    return encode(1, 2, 3, bytes(4 * (-features % 4)), bytes(2 * (-tokens % 8)))


@pytest.mark.finds("out-of-bounds", at="fill")
@pytest.mark.parametrize("column", ["features", "tokens"])
def test_a_shard_that_changes_meanwhile_does_not_overrun_the_columns(built, rng, column):
    """A thread swaps the last record for one of the same length, which has more of one kind and less of the other."""
    some, others = (encode(1, 2, 3, b"", b"\1" * 4), encode(1, 2, 3, b"\1" * 4, b""))
    records = random_records(rng, 500) * 400  # long enough for the thread to get its turn in each of the passes
    records.append(padding(records))
    source = np.frombuffer(bytearray(shard_of([*records, some])), np.uint8)
    faces = [np.frombuffer(face, np.uint8) for face in (some, others)]
    last, stop, offsets = source[-len(some) :], threading.Event(), {"features": 3, "tokens": 5}[column]

    def swap():
        while not stop.is_set():
            for face in faces:
                last[:] = face

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(40):
            columns = outcome(built.parse, source)
            if not isinstance(columns, Exception):
                end, room = int(columns[offsets][-1]), len(columns[offsets + 1])
                text = f"the shard changed between the passes: {column} were written up to {end} in a column of {room}"
                assert end <= room, text
    finally:
        stop.set()
        thread.join()


@pytest.mark.finds("error-path", at="parse")
def test_failures_on_the_way_are_noticed(built, faults, rng):
    faults(built.parse, shard_of(random_records(rng, 20)))
