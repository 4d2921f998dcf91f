"""Benchmark of rs-borrow: a corpus of 100,000 words, against the build that clones each of them."""

import random

from tutor.worker.case import Case

LETTERS = "etaoinshrdluETA"
LEXICON, DOCUMENTS, LENGTH = 8000, 50, 2000


def corpus(rng):
    """Documents whose words follow Zipf's law, as those of a language do."""
    source = random.Random(int(rng.integers(1 << 30)))
    lexicon = ["".join(source.choices(LETTERS, k=source.randint(2, 9))) for _ in range(LEXICON)]
    weights = [1 / (rank + 1) for rank in range(LEXICON)]
    return ([" ".join(source.choices(lexicon, weights, k=LENGTH)) for _ in range(DOCUMENTS)],)


def same(inputs, got, want):
    """The same words in the same order, as often."""
    assert got.words() == want.words(), "the words or their order differ"
    assert got.counts() == want.counts(), "the counts differ"


CASES = {
    "corpus-100k": Case(
        make=corpus,
        learner=lambda built, documents: built.Vocab(documents, 2),
        baseline=lambda built, documents: built.NaiveVocab(documents, 2),
        baseline_built=True,
        verify=same,
    )
}
