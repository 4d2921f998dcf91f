"""Checks of rs-minhash: the definition in Python's unbounded integers is the oracle; layouts, types, bounds, costs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = settings(max_examples=100, deadline=None, database=None, derandomize=False)
MASK = (1 << 64) - 1
EMPTY = 0xFFFFFFFF
NUMBERS = st.integers(0, MASK) | st.sampled_from([0, 1, 2, 1 << 32, (1 << 63) - 1, 1 << 63, MASK])


def sequence(seed, count):
    """SplitMix64, from its definition."""
    state, drawn = seed, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        drawn.append(z ^ (z >> 31))
    return drawn


def define(num_perm, seed, documents):
    """The signatures of lists of numbers, by definition."""
    drawn = sequence(seed, 2 * num_perm)
    functions = [(drawn[2 * i] | 1, drawn[2 * i + 1]) for i in range(num_perm)]
    rows = [
        [min((((a * x + b) & MASK) >> 32 for x in text), default=EMPTY) for a, b in functions] for text in documents
    ]
    return np.array(rows, np.uint32).reshape(len(documents), num_perm)


def packed(documents):
    """Lists of numbers as (shingles, offsets)."""
    offsets = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    return np.array([x for text in documents for x in text], np.uint64), offsets


def call(what, *args):
    """Call, with a Rust panic turned into a failure that says so."""
    try:
        return what(*args)
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise AssertionError(f"{what.__name__} panicked: {error}") from None
        raise


def signatures(built, num_perm, seed, shingles, offsets):
    return call(call(built.MinHasher, num_perm, seed).signatures, shingles, offsets)


def compare(got, want, why):
    assert isinstance(got, np.ndarray), f"{why}: return a NumPy array, not {type(got).__name__}"
    assert (got.shape, got.dtype) == (want.shape, want.dtype), (
        f"{why}: got {got.dtype} of shape {got.shape}, want {want.dtype} of shape {want.shape}"
    )
    wrong = np.argwhere(got != want)
    if len(wrong):
        d, i = wrong[0].tolist()
        raise AssertionError(
            f"{why}: document {d}, function {i}: got {got[d, i]:#x}, want {want[d, i]:#x} "
            f"({len(wrong)} of {want.size} numbers are wrong)"
        )


def expect(built, num_perm, seed, documents, why):
    compare(signatures(built, num_perm, seed, *packed(documents)), define(num_perm, seed, documents), why)


def refuses(error, built, shingles, offsets, why):
    """The call must raise `error`: no panic, no other exception, no result."""
    hasher = call(built.MinHasher, 4, 1)
    try:
        got = call(hasher.signatures, shingles, offsets)
    except error:
        return
    except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as other:
        raise AssertionError(f"{why}: want {error.__name__}, got {type(other).__name__}: {other}") from None
    raise AssertionError(f"{why}: want {error.__name__}, but it returned {got!r}")


def collection(rng, count=20, most=40):
    """Documents of random numbers, as lists."""
    return [
        rng.integers(0, MASK, int(size), np.uint64, endpoint=True).tolist() for size in rng.integers(0, most, count)
    ]


@pytest.mark.finds("wrong-result", at="new")
def test_functions_come_from_the_sequence_of_the_seed(built, rng):
    # 0 gives the addend alone, 1 adds the multiplier
    for seed in (0, 1, MASK, int(rng.integers(1 << 63))):
        for document in ([0], [1], [1 << 33]):
            expect(built, 4, seed, [document], f"seed {seed}, the document {document}")


@pytest.mark.finds("wrong-result", at="new")
def test_functions_differ_from_each_other(built, rng):
    row = signatures(built, 128, int(rng.integers(1 << 63)), *packed([[5]]))[0]
    assert len(set(row.tolist())) > 120, f"128 functions give {len(set(row.tolist()))} different hashes of one number"


@pytest.mark.finds("wrong-result", at="signatures")
def test_many_documents_and_a_long_one(built, rng):
    """More than any block that one may work in: 5,000 short documents, then one of 20,000 numbers."""
    expect(built, 2, 3, collection(rng, 5000, 3), "5,000 short documents")
    expect(built, 2, 3, [rng.integers(0, MASK, 20_000, np.uint64, endpoint=True).tolist()], "one document of 20,000")


@pytest.mark.finds("wrong-result", at="new")
def test_no_function_at_all_is_a_value_error(built):
    with pytest.raises(ValueError):
        call(built.MinHasher, 0, 1)
    for num_perm, seed in ((-1, 1), (1, -1), (1, 1 << 64)):
        with pytest.raises(OverflowError):
            call(built.MinHasher, num_perm, seed)


@pytest.mark.finds("wrong-result", at="signatures")
def test_products_wrap_around(built):
    for x in (1 << 32, 1 << 63, MASK, MASK - 1, 0x9E3779B97F4A7C15):
        expect(built, 16, 3, [[x]], f"the hashes of {x:#x} are taken modulo 2^64")


@pytest.mark.finds("wrong-result", at="signatures")
def test_smallest_hash_of_each_document(built, rng):
    documents = collection(rng)
    expect(built, 8, 5, documents, "20 random documents")
    expect(built, 8, 5, documents[:1], "one document")


@pytest.mark.finds("wrong-result", at="signatures")
def test_any_number_of_functions(built, rng):
    for num_perm in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 128, 130):
        expect(built, num_perm, 11, collection(rng, 3, 6), f"{num_perm} functions")


@pytest.mark.finds("wrong-result", at="signatures")
def test_empty_documents_keep_their_row(built):
    expect(built, 4, 1, [[], [1, 2], [], [], [3], []], "an empty document is a row of 2^32 - 1")
    expect(built, 4, 1, [[], []], "two empty documents")
    expect(built, 4, 1, [], "no documents: an array of shape (0, 4)")


@pytest.mark.finds("wrong-result", at="signatures")
def test_offsets_may_leave_gaps_at_both_ends(built, rng):
    shingles = rng.integers(0, MASK, 30, np.uint64)
    got = signatures(built, 4, 1, shingles, np.array([3, 10, 12, 25], np.int64))
    want = define(4, 1, [shingles[a:b].tolist() for a, b in ((3, 10), (10, 12), (12, 25))])
    compare(got, want, "offsets 3, 10, 12, 25 of 30 shingles")


@pytest.mark.finds("wrong-result", at="signatures")
def test_random_documents_agree_with_the_definition(built):
    @SETTINGS
    @given(st.lists(st.lists(NUMBERS, max_size=6), max_size=5), st.integers(1, 20), NUMBERS)
    def agree(documents, num_perm, seed):
        expect(built, num_perm, seed, documents, f"{num_perm} functions of seed {seed} on {documents}")

    agree()


@pytest.mark.finds("wrong-result", at="signatures")
def test_equal_columns_estimate_the_jaccard_similarity(built, rng):
    documents, truth = [], []
    for _ in range(150):
        shared, own = (int(n) for n in rng.integers(5, 100, 2))
        numbers = rng.integers(0, MASK, shared + 2 * own, np.uint64).tolist()
        documents += [numbers[: shared + own], numbers[:shared] + numbers[shared + own :]]
        truth.append(shared / (shared + 2 * own))
    rows = signatures(built, 128, int(rng.integers(1 << 63)), *packed(documents))
    error = float(np.sqrt(np.mean(((rows[::2] == rows[1::2]).mean(axis=1) - truth) ** 2)))
    assert error < 0.07, f"root mean square error {error:.3f} over 150 pairs; 128 independent functions give about 0.04"


@pytest.mark.finds("layout", at="signatures")
def test_every_layout_gives_the_same_signatures(built, rng, variants):
    documents = collection(rng)
    shingles, offsets = packed(documents)
    want = define(8, 5, documents)
    for kind, made in variants(shingles, ("contiguous", "strided", "negative", "readonly")):
        compare(accepted(built, kind, made, offsets), want, f"shingles: {kind}")
    for kind, made in variants(offsets, ("strided", "negative", "readonly")):
        compare(accepted(built, kind, shingles, made), want, f"offsets: {kind}")
    column = np.ascontiguousarray(np.stack([shingles, ~shingles], axis=1))[:, 0]
    compare(accepted(built, "a column", column, offsets), want, "shingles: a column of a table")


def accepted(built, kind, shingles, offsets):
    try:
        return signatures(built, 8, 5, shingles, offsets)
    except (ValueError, TypeError, RuntimeError) as error:
        raise AssertionError(f"{kind} arrays must be taken as they are: {type(error).__name__}: {error}") from None


@pytest.mark.finds("layout", at="signatures")
def test_misaligned_arrays_are_value_errors(built, rng, variants):
    """x86 reads them right and hides that the compiler may rely on alignment."""
    shingles, offsets = packed(collection(rng, 5, 10))
    for kind, made in variants(shingles, ("misaligned",)):
        refuses(ValueError, built, made, offsets, f"{kind} shingles")
    for kind, made in variants(offsets, ("misaligned",)):
        refuses(ValueError, built, shingles, made, f"{kind} offsets")


@pytest.mark.finds("dtype", at="signatures")
def test_other_types_are_type_errors(built):
    offsets = np.array([0, 2], np.int64)
    for dtype in (np.int64, np.uint32, np.float64, np.float32, ">u8", object):
        refuses(TypeError, built, np.array([1, 2], dtype), offsets, f"shingles of type {np.dtype(dtype)}")
    shingles = np.array([1, 2], np.uint64)
    for dtype in (np.uint64, np.int32, np.float64, ">i8"):
        refuses(TypeError, built, shingles, offsets.astype(dtype), f"offsets of type {np.dtype(dtype)}")
    refuses(TypeError, built, [1, 2], offsets, "a list of shingles")
    refuses(TypeError, built, shingles.reshape(1, 2), offsets, "shingles of two dimensions")


@pytest.mark.finds("out-of-bounds", at="ranges")
def test_offsets_out_of_range_are_value_errors(built, guard):
    shingles = guard.array(np.arange(1, 11, dtype=np.uint64))
    for offsets in (
        [0, 11],
        [0, 5, 11],
        [-1, 5],
        [5, 3],
        [0, 8, 2, 10],
        [11, 11],
        [-3, -1],
        [0, 1 << 62],
        [-(1 << 63), 5],
    ):
        refuses(ValueError, built, shingles, np.array(offsets, np.int64), f"offsets {offsets} of 10 shingles")
    refuses(ValueError, built, shingles, np.array([], np.int64), "offsets without a number")


@pytest.mark.finds("out-of-bounds", at="signatures")
def test_nothing_outside_the_arrays_is_read(built, rng, guard):
    documents = collection(rng)
    want = define(16, 2, documents)
    for side in ("after", "before"):
        shingles, offsets = (guard.array(array, side=side, readonly=True) for array in packed(documents))
        compare(signatures(built, 16, 2, shingles, offsets), want, f"a protected page {side} the arrays")


@pytest.mark.finds("hidden-copy", at="signatures")
def test_shingles_are_not_copied(built, rng, memory):
    shingles = rng.integers(0, MASK, 4_000_000, np.uint64)
    offsets = np.array([0, 1_000_000, 2_000_000], np.int64)
    hasher = call(built.MinHasher, 2, 1)
    for kind, view in (("contiguous", shingles), ("every second number", shingles[::2])):
        call(hasher.signatures, view, offsets[:1])
        _, peak = memory.peak(hasher.signatures, view, offsets)
        assert peak < view.nbytes / 4, (
            f"{kind}: the call takes {peak / 1e6:.1f} MB for {view.nbytes / 1e6:.0f} MB of shingles: they are copied"
        )


@pytest.mark.finds("wrong-result", at="signatures")
def test_result_is_a_fresh_writable_array(built, rng):
    shingles, offsets = packed(collection(rng))
    hasher = call(built.MinHasher, 8, 5)
    first = call(hasher.signatures, shingles, offsets)
    kept = first.copy()
    assert first.flags.writeable, "the result must be writable"
    assert first.flags.c_contiguous, "the rows must lie one after the other (C order)"
    first[:] = 0
    compare(call(hasher.signatures, shingles, offsets), kept, "the same call again, after its first result was changed")


@pytest.mark.finds("ref-leak", at="signatures")
def test_references_and_memory_are_given_back(built, rng, refs, memory):
    shingles, offsets = packed(collection(rng))
    hasher = call(built.MinHasher, 8, 5)
    refs(hasher.signatures, shingles, offsets)
    memory.leak(hasher.signatures, shingles, offsets)


@pytest.mark.finds("ref-leak", at="signatures")
def test_a_refused_call_gives_references_back(built, refs):
    hasher = call(built.MinHasher, 8, 5)
    refs(refused, hasher, np.arange(5, dtype=np.uint64), np.array([0, 9], np.int64))


def refused(hasher, shingles, offsets):
    try:
        call(hasher.signatures, shingles, offsets)
    except ValueError:
        return
    raise AssertionError("offsets 0, 9 of 5 shingles must be a ValueError")
