"""Checks of pb-sumtree: running sums of whole numbers, which float64 adds exactly, are the oracle."""

import contextlib

import numpy as np
import pytest

# what a wrong implementation raises instead
OTHERS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


def make(built, capacity, priorities=()):
    """A tree with these priorities at 0, 1, ...; what the binding lacks is a failure that says so."""
    assert hasattr(built, "SumTree"), "the module has no class SumTree"
    tree = built.SumTree(capacity)
    for name in ("update", "find", "__len__", "total"):
        assert hasattr(tree, name), f"SumTree has no {name}: bind it in PYBIND11_MODULE"
    if len(priorities):
        tree.update(np.arange(len(priorities)), np.asarray(priorities, dtype=np.float64))
    return tree


def define(priorities, masses):
    """The first index whose running sum is greater than the mass; at the total, the last index that has a priority."""
    sums, last = np.cumsum(priorities), np.flatnonzero(priorities)[-1]
    return np.minimum(np.searchsorted(sums, masses, side="right"), last)


def whole(rng, count, zeros=0.4):
    """Whole-numbered priorities, many of them 0, at least one not."""
    priorities = rng.integers(1, 50, count).astype(np.float64)
    priorities[rng.random(count) < zeros] = 0.0
    priorities[rng.integers(count)] = 7.0
    return priorities


def check_find(tree, priorities, masses, why):
    masses = np.asarray(masses, dtype=np.float64)
    got, want = tree.find(masses), define(priorities, masses)
    assert isinstance(got, np.ndarray), f"find returns a NumPy array, not {type(got).__name__}"
    assert (got.shape, got.dtype) == (want.shape, np.int64), f"{why}: got {got.dtype} of shape {got.shape}"
    wrong = np.flatnonzero(got != want)
    if wrong.size:
        k, some = wrong[0], np.asarray(priorities)[:12].tolist()
        raise AssertionError(f"{why}: find({masses[k]}) is {got[k]}, want {want[k]}; priorities {some}")


def names(error):
    return " or ".join(one.__name__ for one in (error if isinstance(error, tuple) else (error,)))


def refuses(error, call, why):
    try:
        got = call()
    except error:
        return
    except OTHERS as other:
        raise AssertionError(f"{why}: want {names(error)}, got {type(other).__name__}: {other}") from None
    raise AssertionError(f"{why}: want {names(error)}, but it returned {got}")


SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 100, 1000]


@pytest.mark.finds("wrong-result", at="PYBIND11_MODULE")
def test_class_has_its_methods(built):
    for capacity in (1, 5, 64):
        assert len(make(built, capacity)) == capacity, "len(tree) is the capacity that was asked for"
    tree = built.SumTree(capacity=3)
    tree.update(indices=np.array([1]), priorities=np.array([2.0]))
    assert tree.find(masses=np.array([1.0])).tolist() == [1], "arguments go by the names of the README"


@pytest.mark.finds("wrong-result", at="explicit SumTree")
def test_capacity_must_be_positive(built):
    for capacity in (0, -1):
        refuses(ValueError, lambda n=capacity: built.SumTree(n), f"SumTree({capacity})")


@pytest.mark.finds("wrong-result", at="set")
def test_total_is_the_sum_of_the_priorities(built, rng):
    for size in SIZES:
        priorities = whole(rng, size)
        tree = make(built, size)
        assert tree.total == 0.0, f"a new tree has total {tree.total}"
        tree.update(np.arange(size), priorities)
        assert tree.total == priorities.sum(), f"total {tree.total} of {size} priorities, want {priorities.sum()}"
        for _ in range(20):
            index = rng.integers(0, size, 3)
            fresh = rng.integers(0, 50, 3).astype(np.float64)
            for one, value in zip(index, fresh, strict=True):
                priorities[one] = value
            tree.update(index, fresh)
            assert tree.total == priorities.sum(), f"after update({index}, {fresh}) the total is {tree.total}"


@pytest.mark.finds("wrong-result", at="update")
def test_last_of_repeated_indices_wins(built):
    tree = make(built, 4)
    tree.update(np.array([2, 1, 2]), np.array([5.0, 1.0, 3.0]))
    assert tree.total == 4.0, f"index 2 is set to 5, then to 3, index 1 to 1: total is {tree.total}, want 4"
    assert tree.find(np.array([0.5, 1.5, 3.5])).tolist() == [1, 2, 2], "the last of two values for index 2 counts"


@pytest.mark.finds("wrong-result", at="index_of")
def test_find_agrees_with_running_sums(built, rng):
    for size in SIZES:
        priorities = whole(rng, size)
        tree = make(built, size, priorities)
        check_find(tree, priorities, rng.random(500) * tree.total * (1 - 1e-12), f"{size} priorities")


