"""Checks of ffi-batch: the rows, the crossings, what is held at a time, and the cost model."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from itertools import count, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutor.core.finding import Finding
from tutor.worker.defects import Defects

WORDS = ["the", "cat", "", "über", "naïve", "東京", "a\0b", "🙂", "x" * 300, "the", "cat sat"]


def fnv1a(data):
    """The hash in Python: `http://www.isthe.com/chongo/tech/comp/fnv/`."""
    value = 2166136261
    for byte in data:
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def rows_of(tokens, rows):
    """The right rows."""
    return [fnv1a(token.encode()) % rows for token in tokens]


class Counting(ctypes.CDLL):
    """The same library; `calls` gets the name of each function that is called, after `before()`."""

    def __init__(self, path, before=lambda: None):
        super().__init__(path)
        calls = self.calls = []

        class Counted(self._FuncPtr):
            _flags_ = self._FuncPtr._flags_
            _restype_ = self._FuncPtr._restype_

            def __call__(self, *args):
                before()
                calls.append(self.__name__)
                return super().__call__(*args)

        self._FuncPtr = Counted


@pytest.fixture
def api(artifact):
    """The learner's api.py."""
    spec = importlib.util.spec_from_file_location("learner_api", artifact.sources["api.py"])
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise Defects(Finding("build", f"api.py: {error.msg}", "api.py", error.lineno)) from error
    return module


def words(rng, number):
    """`number` short ASCII tokens."""
    return [f"w{value:x}" for value in rng.integers(0, 1 << 30, number).tolist()]


def streamed(api, library, tokens, rows, chunk):
    """All rows of a stream, as one list."""
    return [row for part in api.hash_stream(library, tokens, rows, chunk) for row in part.tolist()]


def batch_of(built, text, offsets, out, rows):
    """hash_batch, called with addresses."""
    address = ctypes.c_void_p
    call = ctypes.CFUNCTYPE(None, address, address, ctypes.c_size_t, ctypes.c_uint32, address)(
        ctypes.cast(built.hash_batch, address).value
    )
    call(text.ctypes.data, offsets.ctypes.data, len(out), rows, out.ctypes.data)


@pytest.mark.finds("wrong-result", at="hash_batch")
@pytest.mark.parametrize("tokens", [["a"], ["foobar", ""], ["", "", "x"], WORDS, []], ids=["1", "2", "3", "many", "0"])
def test_the_c_batch_hashes_each_token(built, tokens):
    pieces = [token.encode() for token in tokens]
    text = np.frombuffer(b"".join(pieces) + b"!", np.uint8)
    offsets = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
    out = np.full(len(tokens), 77, np.uint32)
    batch_of(built, text, offsets, out, 2**32 - 1)
    want = rows_of(tokens, 2**32 - 1)
    assert out.tolist() == want, f"hash_batch of {tokens!r:.60}: {out.tolist()}, want {want}"


@pytest.mark.finds("out-of-bounds", at="hash_batch")
@pytest.mark.parametrize("number", [50, 1, 0])
@pytest.mark.parametrize("side", ["after", "before"])
def test_the_c_batch_stays_inside_its_arrays(built, guard, rng, number, side):
    tokens = words(rng, number)
    data = "".join(tokens).encode()
    text = guard.array(np.frombuffer(data, np.uint8), side=side)
    offsets = guard.array(np.cumsum([0, *map(len, tokens)], dtype=np.int64), side=side)
    out = guard.array(np.zeros(len(tokens), np.uint32), side=side)
    batch_of(built, text, offsets, out, 1000)
    if out.tolist() != rows_of(tokens, 1000):
        raise Defects(Finding("wrong-result", f"hash_batch: {number} tokens gave wrong rows"))


