"""Checks of rs-bpe: the definition of BPE is the oracle, the `tokenizers` wheel a second one."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = settings(max_examples=150, deadline=None, database=None, derandomize=False)
A, B, C, D = 10, 11, 12, 13
# few letters and low indices: most merges then meet in the text
PICKS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=25)
TEXT = st.text(alphabet="abc", max_size=60)


def merge_table(picks, first_new):
    """Rows (left, right, merged) over tokens spelled with a, b, c, and the id of each spelling."""
    ids = {letter: A + i for i, letter in enumerate("abc")}
    spellings, rows, seen = list(ids), [], set()
    for i, j in picks:
        left, right = spellings[i % len(spellings)], spellings[j % len(spellings)]
        if (left, right) in seen:
            continue
        seen.add((left, right))
        if left + right not in ids:
            ids[left + right] = first_new + len(rows)
            spellings.append(left + right)
        rows.append((ids[left], ids[right], ids[left + right]))
    return rows, ids


def define(rows, ids):
    """BPE by definition: of all pairs of neighbours merge the one of lowest rank, leftmost first; repeat."""
    table = {(left, right): (rank, merged) for rank, (left, right, merged) in enumerate(rows)}
    ids = list(ids)
    while True:
        ranked = [(table[pair], i) for i, pair in enumerate(pairwise(ids)) if pair in table]
        if not ranked:
            return ids
        (_, merged), i = min(ranked)
        ids[i : i + 2] = [merged]


def encode(built, rows, ids):
    """Encode, with a Rust panic turned into a failure that says so."""
    try:
        return built.Bpe(rows).encode(ids)
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise AssertionError(f"Bpe({rows}).encode({ids}) panicked: {error}") from None
        raise


def expect(built, rows, ids, why):
    got, want = encode(built, rows, ids), define(rows, ids)
    assert got == want, f"{why}: merges {rows} on {ids} gave {got}, want {want}"


@pytest.mark.finds("wrong-result", at="encode")
def test_empty_and_single_inputs_come_back(built):
    for ids in ([], [A], [A, B]):
        assert encode(built, [], ids) == ids, f"without merges {ids} must come back unchanged"
    for ids in ([], [A]):
        expect(built, [(A, B, 20)], ids, "nothing to merge")


@pytest.mark.finds("wrong-result", at="new")
def test_merged_id_comes_from_the_row(built):
    expect(built, [(A, B, 90_000), (90_000, C, 7)], [A, B, C, A, B], "the third number of a row is the new id")


@pytest.mark.finds("wrong-result", at="merge_all")
def test_lowest_rank_goes_before_first_position(built):
    expect(built, [(B, C, 20), (A, B, 21)], [A, B, C], "(b, c) has the lower rank although (a, b) comes first")


@pytest.mark.finds("wrong-result", at="merge_all")
def test_equal_ranks_merge_leftmost_first(built):
    for length in (2, 3, 4, 5, 7, 8):
        expect(built, [(A, A, 20)], [A] * length, "a run of equal ids merges from the left")
        expect(built, [(A, A, 20), (20, 20, 21), (20, A, 22)], [A] * length, "a run of equal ids merges from the left")


@pytest.mark.finds("wrong-result", at="merge_all")
def test_out_of_date_entries_are_skipped(built):
    expect(built, [(A, B, 20), (B, C, 21)], [A, B, C], "the left symbol of (b, c) is gone after (a, b) merged")
    expect(built, [(B, C, 20), (A, B, 21)], [A, B, C], "the right symbol of (a, b) is gone after (b, c) merged")
    rows = [(B, C, 20), (A, B, 21), (20, D, 22), (A, 20, 23)]
    expect(built, rows, [A, B, C, D], "the entry queued for (a, b) must not bring (a, bc) forward")


@pytest.mark.finds("wrong-result", at="merge_all")
def test_new_pairs_on_both_sides_are_found(built):
    expect(built, [(B, C, 20), (20, D, 21)], [B, C, D], "the merged symbol pairs with the one after it")
    expect(built, [(B, C, 20), (A, 20, 21)], [A, B, C], "the merged symbol pairs with the one before it")
    rows = [(B, C, 20), (20, D, 21), (A, 21, 22)]
    expect(built, rows, [A, B, C, D], "links must still be right after two merges at one place")
    rows = [(A, B, 20), (C, D, 21), (20, 21, 22)]
    expect(built, rows, [A, B, C, D, A, B, C, D], "both neighbours are merged symbols")


@pytest.mark.finds("wrong-result", at="merge_all")
def test_random_merges_agree_with_the_definition(built):
    @SETTINGS
    @given(PICKS, TEXT, st.sampled_from([20, 256, 4_000_000_000]))
    def agree(picks, text, first_new):
        rows, ids = merge_table(picks, first_new)
        expect(built, rows, [ids[letter] for letter in text], f"text {text!r}")

    agree()


@pytest.mark.finds("wrong-result", at="merge_all")
def test_agrees_with_the_tokenizers_wheel(built, rng):
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    for _ in range(30):
        picks = [tuple(pair) for pair in rng.integers(0, 200, size=(40, 2)).tolist()]
        rows, ids = merge_table(picks, 100)
        spelling = {number: text for text, number in ids.items()}
        model = BPE(vocab=ids, merges=[(spelling[left], spelling[right]) for left, right, _ in rows])
        text = "".join("abc"[i] for i in rng.integers(0, 3, size=300))
        got = encode(built, rows, [ids[letter] for letter in text])
        want = Tokenizer(model).encode(text).ids
        assert got == want, f"merges {rows} on {text!r}: tokenizers gives {want}, you give {got}"


@pytest.mark.finds("wrong-result", at="encode")
def test_a_call_leaves_input_and_table_alone(built):
    rows, ids = [(A, B, 20)], [A, B, A, B]
    bpe = built.Bpe(rows)
    first, second = bpe.encode(ids), bpe.encode(ids)
    assert first == second == [20, 20], f"the same call gave {first}, then {second}"
    assert ids == [A, B, A, B], f"the caller's list is now {ids}"
    assert rows == [(A, B, 20)], f"the caller's merges are now {rows}"


@pytest.mark.finds("wrong-result", at="merge_all")
def test_a_long_run_folds_into_one_token(built):
    rows = [(A if i == 0 else 99 + i, A if i == 0 else 99 + i, 100 + i) for i in range(12)]
    got = encode(built, rows, [A] * 4096)
    assert got == [111], f"4096 equal ids and 12 doubling merges give one id (111), got {len(got)}: {got[:8]}"
