"""Checks of capi-refs: the batches, and every reference taken and given back."""

from __future__ import annotations

import ctypes
import gc
import operator
import sys
import weakref
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutor.core.finding import Finding
from tutor.worker.defects import Defects


class Clip:
    """What a learner's id stands for: a fresh, mortal object that can be watched with a weak reference."""


class Angry(Exception):
    """Raised by a score that refuses."""


class Score:
    """A number-like score: `float(score)` calls `act()`, which may do anything."""

    def __init__(self, value, act=None):
        self.value = value
        self.act = act

    def __float__(self):
        if self.act is not None:
            self.act()
        return self.value


def fresh_pairs(rng, count):
    """`count` pairs of objects that nobody else holds."""
    return [(Clip(), float(score)) for score in rng.standard_normal(count)]


def reference(pairs, size):
    """What collate must return, in Python."""
    starts = range(0, len(pairs), size)
    return [([p[0] for p in pairs[s : s + size]], [float(p[1]) for p in pairs[s : s + size]]) for s in starts]


def compare(got, pairs, size):
    """Lengths first: a list with a hole in it must not be looked into."""
    want = reference(pairs, size)
    assert isinstance(got, list), f"collate returns a list of batches, not {type(got).__name__}"
    assert len(got) == len(want), f"{len(pairs)} pairs in batches of {size}: got {len(got)} batches, want {len(want)}"
    for number, (batch, (ids, scores)) in enumerate(zip(got, want, strict=True)):
        assert isinstance(batch, tuple), f"batch {number} must be a tuple (ids, scores)"
        assert len(batch) == 2, f"batch {number} has {len(batch)} parts, want 2: (ids, scores)"
        sizes = [len(part) for part in batch if isinstance(part, list)]
        assert sizes == [len(ids)] * 2, f"batch {number}: want two lists of {len(ids)}, got lists of {sizes}"
        same = all(mine is yours for mine, yours in zip(batch[0], ids, strict=True))
        assert same, f"batch {number}: the ids must be the objects of the pairs, in order"
        assert batch[1] == scores, f"batch {number}: scores are {batch[1]}, want {scores}"
        assert all(type(score) is float for score in batch[1]), f"batch {number}: a score is not a float"


@pytest.mark.parametrize(("count", "size"), [(6, 3), (7, 3), (3, 5), (1, 1), (0, 4)])
def test_batches_are_right(built, rng, count, size):
    pairs = fresh_pairs(rng, count)
    compare(built.collate(pairs, size), pairs, size)


def test_a_tuple_of_pairs_is_as_good_as_a_list(built, rng):
    pairs = fresh_pairs(rng, 10)
    compare(built.collate(tuple(pairs), 4), pairs, 4)


def test_number_like_scores_become_floats(built):
    pairs = [(Clip(), score) for score in (3, True, Fraction(1, 4), np.float32(0.5), np.float64(2.5), Score(1.5))]
    compare(built.collate(pairs, 4), pairs, 4)


def test_a_huge_size_makes_one_batch(built, rng):
    pairs = fresh_pairs(rng, 5)
    compare(built.collate(pairs, sys.maxsize), pairs, sys.maxsize)


@settings(max_examples=30, deadline=None, database=None)
@given(values=st.lists(st.floats(allow_nan=False), max_size=30), size=st.integers(1, 12))
def test_any_pairs_in_any_size(built, values, size):
    pairs = [(Clip(), value) for value in values]
    compare(built.collate(pairs, size), pairs, size)


@pytest.mark.finds("ref-leak", at="collate")
@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize(("count", "size"), [(7, 3), (4, 4)])
def test_a_call_gives_back_every_reference(built, refs, rng, kind, count, size):
    refs(built.collate, kind(fresh_pairs(rng, count)), size)


def refuse():
    raise Angry("no score today")


def bad_item(kind):
    """An item that collate must reject, after work on the items before it."""
    if kind == "score raises":
        return (Clip(), Score(0.0, refuse))
    return {"score is no number": (Clip(), Clip()), "not a pair": (Clip(), 0.5, 1), "not a tuple": Clip()}[kind]


@pytest.mark.finds("ref-leak", at="collate")
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("score is no number", 0),
        ("score is no number", 2),
        ("score is no number", 3),
        ("score raises", 6),
        ("not a pair", 4),
        ("not a tuple", 3),
    ],
)
def test_a_failing_call_gives_back_every_reference(built, refs, rng, kind, place):
    pairs = fresh_pairs(rng, 7)
    pairs[place] = bad_item(kind)
    refs(built.collate, pairs, 3)  # a call that raises is counted like any other


@pytest.mark.parametrize("kind", ["score is no number", "not a pair", "not a tuple"])
def test_a_bad_item_raises_a_type_error(built, rng, kind):
    pairs = [*fresh_pairs(rng, 4), bad_item(kind)]
    with pytest.raises(TypeError):
        built.collate(pairs, 3)