@pytest.mark.finds("wrong-result", at="pack")
@pytest.mark.parametrize("kind", ["ascii", "not ascii", "mixed", "none", "empty strings"])
def test_pack_counts_bytes(api, kind):
    tokens = {
        "ascii": ["to", "be", "or"],
        "not ascii": ["über", "東京"],
        "mixed": WORDS,
        "none": [],
        "empty strings": ["", ""],
    }[kind]
    data, offsets = api.pack(tokens)
    want = np.cumsum([0, *(len(token.encode()) for token in tokens)])
    assert bytes(data) == "".join(tokens).encode(), f"{kind}: the bytes are not those of the tokens, end to end"
    assert offsets.dtype == np.int64, f"{kind}: offsets are {offsets.dtype}, C reads int64"
    assert offsets.tolist() == want.tolist(), f"{kind}: offsets {offsets.tolist()}, want {want.tolist()} (in bytes)"


@pytest.mark.finds("wrong-result", at="hash_stream")
@pytest.mark.parametrize(("number", "chunk"), [(0, 4), (1, 4), (8, 4), (9, 4), (7, 1), (3, 100), (4097, 4096)])
def test_a_stream_gives_a_row_for_each_token(built, api, rng, number, chunk):
    tokens = words(rng, number)
    got = streamed(api, built, iter(tokens), 50_000, chunk)
    assert len(got) == number, f"{number} tokens in chunks of {chunk}: {len(got)} rows"
    assert got == rows_of(tokens, 50_000), f"{number} tokens in chunks of {chunk}: rows differ from the hash of each"


@pytest.mark.finds("wrong-result", at="hash_stream")
def test_arrays_have_the_chunk_size_and_type(built, api, rng):
    parts = list(api.hash_stream(built, words(rng, 10), 100, 4))
    assert [len(part) for part in parts] == [4, 4, 2], f"10 tokens by 4: arrays of {[len(part) for part in parts]}"
    assert all(part.dtype == np.uint32 for part in parts), f"arrays of {parts[0].dtype}, want uint32"


@pytest.mark.finds("wrong-result", at="pack")
@settings(max_examples=30, deadline=None, database=None)
@given(tokens=st.lists(st.text("aZ9 \0ßé東🙂", max_size=6), max_size=20), chunk=st.integers(1, 7))
def test_any_text_in_any_chunks(built, api, tokens, chunk):
    got = streamed(api, built, tokens, 1009, chunk)
    assert got == rows_of(tokens, 1009), f"{tokens!r} in chunks of {chunk}: {got}, want {rows_of(tokens, 1009)}"


