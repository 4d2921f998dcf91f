"""Checks of capi-gil: published checksums, protected pages, the GIL, memory pinned meanwhile and released after."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# RFC 3720, B.4, and the check value of the catalogue of parametrised CRC algorithms
VECTORS = {
    b"123456789": 0xE3069283,
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(range(31, -1, -1)): 0x113FDB5C,
    b"": 0,
}


def python_table():
    table = list(range(256))
    for _ in range(8):
        table = [(crc >> 1) ^ (0x82F63B78 if crc & 1 else 0) for crc in table]
    return table


TABLE = python_table()


def reference(data, value=0):
    crc = value ^ 0xFFFFFFFF
    for byte in bytes(data):
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def sums_of(data, block):
    return np.array([reference(data[start : start + block]) for start in range(0, len(data), block)], np.uint32)


def same_sum(built, data, value=0, what="data"):
    got, want = built.crc32c(data, value), reference(data, value)
    assert got == want, f"{what} (value {value:#x}): got {got:#x}, want {want:#x}"


@pytest.mark.finds("wrong-result", at="crc32c")
def test_published_checksums_come_out(built):
    for data, want in VECTORS.items():
        got = built.crc32c(data)
        assert got == want, f"crc32c({data[:12]!r}, {len(data)} bytes) is {got:#x}, want {want:#x}"


@settings(max_examples=60, deadline=None, database=None)
@given(first=st.binary(max_size=70), second=st.binary(max_size=70))
def test_a_checksum_can_be_continued(built, first, second):
    got, want = built.crc32c(second, built.crc32c(first)), reference(first + second)
    assert got == want, f"{len(first)} bytes, then {len(second)}: got {got:#x}, want {want:#x}"


@pytest.mark.finds("wrong-result", at="crc32c")
def test_a_value_of_more_than_32_bits_is_refused(built):
    same_sum(built, b"abc", 2**32 - 1)
    for value in (-1, 2**32, 2**64, 2**64 - 1):
        with pytest.raises((OverflowError, ValueError)):
            built.crc32c(b"abc", value)
    with pytest.raises(TypeError):
        built.crc32c(b"abc", "0")


@pytest.mark.finds("wrong-result", at="crc32c")
def test_any_contiguous_buffer_will_do(built, rng):
    data = rng.bytes(1001)
    for source in (bytearray(data), memoryview(data), np.frombuffer(data, np.uint8), memoryview(data)[1:]):
        same_sum(built, source, what=type(source).__name__)
    for source in (np.frombuffer(data, np.uint8)[::2], "text", None):
        with pytest.raises((TypeError, ValueError, BufferError)):
            built.crc32c(source)


@pytest.mark.finds("out-of-bounds", at="extend")
@pytest.mark.parametrize("side", ["before", "after"])
def test_nothing_beyond_the_data_is_read(built, rng, guard, side):
    for size in [*range(34), 4095, 4096, 4097]:
        data = guard.array(rng.integers(0, 256, size, np.uint8), side=side, readonly=True)
        same_sum(built, data, what=f"{size} bytes")


def complaint(built, shard, block, expected):
    """The text of the ValueError, '' when verify accepts."""
    try:
        result = built.verify(shard, block, expected)
    except ValueError as error:
        return str(error) or "a ValueError without a text"
    assert result is None, f"verify returns None, not {result!r}"
    return ""


@pytest.mark.finds("wrong-result", at="verify")
def test_whole_shards_are_accepted(built, rng):
    data = rng.bytes(1000)
    for block in (1, 7, 100, 999, 1000, 1001, 2**62):
        said = complaint(built, data, block, sums_of(data, min(block, 1000)))
        assert not said, f"1000 bytes in blocks of {block}, all right: refused ({said})"
    assert not complaint(built, b"", 8, np.zeros(0, np.uint32)), "a shard without blocks is refused"


@pytest.mark.finds("wrong-result", at="verify")
def test_the_first_damaged_block_is_named(built, rng):
    data = rng.bytes(1000)
    for block in (64, 250, 999):
        for byte in (0, 63, 64, 500, 999):
            damaged = bytearray(data)
            damaged[byte] ^= 16
            damaged[999] ^= 1
            said = complaint(built, damaged, block, sums_of(data, block))
            assert f"block {byte // block} " in said + " ", (
                f"byte {byte} is damaged, blocks of {block}: want a ValueError that names 'block {byte // block}', "
                f"got {said or 'none'}"
            )


@pytest.mark.finds("out-of-bounds", at="verify")
def test_verify_stays_inside_shard_and_checksums(built, rng, guard):
    for size, block in ((1000, 64), (1024, 64), (5, 8), (64, 64)):
        data = guard.array(rng.integers(0, 256, size, np.uint8), readonly=True)
        sums = sums_of(data.tobytes(), block)
        said = complaint(built, data, block, guard.array(sums))
        assert not said, f"{size} bytes in blocks of {block}, all right: refused ({said})"
        for wrong in (sums[:-1], np.append(sums, sums[:1])):
            said = complaint(built, data, block, guard.array(wrong))
            assert said, f"{len(wrong)} checksums for {len(sums)} blocks are accepted"


@pytest.mark.finds("dtype", at="verify")
def test_checksums_of_other_types_are_refused(built, rng):
    data = rng.bytes(256)
    for dtype in ("int32", "float32", "uint64", "uint16", ">u4", "uint8"):
        sums = np.zeros(4, dtype)
        with pytest.raises(TypeError):
            built.verify(data, 64, sums)
    with pytest.raises((TypeError, ValueError, BufferError)):
        built.verify(data, 64, np.repeat(sums_of(data, 64), 2)[::2])


@pytest.mark.finds("wrong-result", at="verify")
def test_a_block_of_no_bytes_is_refused(built):
    for block in (0, -1):
        with pytest.raises(ValueError):
            built.verify(b"abc", block, np.zeros(0, np.uint32))


def large_job(rng, size=16 << 20, block=1 << 20):
    """A shard of equal blocks, the length of a block, and the right checksums."""
    part = rng.bytes(1 << 12) * (block >> 12)
    crc = 0
    for _ in range(block >> 12):
        crc = reference_of_page(part[: 1 << 12], crc)
    return bytearray(part * (size // block)), block, np.full(size // block, crc, np.uint32)


_pages: dict[bytes, list[int]] = {}


def reference_of_page(page, value):
    """The checksum of a page continued from `value`: each bit of `value` changes it in its own way, so 33 sums do."""
    effects = _pages.get(page)
    if effects is None:
        base = reference(page)
        effects = _pages[page] = [base, *(reference(page, 1 << bit) ^ base for bit in range(32))]
    crc = effects[0]
    for bit in range(32):
        if value >> bit & 1:
            crc ^= effects[bit + 1]
    return crc


def test_other_threads_run_during_crc32c(built, gil, rng):
    gil.check(built.crc32c, rng.bytes(1 << 20) * 48, at_least=0.4)


def test_other_threads_run_during_verify(built, gil, rng):
    shard, block, sums = large_job(rng, size=48 << 20)
    assert not complaint(built, shard, block, sums), "a large shard, all right, is refused"
    gil.check(built.verify, shard, block, sums, at_least=0.4)


def attempts_during(call, resize):
    """Whether `resize()` worked, at each attempt in the middle of `call()`."""
    span: list[float] = []

    def work():
        span.append(time.perf_counter())
        call()
        span.append(time.perf_counter())

    thread = threading.Thread(target=work)
    thread.start()
    tries = []
    while not span:
        time.sleep(0)
    while thread.is_alive():
        time.sleep(0.0002)
        now = time.perf_counter()
        tries.append((now, resize()))
    thread.join()
    if len(span) < 2:
        return []
    tenth = (span[1] - span[0]) / 10
    return [worked for now, worked in tries if span[0] + tenth < now < span[1] - tenth]


def resizer(source):
    """A function that makes a bytearray longer and shorter again; False where it is pinned."""
    source.append(0)  # leaves room to grow: a resize that should have failed does not move the bytes then
    source.pop()

    def resize():
        try:
            source.append(0)
        except BufferError:
            return False
        source.pop()
        return True

    return resize


@pytest.mark.finds("lifetime", at="crc32c")
def test_the_data_is_pinned_while_others_run(built, rng):
    data = bytearray(rng.bytes(1 << 20) * 16)
    resize = resizer(data)
    seen = [worked for _ in range(4) for worked in attempts_during(lambda: built.crc32c(data), resize)]
    # Where the GIL is held nobody can try, and another check says so.
    assert not any(seen), f"a thread resized the bytearray during the call, {sum(seen)} of {len(seen)} times"


@pytest.mark.finds("lifetime", at="verify")
@pytest.mark.parametrize("which", ["shard", "checksums"])
def test_shard_and_checksums_are_pinned_while_others_run(built, rng, which):
    shard, block, sums = large_job(rng)
    views, lenders = [], []

    def lend():
        """A memoryview of an array that nobody else holds; the memory itself is that of `sums`."""
        array = sums[:]
        lenders.append(weakref.ref(array))
        views.append(memoryview(array))

    def let_go():
        """Whether the array goes with the memoryview. A memoryview that verify has made of it keeps it as well."""
        with contextlib.suppress(BufferError):
            views[-1].release()
        return lenders[-1]() is None

    def call():
        built.verify(shard if which == "shard" else bytes_of_shard, block, views[-1] if which != "shard" else sums)

    bytes_of_shard, seen = bytes(shard), []
    resize = resizer(shard) if which == "shard" else let_go
    for _ in range(4):
        lend()
        seen += attempts_during(call, resize)[:1]
    assert not any(seen), f"the memory of the {which} could be taken away in the middle of the call"


def failing(kind, rng):
    """Arguments of verify that fail: (shard, block, checksums)."""
    data = bytearray(rng.bytes(256))
    sums = sums_of(bytes(data), 64)
    return {
        "nothing": (data, 64, sums),
        "checksum": (data, 64, sums ^ np.uint32(1)),
        "number of checksums": (data, 64, sums[:-1]),
        "type of checksums": (data, 64, sums.astype(np.int64)),
        "no checksums": (data, 64, 5),
    }[kind]


@pytest.mark.finds("buffer-not-released", at="verify")
def test_verify_gives_its_buffers_back(built, rng):
    for kind in ("nothing", "checksum", "number of checksums", "type of checksums", "no checksums"):
        shard, block, sums = failing(kind, rng)
        view = memoryview(sums) if kind != "no checksums" else None
        try:
            built.verify(shard, block, view if view is not None else sums)
        except (TypeError, ValueError, BufferError):
            assert kind != "nothing", "a right shard is refused"
        for name, let_go in (("shard", shard.clear), ("checksums", view.release if view is not None else int)):
            try:
                let_go()
            except BufferError:
                text = f"after verify (wrong: {kind}) the buffer of the {name} is still held"
                raise AssertionError(text) from None


@pytest.mark.finds("buffer-not-released", at="crc32c")
def test_crc32c_gives_its_buffer_back(built):
    for value in (0, 2**32, "x"):
        data = bytearray(b"abc")
        try:
            built.crc32c(data, value)
        except (TypeError, ValueError, OverflowError):
            assert value != 0, "the checksum of three bytes is refused"
        try:
            data.clear()
        except BufferError:
            raise AssertionError(f"after crc32c(data, {value!r}) the buffer is still held") from None


@pytest.mark.finds("ref-leak", at="verify")
@pytest.mark.parametrize("kind", ["nothing", "checksum"])
def test_verify_gives_back_every_reference(built, refs, rng, kind):
    refs(built.verify, *failing(kind, rng))


@pytest.mark.finds("ref-leak", at="crc32c")
def test_crc32c_gives_back_every_reference(built, refs, rng):
    refs(built.crc32c, rng.bytes(100), int(rng.integers(1 << 20, 1 << 32)))
