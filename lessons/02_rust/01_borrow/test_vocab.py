"""Checks of rs-borrow: results against a few lines of Python, costs by the books of the module's own allocator."""

import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutor.core.finding import Finding
from tutor.worker.defects import Defects

SETTINGS = settings(max_examples=200, deadline=None, database=None, derandomize=False)
FILE = "src/vocab.rs"
# upper and lower case, letters of two, three and four bytes, every kind of space
TEXT = st.text(alphabet="aAbBcÄäßΣσé日𝔸 \t\n\u00a0\u3000", max_size=40)
SAMPLES = 11


def define(documents, min_count):
    """Words and counts by definition; a Counter keeps the order of first appearance, and sorting is stable."""
    counts = Counter(word for text in documents for word in text.lower().split())
    kept = [(word, count) for word, count in counts.items() if count >= min_count]
    kept.sort(key=lambda pair: -pair[1])
    return [word for word, _ in kept], [count for _, count in kept]


def call(what, *args):
    """Call, with a Rust panic turned into a failure that says so."""
    try:
        return what(*args)
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise AssertionError(f"{what.__name__}{args} panicked: {error}") from None
        raise


def expect(built, documents, min_count, why):
    vocab = call(built.Vocab, documents, min_count)
    got, want = (vocab.words(), vocab.counts()), define(documents, min_count)
    assert got == want, f"{why}: Vocab({documents}, {min_count}) gave {got}, want {want}"
    return vocab


def corpus(rng, documents=20, length=2000, distinct=300):
    """Documents with many occurrences of few words."""
    source = random.Random(int(rng.integers(1 << 30)))
    lexicon = [f"{source.choice('xyzXYZ')}word{number}" for number in range(distinct)]
    return [" ".join(source.choices(lexicon, k=length)) for _ in range(documents)]


def line_of(place):
    """The innermost line of the learner's file in a backtrace."""
    found = re.search(rf"{re.escape(FILE)}:(\d+)", place or "")
    return int(found[1]) if found else None


