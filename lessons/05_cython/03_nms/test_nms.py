"""Checks of cy-nms: the definition in exact fractions is the oracle; shapes; what the inner loop compiles to."""

import contextlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# what a wrong implementation raises instead
OTHERS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


def more_than(a, b, threshold):
    """Whether intersection over union of two boxes is more than the threshold, exactly."""
    a, b = [Fraction(float(x)) for x in a], [Fraction(float(x)) for x in b]
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return False
    overlap = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap > Fraction(threshold) * union


def define(boxes, scores, threshold):
    keep = []
    for i in sorted(range(len(scores)), key=lambda i: (-float(scores[i]), i)):
        if not any(more_than(boxes[k], boxes[i], threshold) for k in keep):
            keep.append(i)
    return keep


def random_boxes(rng, count, extent=20, largest=10):
    """Boxes at whole coordinates, some without area."""
    corner = rng.integers(0, extent, (count, 2))
    return np.concatenate([corner, corner + rng.integers(0, largest, (count, 2))], axis=1).astype(np.float32)


def call(built, boxes, scores, threshold, why):
    boxes, scores = np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(scores, np.float32)
    try:
        return built.nms(boxes, scores, threshold)
    except OTHERS as error:
        raise AssertionError(f"{why}: nms raised {type(error).__name__}: {error}") from None


def expect(built, boxes, scores, threshold, why):
    got, want = call(built, boxes, scores, threshold, why), define(boxes, scores, threshold)
    assert isinstance(got, np.ndarray), f"return a NumPy array, not {type(got).__name__}"
    assert (got.ndim, got.dtype) == (1, np.int64), f"{why}: got {got.dtype} of shape {got.shape}, want int64 (kept,)"
    shown = f" of boxes {np.asarray(boxes).tolist()}, scores {np.asarray(scores).tolist()}" if len(boxes) < 6 else ""
    assert got.tolist() == want, f"{why}: kept {got.tolist()[:20]}, want {want[:20]}{shown}"


def refuses(built, boxes, scores, threshold, why):
    try:
        got = built.nms(boxes, scores, threshold)
    except ValueError:
        return
    except OTHERS as other:
        raise AssertionError(f"{why}: want ValueError, got {type(other).__name__}: {other}") from None
    raise AssertionError(f"{why}: want ValueError, but it returned {got}")


@pytest.mark.finds("wrong-result", at="nms")
def test_kept_boxes_match_the_definition(built, rng):
    for count, threshold in ((5, 0.5), (40, 0.5), (40, 0.25), (120, 0.75)):
        scores = rng.permutation(count)
        expect(built, random_boxes(rng, count), scores, threshold, f"{count} boxes, threshold {threshold}")


@settings(max_examples=60, deadline=None, database=None)
@given(data=st.data(), count=st.integers(0, 9), threshold=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def check_any_boxes(built, data, count, threshold):
    edge = st.tuples(st.integers(-3, 3), st.integers(0, 4))
    drawn = data.draw(st.lists(st.tuples(edge, edge), min_size=count, max_size=count))
    boxes = [[x, y, x + width, y + height] for (x, width), (y, height) in drawn]
    scores = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    expect(built, boxes, scores, threshold, f"threshold {threshold}")


@pytest.mark.finds("wrong-result", at="nms")
def test_any_small_boxes(built):
    check_any_boxes(built)


@pytest.mark.finds("wrong-result", at="nms")
def test_overlap_equal_to_the_threshold_stays(built):
    boxes = [[0, 0, 4, 1], [0, 0, 2, 1], [0, 0, 1, 1]]
    expect(built, boxes, [3, 2, 1], 0.5, "overlaps of exactly 1/2 and 1/4 at threshold 0.5")
    expect(built, [[0, 0, 1, 1]] * 3, [1, 2, 3], 1.0, "equal boxes at threshold 1")


@pytest.mark.finds("wrong-result", at="nms")
def test_touching_boxes_stay(built):
    expect(built, [[0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 2, 4], [2, 2, 4, 4]], [4, 3, 2, 1], 0.0, "a grid of boxes")
    expect(built, [[0, 0, 2, 2], [5, 5, 9, 9]], [1, 2], 0.0, "boxes apart in x and in y")


@pytest.mark.finds("wrong-result", at="nms")
def test_boxes_without_area_overlap_nothing(built):
    flat = [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 5, 5], [2, 0, 2, 9], [2, 0, 2, 9]]
    for threshold in (0.0, 0.5, 1.0):
        expect(built, flat, [5, 4, 3, 2, 1], threshold, f"points and lines, threshold {threshold}")


@pytest.mark.finds("wrong-result", at="nms")
def test_equal_scores_go_by_index(built, rng):
    five = [[9 * i, 0, 9 * i + 1, 1] for i in range(5)]
    expect(built, five, [1, 1, 2, 1, 2], 0.5, "five boxes apart, scores 1 1 2 1 2")
    for count in (30, 300):
        apart = [[9 * i, 0, 9 * i + 1, 1] for i in range(count)]
        expect(built, apart, rng.integers(0, 3, count), 0.5, f"{count} boxes apart with scores 0, 1 and 2")