@pytest.mark.finds("wrong-result", at="index_of")
def test_boundaries_belong_to_the_next_index(built, rng):
    for size in SIZES:
        priorities = whole(rng, size)
        tree = make(built, size, priorities)
        check_find(tree, priorities, [0.0], "mass 0")
        check_find(tree, priorities, np.arange(priorities.sum()), "whole masses, many on a boundary")


@pytest.mark.finds("wrong-result", at="index_of")
def test_total_gives_the_last_priority_not_padding(built, rng):
    for size in SIZES:
        priorities = whole(rng, size)
        tree = make(built, size, priorities)
        check_find(tree, priorities, [tree.total], f"mass == total with {size} priorities")
        priorities[:] = 0.0
        priorities[0] = 1.0
        tree = make(built, size, priorities)
        check_find(tree, priorities, [0.0, 0.5, 1.0], "one priority, at the start")


@pytest.mark.finds("wrong-result", at="index_of")
def test_zero_priorities_are_never_drawn(built, rng):
    for size in (3, 37, 1000):
        priorities = rng.random(size) ** 8 * 10.0 ** rng.integers(-12, 12, size)
        priorities[rng.random(size) < 0.6] = 0.0
        priorities[size // 2] = 0.1
        tree = make(built, size, priorities)
        edges = np.minimum(np.cumsum(priorities), tree.total)
        masses = np.concatenate([edges, [0.0, tree.total, np.nextafter(tree.total, 0)], rng.random(2000) * tree.total])
        found = tree.find(masses)
        inside = (found >= 0) & (found < size)
        assert inside.all(), f"find({masses[~inside][0]!r}) is {found[~inside][0]}, outside a tree of {size}"
        empty = priorities[found] == 0
        assert not empty.any(), f"find({masses[empty][0]!r}) is {found[empty][0]}, whose priority is 0"


@pytest.mark.finds("numerics", at="set")
def test_sums_do_not_drift(built, rng):
    size = 64
    tree = make(built, size)
    for _ in range(50):
        tree.update(rng.integers(0, size, 400), rng.random(400) * 10.0 ** rng.integers(-6, 9, 400))
    tree.update(np.arange(size), np.zeros(size))
    assert tree.total == 0.0, f"20,000 updates, then all set to 0: total is {tree.total}, rounding errors add up"
    tree.update(np.array([5]), np.array([1e-3]))
    assert tree.find(np.array([0.0, 1e-3])).tolist() == [5, 5], "after that only index 5 has a priority"


@pytest.mark.finds("out-of-bounds", at="update")
def test_index_outside_the_tree_is_an_index_error(built):
    tree = make(built, 5, [1, 1, 1, 1, 1])
    for index in (5, 6, 7, -1, 8, 1 << 40, -(1 << 40)):
        refuses(IndexError, lambda i=index: tree.update(np.array([i]), np.array([1.0])), f"index {index} of 5")


@pytest.mark.finds("wrong-result", at="update")
def test_priority_must_be_finite_and_not_negative(built):
    tree = make(built, 5, [1, 1, 1, 1, 1])
    for priority in (-1.0, -1e-300, float("nan"), float("inf"), float("-inf")):
        refuses(ValueError, lambda p=priority: tree.update(np.array([2]), np.array([p])), f"priority {priority}")


@pytest.mark.finds("error-path", at="update")
def test_an_error_changes_nothing(built):
    for indices, priorities in (([0, 1, 9], [5, 5, 5]), ([0, 1, 2], [5, 5, -1]), ([3, 0], [5, float("nan")])):
        tree = make(built, 4, [1, 2, 3, 4])
        refuses((IndexError, ValueError), lambda t=tree, i=indices, p=priorities: t.update(i, p), "a bad last element")
        assert tree.total == 10.0, f"update({indices}, {priorities}) failed, but it changed the total to {tree.total}"
        assert tree.find(np.array([0.5, 1.5, 3.5, 6.5])).tolist() == [0, 1, 2, 3], "a failed update changed the tree"


@pytest.mark.finds("out-of-bounds", at="update")
def test_lengths_and_dimensions_must_agree(built):
    tree = make(built, 5)
    refuses(ValueError, lambda: tree.update(np.array([0, 1, 2]), np.array([1.0, 2.0])), "3 indices, 2 priorities")
    refuses(ValueError, lambda: tree.update(np.array([0]), np.array([1.0, 2.0])), "1 index, 2 priorities")
    refuses((ValueError, TypeError), lambda: tree.update(np.zeros((2, 2), np.int64), np.ones((2, 2))), "2-d arrays")


@pytest.mark.finds("wrong-result", at="find")
def test_mass_outside_the_total_is_a_value_error(built):
    tree = make(built, 3, [1, 2, 3])
    for mass in (-1.0, -1e-300, np.nextafter(6.0, 7.0), 1e9, float("nan")):
        refuses(ValueError, lambda m=mass: tree.find(np.array([1.0, m])), f"mass {mass} with total 6")
    refuses(ValueError, lambda: make(built, 3).find(np.array([0.0])), "a tree whose priorities are all 0")


@pytest.mark.finds("wrong-result", at="find")
def test_empty_batches_are_fine(built):
    tree = make(built, 3, [1, 2, 3])
    tree.update(np.array([], dtype=np.int64), np.array([]))
    assert tree.total == 6.0, f"an empty update changed the total to {tree.total}"
    found = tree.find(np.array([]))
    assert (found.shape, found.dtype) == ((0,), np.int64), f"find([]) gave {found.dtype} of shape {found.shape}"


@pytest.mark.finds("dtype", at="Indices")
def test_float_indices_are_refused(built):
    tree = make(built, 5, [1, 1, 1, 1, 1])
    refuses(TypeError, lambda: tree.update(np.array([0.7, 3.9]), np.array([2.0, 2.0])), "indices 0.7 and 3.9")
    tree.update(np.array([0, 3], dtype=np.int32), np.array([2, 2], dtype=np.float32))
    assert tree.total == 7.0, f"int32 indices and float32 priorities lose nothing: total is {tree.total}, want 7"


def stores(tree, indices, priorities, why):
    try:
        tree.update(indices, priorities)
    except OTHERS as error:
        raise AssertionError(f"{why}: update raised {type(error).__name__}: {error}") from None


@pytest.mark.finds("layout", at="update")
def test_any_memory_layout_of_update_works(built, rng, variants):
    index, priority = rng.permutation(16).astype(np.int64), whole(rng, 16)
    want = np.zeros(16)
    want[index] = priority
    for label, view in variants(index, kinds=("contiguous", "strided", "negative", "readonly")):
        tree = make(built, 16)
        stores(tree, view, priority, f"{label} indices")
        check_find(tree, want, np.arange(want.sum()), f"{label} indices")
    for label, view in variants(priority, kinds=("contiguous", "strided", "negative", "readonly")):
        tree = make(built, 16)
        stores(tree, index, view, f"{label} priorities")
        check_find(tree, want, np.arange(want.sum()), f"{label} priorities")


@pytest.mark.finds("layout", at="find")
def test_any_memory_layout_of_find_works(built, rng, variants):
    priorities = whole(rng, 16)
    tree = make(built, 16, priorities)
    for label, view in variants(rng.random(40) * tree.total, kinds=("contiguous", "strided", "negative", "readonly")):
        check_find(tree, priorities, view, f"{label} masses")


@pytest.mark.finds("wrong-result", at="SumTree")
def test_trees_are_independent(built):
    one, two = make(built, 4, [1, 2]), make(built, 4, [5])
    one.update(np.array([3]), np.array([10.0]))
    assert (one.total, two.total) == (13.0, 5.0), f"two trees have totals {one.total} and {two.total}, want 13 and 5"


@pytest.mark.finds("memory-leak", at="find")
@pytest.mark.parametrize("mass", [0.5, 9.0], ids=["found", "refused"])
def test_find_keeps_no_memory(built, memory, mass):
    """Also where the last of many masses is refused."""
    tree, masses = make(built, 3, [1, 2, 3]), np.full(500, 0.5)
    masses[-1] = mass

    def use():
        with contextlib.suppress(ValueError):
            tree.find(masses)

    memory.leak(use)


@pytest.mark.finds("lifetime", at="find")
def test_what_was_found_stays(built, rng):
    """Each result is an array with memory of its own."""
    tree = make(built, 64, whole(rng, 64))
    masses = [rng.random(300) * tree.total for _ in range(8)]
    found = [tree.find(batch) for batch in masses]
    kept = [array.copy() for array in found]
    later = [tree.find(batch) for batch in reversed(masses)]
    ballast = [np.full(300, -1, np.int64) for _ in range(20)]
    changed = [number for number, (array, was) in enumerate(zip(found, kept, strict=True)) if (array != was).any()]
    assert not changed, f"results {changed} of 8 changed when find was called again: does the array own its memory?"
    right = all((mine == was).all() for mine, was in zip(later, reversed(kept), strict=True))
    assert right, "find gave other indices for the same masses"
    del ballast