@pytest.mark.finds("slow", at="hash_stream")
@pytest.mark.parametrize(("number", "chunk"), [(1000, 100), (1001, 100), (50, 100)])
def test_one_crossing_for_each_chunk(artifact, api, rng, number, chunk):
    library = Counting(artifact.path)
    streamed(api, library, words(rng, number), 1000, chunk)
    want = -(-number // chunk)
    assert len(library.calls) <= want, (
        f"{number} tokens in chunks of {chunk}: {len(library.calls)} calls into the library, want {want}"
    )


@pytest.mark.finds("hidden-copy", at="hash_stream")
def test_no_more_than_a_chunk_is_held(built, api):
    drawn = 0

    def tokens():
        nonlocal drawn
        for number in range(1000):
            drawn += 1
            yield f"t{number}"

    for index, part in enumerate(api.hash_stream(built, tokens(), 1000, 10)):
        given = index * 10 + len(part)
        assert drawn <= given + 1, f"{drawn} tokens were drawn to give the first {given}: draw a chunk, hash, yield"


@pytest.mark.finds("hidden-copy", at="hash_stream")
def test_an_endless_stream_starts_at_once(built, api):
    def tokens():
        for number in count():
            if number > 100_000:
                raise Defects(Finding("hidden-copy", "100,000 tokens were drawn before the first array was given"))
            yield f"t{number}"

    first = [part.tolist() for part in islice(api.hash_stream(built, tokens(), 1000, 16), 3)]
    if first != [rows_of([f"t{n}" for n in range(k, k + 16)], 1000) for k in (0, 16, 32)]:
        raise Defects(Finding("wrong-result", "the first three arrays of an endless stream are not right"))


@pytest.mark.finds("error-path", at="hash_stream")
@pytest.mark.parametrize("before", [0, 4, 6, 8])
def test_an_error_of_the_source_reaches_the_caller(built, api, rng, before):
    """A shard that can't be read must not look like the end of the stream: rows would be lost without a word."""
    known = words(rng, before)

    def tokens():
        yield from known
        raise OSError("shard 7 of 12 is truncated")

    got = []
    try:
        got.extend(row for part in api.hash_stream(built, tokens(), 1000, 4) for row in part.tolist())
    except OSError:
        want = rows_of(known, 1000)[: before - before % 4]
        assert got[: len(want)] == want, f"the chunks before the error: rows {got}, want {want}"
        return
    raise AssertionError(f"tokens raised OSError after {before} tokens: hash_stream ended as if that were all")


@pytest.mark.finds("lifetime", at="hash_stream")
def test_an_array_stays_right_after_the_next(built, api, rng):
    tokens = words(rng, 12)
    stream = api.hash_stream(built, tokens, 1000, 4)
    parts = [(part, part.tolist()) for part in stream]
    changed = [number for number, (part, was) in enumerate(parts) if part.tolist() != was]
    assert not changed, f"arrays {changed} changed when the next one was made: they share one buffer"


@pytest.mark.finds("lifetime", at="hash_stream")
@pytest.mark.parametrize("number", [3, 100, 40_000])
def test_what_c_reads_is_alive_during_the_call(artifact, api, rng, number):
    """An address keeps nothing alive. Whatever was freed before the call is overwritten with zeros here."""
    others = []
    tokens = words(rng, number)
    library = Counting(artifact.path, lambda: others.extend(np.full(number + 1, 0, np.int64) for _ in range(8)))
    got = streamed(api, library, tokens, 50_000, number)
    assert got == rows_of(tokens, 50_000), (
        f"{number} tokens: C read memory that had been freed; "
        "`pack(part)[1].ctypes.data` is a number: keep the array itself in a variable until the call is over"
    )


@pytest.mark.finds("wrong-result", at="predict")
@pytest.mark.parametrize(("tokens", "chunk", "crossings"), [(10, 4, 3), (8, 4, 2), (1, 4096, 1), (0, 5, 0), (7, 1, 7)])
def test_predict_counts_crossings_and_tokens(api, tokens, chunk, crossings):
    got = api.Cost(call=2.0, token=0.25).predict(tokens, chunk)
    want = crossings * 2.0 + tokens * 0.25
    assert got == pytest.approx(want), f"{tokens} tokens by {chunk}: {got} s, want {want} s ({crossings} crossings)"


@pytest.mark.finds("wrong-result", at="fit")
def test_two_clean_samples_give_the_costs(api):
    cost = api.fit([(1, 1.05e-6), (1001, 51.05e-6)])
    got = (cost.call, cost.token)
    assert got == pytest.approx((1e-6, 50e-9), rel=1e-3), f"(call, token) is {got}, want (1e-06, 5e-08)"


@pytest.mark.finds("numerics", at="fit")
@pytest.mark.parametrize("call", [0.5e-6, 2e-6, 20e-6])
def test_predictions_are_within_twice_at_every_size(api, rng, call):
    """Measured times wander by some percent. Sizes span five decades, and the small ones count as much as the large."""
    token = 50e-9
    for _ in range(20):
        sizes = rng.permutation([1, 1, 10, 100, 1000, 10_000, 100_000, 100_000]).tolist()  # measured in any order
        samples = [(size, (call + token * size) * rng.uniform(0.95, 1.05)) for size in sizes]
        cost = api.fit(samples)
        for size in (1, 30, 3000, 300_000):
            got, want = cost.predict(size, size), call + token * size
            assert want / 2 <= got <= want * 2, (
                f"a crossing with {size} tokens takes {want * 1e6:.2f} us, predicted {got * 1e6:.2f} us: "
                "is the error of the large samples burying the small ones?"
            )