@pytest.mark.finds("wrong-result", at="nms")
def test_boxes_that_go_take_no_others_with_them(built):
    chain = [[3 * i, 0, 3 * i + 10, 1] for i in range(8)]
    expect(built, chain, range(8, 0, -1), 0.5, "a chain in which each box overlaps the next by 7/13")


@pytest.mark.finds("wrong-result", at="nms")
def test_last_box_is_looked_at(built):
    for count in (2, 3, 17):
        boxes = [[20 * i, 0, 20 * i + 10, 10] for i in range(count - 1)] + [[1, 0, 11, 10]]
        expect(built, boxes, range(count, 0, -1), 0.5, f"the last of {count} boxes overlaps the first")


@pytest.mark.finds("wrong-result", at="nms")
def test_none_and_one(built):
    expect(built, np.empty((0, 4)), [], 0.5, "no boxes")
    expect(built, [[0, 0, 1, 1]], [-1.0], 0.5, "one box, with a negative score")


@pytest.mark.finds("numerics", at="nms")
def test_coordinates_keep_their_fractions(built, rng):
    boxes = random_boxes(rng, 60) / 32
    expect(built, boxes, rng.permutation(60), 0.5, "coordinates from 0 to 1, as fractions of the image")
    pair = [[0.25, 0.25, 0.75, 0.75], [0.25, 0.25, 0.75, 0.8125], [0.5, 0.25, 0.875, 0.75]]
    for scores in ([3, 2, 1], [1, 2, 3]):  # chance may give no overlap at all: here the first two share 8/9
        expect(built, pair, scores, 0.5, "coordinates below 1")


@pytest.mark.finds("wrong-result", at="nms")
def test_threshold_outside_0_to_1_is_refused(built):
    for bad in (-0.1, 1.5, float("nan"), float("inf")):
        for count in (2, 0):
            boxes, scores = np.zeros((count, 4), np.float32), np.zeros(count, np.float32)
            refuses(built, boxes, scores, bad, f"threshold {bad}, {count} boxes")


@pytest.mark.finds("out-of-bounds", at="nms")
@pytest.mark.parametrize(("boxes", "scores"), [((3, 4), 2), ((3, 4), 4), ((0, 4), 1), ((3, 4), 0)])
def test_lengths_must_agree(built, boxes, scores):
    refuses(built, np.zeros(boxes, np.float32), np.zeros(scores, np.float32), 0.5, f"{boxes[0]} boxes, {scores} scores")


@pytest.mark.finds("out-of-bounds", at="nms")
def test_boxes_have_four_columns(built):
    for columns in (0, 2, 3, 5):
        refuses(built, np.zeros((3, columns), np.float32), np.zeros(3, np.float32), 0.5, f"boxes of {columns} columns")


@pytest.mark.finds("out-of-bounds", at="nms")
@pytest.mark.parametrize("side", ["after", "before"])
def test_no_access_outside_the_arrays(built, rng, guard, side):
    for count in (1, 2, 33):
        boxes, scores = random_boxes(rng, count), rng.permutation(count).astype(np.float32)
        boxes, scores = guard.array(boxes, side=side), guard.array(scores, side=side)
        expect(built, boxes, scores, 0.5, f"arrays that touch a protected page ({side})")


@pytest.mark.finds("layout", at="nms")
def test_readonly_arrays_are_accepted(built, rng):
    boxes, scores = random_boxes(rng, 20), rng.permutation(20).astype(np.float32)
    boxes.setflags(write=False)
    scores.setflags(write=False)
    expect(built, boxes, scores, 0.5, "read-only arrays")


@pytest.mark.finds("layout", at="nms")
def test_other_layouts_are_right_or_refused(built, rng, variants):
    boxes, scores = random_boxes(rng, 20), rng.permutation(20).astype(np.float32)
    want = define(boxes, scores, 0.5)
    for label, view in variants(boxes, kinds=("strided", "transposed", "negative")):
        try:
            got = built.nms(view, scores, 0.5).tolist()
        except (ValueError, BufferError):
            continue
        assert got == want, f"{label} boxes: kept {got}, want {want}"


@pytest.mark.finds("wrong-result", at="nms")
def test_the_callers_arrays_stay_as_they_were(built, rng):
    boxes, scores = random_boxes(rng, 30), rng.permutation(30).astype(np.float32)
    before = boxes.copy(), scores.copy()
    first, second = (call(built, boxes, scores, 0.5, "twice the same").tolist() for _ in range(2))
    assert first == second, "the same call gave another result the second time"
    assert np.array_equal(boxes, before[0]), "the caller's boxes were changed"
    assert np.array_equal(scores, before[1]), "the caller's scores were changed"


@pytest.mark.finds("memory-leak", at="nms")
@pytest.mark.parametrize("threshold", [0.5, 2.0], ids=["a result", "a refusal"])
def test_nothing_is_kept_of_a_call(built, rng, memory, threshold):
    """Also of scratch memory that malloc gave, and when the call ends by an exception."""
    boxes, scores = random_boxes(rng, 200), rng.permutation(200).astype(np.float32)

    def use():
        with contextlib.suppress(ValueError):
            built.nms(boxes, scores, threshold)

    memory.leak(use)


def test_the_inner_loop_stays_in_c(annotation):
    annotation.check(depth=2)
