"""Benchmark of rs-bpe: one document without pre-tokenisation, so that the merge loop does all the work."""

import heapq
import random
from collections import Counter
from itertools import pairwise

from tutor.worker.case import Case

ALPHABET = "etaoinshr "
LENGTH = 40_000
MERGES = 200


def words(source, count):
    """A text of `count` characters with Zipf-distributed words, so that merges pay off."""
    lexicon = ["".join(source.choices(ALPHABET[:-1], k=source.randint(2, 8))) for _ in range(400)]
    weights = [1 / (rank + 1) for rank in range(len(lexicon))]
    return " ".join(source.choices(lexicon, weights, k=count))[:count]


def train(text):
    """Merges of the most frequent pairs: rows of ids, and the spelling of every id."""
    spelling = {i: letter for i, letter in enumerate(ALPHABET)}
    number = {letter: i for i, letter in spelling.items()}
    ids, rows = [number[letter] for letter in text], []
    for _ in range(MERGES):
        pair = Counter(pairwise(ids)).most_common(1)[0][0]
        text = spelling[pair[0]] + spelling[pair[1]]
        merged = number.setdefault(text, len(spelling))
        spelling[merged] = text
        rows.append((*pair, merged))
        out, i = [], 0
        while i < len(ids):
            if tuple(ids[i : i + 2]) == pair:
                out.append(merged)
                i += 2
            else:
                out.append(ids[i])
                i += 1
        ids = out
    return rows, number


ROWS, NUMBER = train(words(random.Random(7), 3000))


class PythonBpe:
    """The same algorithm, heap and linked list, in Python."""

    def __init__(self, rows):
        self.merges = {(left, right): (rank, merged) for rank, (left, right, merged) in enumerate(rows)}

    def encode(self, ids):
        merges, ids, count = self.merges, list(ids), len(ids)
        after, before, alive = [*range(1, count), -1], list(range(-1, count - 1)), [True] * count
        queue = [(merges[pair][0], i) for i, pair in enumerate(pairwise(ids)) if pair in merges]
        heapq.heapify(queue)
        while queue:
            rank, i = heapq.heappop(queue)
            j = after[i]
            if not alive[i] or j < 0:
                continue
            found = merges.get((ids[i], ids[j]))
            if found is None or found[0] != rank:
                continue
            ids[i], alive[j], k = found[1], False, after[j]
            after[i] = k
            if k >= 0:
                before[k] = i
                if (found := merges.get((ids[i], ids[k]))) is not None:
                    heapq.heappush(queue, (found[0], i))
            h = before[i]
            if h >= 0 and (found := merges.get((ids[h], ids[i]))) is not None:
                heapq.heappush(queue, (found[0], h))
        return [number for number, living in zip(ids, alive, strict=True) if living]


def document(rng):
    """The ids of a fresh document."""
    return ([NUMBER[letter] for letter in words(random.Random(int(rng.integers(1 << 30))), LENGTH)],)


def reference(rows):
    """The `tokenizers` model of the same merges."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    spelling = {number: text for text, number in NUMBER.items()}
    merges = [(spelling[left], spelling[right]) for left, right, _ in rows]
    # no word cache: every call does the merging
    return Tokenizer(BPE(vocab=NUMBER, merges=merges, cache_capacity=0))


def spell(inputs):
    """The reference takes text: build it outside the timing."""
    return reference(ROWS), "".join(ALPHABET[i] for i in inputs[0])


CASES = {
    "document-40k": Case(
        make=document,
        prepare=lambda built, inputs: (built.Bpe(ROWS), inputs[0]),
        learner=lambda built, bpe, ids: bpe.encode(ids),
        prepare_baseline=lambda inputs: (PythonBpe(ROWS), inputs[0]),
        baseline=lambda bpe, ids: bpe.encode(ids),
    ),
    "tokenizers-40k": Case(
        make=document,
        prepare=lambda built, inputs: (built.Bpe(ROWS), inputs[0]),
        learner=lambda built, bpe, ids: bpe.encode(ids),
        prepare_baseline=spell,
        baseline=lambda tokenizer, text: tokenizer.encode(text).ids,
    ),
}