def test_the_exception_of_a_score_comes_through(built, rng):
    pairs = [*fresh_pairs(rng, 4), bad_item("score raises")]
    with pytest.raises(Angry, match="no score today"):
        built.collate(pairs, 3)


def test_something_without_items_raises_a_type_error(built):
    with pytest.raises(TypeError):
        built.collate(Clip(), 3)


@pytest.mark.finds("exception-contract", at="collate")
@pytest.mark.parametrize("kind", ["score is no number", "score raises", "not a pair", "not a tuple"])
def test_a_failure_is_null_with_an_exception_set(built, rng, kind):
    pairs = [*fresh_pairs(rng, 4), bad_item(kind)]
    complaint = ""
    try:
        built.collate(pairs, 2)
    except SystemError as error:
        complaint = str(error)
    except (TypeError, Angry):
        pass
    assert not complaint, f"an item that is bad ({kind}): {complaint}"


def slots(items):
    """The pointers of a list as an array, without touching what they point to (`ob_item` follows `ob_size`)."""
    place = ctypes.c_void_p.from_address(id(items) + object.__basicsize__ + ctypes.sizeof(ctypes.c_ssize_t))
    return (ctypes.c_void_p * len(items)).from_address(place.value) if items else ()


def heal(result, alive):
    """Put None where the result points to a freed object, so that the check lives to say so; returns how many."""
    places = [(array, i) for ids, _ in result for array in [slots(ids)] for i in range(len(array))]
    dead = [(array, i) for array, i in places if array[i] is None or not alive(array[i])]
    for array, i in dead:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))
        array[i] = id(None)
    return len(dead)


def expect_batches(result, count):
    """Too few batches is a wrong result, not the reference error that the check looks for."""
    if len(result) != count:
        raise Defects(Finding("wrong-result", f"got {len(result)} batches, want {count}"))


@pytest.mark.finds("borrowed-return", at="collate")
def test_the_batches_keep_their_ids_alive(built, rng):
    pairs = fresh_pairs(rng, 7)
    watched = {id(pair[0]): weakref.ref(pair[0]) for pair in pairs}
    result = built.collate(pairs, 3)
    expect_batches(result, 3)
    pairs.clear()
    dead = heal(result, lambda address: address in watched and watched[address]() is not None)
    assert not dead, f"{dead} of 7 ids were freed although the result holds them: each place needs its own reference"


@pytest.mark.finds("borrowed-return", at="collate")
def test_the_batches_own_their_scores(built, rng):
    scores = [pair[1] for pair in fresh_pairs(rng, 5)]
    pairs = [(Clip(), score) for score in scores]
    before = [sys.getrefcount(score) for score in scores]
    result = built.collate(pairs, len(pairs))
    after = [sys.getrefcount(score) for score in scores]
    gained = [now - old for now, old in zip(after, before, strict=True)]
    expect_batches(result, 1)
    # A new float per score is as right as a new reference to the old one.
    owed = [int(mine is score) for mine, score in zip(result[0][1], scores, strict=True)]
    for score, got, want in zip(scores, gained, owed, strict=True):
        for _ in range(want - got):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(score))
    text = f"the result holds scores that it does not own: references gained {gained}, held {owed}"
    assert all(map(operator.ge, gained, owed)), text


@pytest.mark.finds("use-after-free", at="collate")
@pytest.mark.parametrize("place", [0, 5])
def test_a_score_may_empty_the_list_of_pairs(built, place):
    """`__float__` is any Python code, here it empties the list. To end early or to raise is fine; a dead id is not."""
    pairs: list = []
    for number in range(6):
        pairs.append((Clip(), Score(float(number), pairs.clear if number == place else None)))
    watched = {id(pair[0]): weakref.ref(pair[0]) for pair in pairs}
    gc.disable()  # it would meet a dead id before we do, and crash
    try:
        result = built.collate(pairs, 4)
    except (RuntimeError, IndexError, TypeError):
        return
    dead = heal(result, lambda address: address in watched and watched[address]() is not None)
    assert not dead, f"{dead} ids in the result are gone: an item was used after Python code had run that may free it"


def test_the_caller_keeps_its_pairs(built, rng):
    pairs = fresh_pairs(rng, 9)
    before = list(pairs)
    built.collate(pairs, 2)
    assert len(pairs) == len(before), "collate changed the length of the list"
    assert all(a is b for a, b in zip(pairs, before, strict=True)), "collate changed the list that it was given"


@pytest.mark.finds("error-path", at="make_batch")
@pytest.mark.parametrize("kind", [list, tuple])
def test_every_call_of_the_api_may_fail(built, faults, rng, kind):
    """Memory may run out at each of them: no crash then, no leak, and no result without an exception."""
    faults(built.collate, kind(fresh_pairs(rng, 5)), 2)