def too_many(audit, args, allocations, allowed, what):
    """Raise a finding on the line that most of the allocations come from."""
    numbers = [allocations * (2 * i + 1) // (2 * SAMPLES) for i in range(SAMPLES)]
    lines = Counter(line for number in numbers if (line := line_of(audit(*args, number)[3])))
    line = lines.most_common(1)[0][0] if lines else None
    text = f"{what} asks for memory {allocations:,} times, {allowed:,} are plenty: something is copied for each word"
    raise Defects(Finding("hidden-copy", text, FILE, line))


def no_leak(audit, args, what):
    """Raise a finding on the line that made what is never freed. The first calls may fill a cache that stays."""
    for _ in range(2):
        call(audit, *args)
    kept = call(audit, *args)[2]
    if kept:
        line = line_of(audit(*args, kept[0][0])[3])
        size = sum(size for _, size in kept)
        text = f"{what} keeps {len(kept):,} blocks ({size:,} bytes) after everything was dropped"
        raise Defects(Finding("memory-leak", text, FILE, line, per_call=float(size)))


@pytest.mark.finds("wrong-result", at="rank")
def test_most_frequent_word_comes_first(built):
    expect(built, ["the cat saw the dog", "the dog"], 1, "by count")
    expect(built, ["b a c", "c b a", "d"], 1, "equal counts keep the order of first appearance")


@pytest.mark.finds("wrong-result", at="rank")
def test_equally_frequent_words_keep_their_order(built, rng):
    words = [f"w{number}" for number in rng.permutation(500)]
    text = " ".join(word for word in words for _ in range(int(rng.integers(1, 4))))
    got, want = call(built.Vocab, [text], 1).words(), define([text], 1)[0]
    assert sorted(got) == sorted(want), f"of {len(want)} words {len(set(want) - set(got))} are missing"
    wrong = next((i for i, word in enumerate(want) if got[i] != word), None)
    assert wrong is None, (
        f"500 words that occur once, twice or three times: word {wrong} is {got[wrong]!r}, want {want[wrong]!r}; both "
        "occur equally often, so the one that comes first in the text goes first"
    )


@pytest.mark.finds("wrong-result", at="prune")
def test_rare_words_are_dropped(built):
    for documents in (["a b c d d"], ["d d a b c"], ["a d d b c"], ["a b"], ["x a a b b c c"], ["a a b c b d d e"]):
        for min_count in (0, 1, 2, 3):
            expect(built, documents, min_count, f"words that occur less than {min_count} times go")


@pytest.mark.finds("wrong-result", at="build")
def test_counts_go_on_across_documents(built):
    expect(built, ["a", "b a", "", "a b c"], 1, "one vocabulary of all documents")


@pytest.mark.finds("wrong-result", at="build")
def test_words_are_lower_cased_and_split_at_any_space(built):
    expect(built, ["Straße STRASSE straße", "ΣΟΦΟΣ σοφος ΑΣ.", "Ä ä\u00a0Ä\u3000日\t日\n"], 1, "case and spaces")


@pytest.mark.finds("wrong-result", at="build")
def test_empty_corpora_give_an_empty_vocabulary(built):
    for documents in ([], [""], [" \n\t ", ""]):
        vocab = expect(built, documents, 1, "no words")
        assert call(vocab.encode, "a b") == [0, 0], "an empty vocabulary knows no word: every id is 0"


@pytest.mark.finds("wrong-result", at="build")
def test_random_corpora_agree_with_the_definition(built):
    @SETTINGS
    @given(st.lists(TEXT, max_size=6), st.integers(0, 3))
    def agree(documents, min_count):
        expect(built, documents, min_count, "random texts")

    agree()


@pytest.mark.finds("wrong-result", at="rank")
def test_ids_count_from_one_in_the_order_of_the_words(built):
    vocab = expect(built, ["c a b c c b"], 1, "")
    got = call(vocab.encode, "c b a")
    assert got == [1, 2, 3], f"words {vocab.words()}: encode('c b a') gave {got}, want [1, 2, 3]"


@pytest.mark.finds("wrong-result", at="encode")
def test_encode_finds_known_words_and_gives_0_for_others(built):
    vocab = expect(built, ["the cat saw the dog the dog"], 2, "")
    got = call(vocab.encode, "The  cat saw\tTHE dog ")
    assert got == [1, 0, 0, 1, 2], f"words {vocab.words()}: encode('The  cat saw\\tTHE dog ') gave {got}"
    assert call(vocab.encode, "") == [], "an empty text has no words"
    greek = call(call(built.Vocab, ["ΣΟΦΟΣ"], 1).encode, "ΣΟΦΟΣ σοφος")
    assert greek == [1, 1], f"Vocab(['ΣΟΦΟΣ'], 1).encode('ΣΟΦΟΣ σοφος') gave {greek}: the Σ at a word's end becomes ς"


@pytest.mark.finds("wrong-result", at="encode")
def test_random_texts_are_encoded_by_the_definition(built):
    @SETTINGS
    @given(st.lists(TEXT, max_size=4), TEXT)
    def agree(documents, text):
        vocab = call(built.Vocab, documents, 1)
        ids = {word: number for number, word in enumerate(define(documents, 1)[0], start=1)}
        got, want = call(vocab.encode, text), [ids.get(word, 0) for word in text.lower().split()]
        assert got == want, f"Vocab({documents}, 1).encode({text!r}) gave {got}, want {want}"

    agree()


@pytest.mark.finds("hidden-copy", at="build")
def test_building_copies_no_word_twice(built, rng):
    documents = corpus(rng)
    args = (documents, 2)
    allocations = call(built.audit_build, *args)[0]
    # a few for each document and each distinct word, none for an occurrence (there are 40,000)
    allowed = 4 * len(documents) + 4 * len(define(documents, 0)[0]) + 200
    if allocations > allowed:
        too_many(built.audit_build, args, allocations, allowed, f"Vocab of 40,000 words in {len(documents)} documents")


@pytest.mark.finds("hidden-copy", at="encode")
def test_encoding_copies_no_word(built, rng):
    documents = corpus(rng)
    vocab, text = call(built.Vocab, documents, 2), " ".join(documents)
    allocations, allowed = call(built.audit_encode, vocab, text)[0], 200
    if allocations > allowed:
        too_many(built.audit_encode, (vocab, text), allocations, allowed, "encode of 40,000 words")


@pytest.mark.finds("memory-leak", at="build")
def test_what_was_built_is_freed(built, rng):
    documents = corpus(rng, documents=5, length=200)
    no_leak(built.audit_build, (documents, 2), "Vocab of 5 documents")
    no_leak(built.audit_build, ([], 0), "Vocab of no document")
    no_leak(built.audit_encode, (call(built.Vocab, documents, 1), " ".join(documents)), "encode of 1,000 words")
