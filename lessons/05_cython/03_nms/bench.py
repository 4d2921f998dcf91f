"""Benchmarks of cy-nms: the 1,500 candidates of one image around 150 objects, against NumPy and a loop over lists."""

from tutor.worker.case import Case

COUNT, OBJECTS, THRESHOLD = 1_500, 150, 0.5


def candidates(rng):
    """Boxes in whole pixels, so that areas and overlaps are exact in float32 too."""
    import numpy as np

    centre = rng.integers(100, 1180, (OBJECTS, 2))[rng.integers(0, OBJECTS, COUNT)] + rng.integers(-8, 9, (COUNT, 2))
    half = rng.integers(15, 40, (COUNT, 2))
    boxes = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    return boxes, rng.permutation(COUNT).astype(np.float32), THRESHOLD


def numpy_nms(boxes, scores, threshold):
    """The usual way: one box against all that are left, as arrays."""
    import numpy as np

    left, top, right, bottom = boxes.T.copy()
    area = (right - left) * (bottom - top)
    order, keep = np.argsort(-scores, kind="stable"), []
    while order.size:
        i, rest = order[0], order[1:]
        keep.append(i)
        width = np.minimum(right[i], right[rest]) - np.maximum(left[i], left[rest])
        height = np.minimum(bottom[i], bottom[rest]) - np.maximum(top[i], top[rest])
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        order = rest[overlap <= threshold * (area[i] + area[rest] - overlap)]
    return np.array(keep, dtype=np.int64)


def list_nms(boxes, scores, threshold):
    """The loop in Python, over lists."""
    import numpy as np

    ranking = np.argsort(-scores, kind="stable")
    ranked = boxes[ranking].tolist()
    gone, keep = [False] * len(ranked), []
    for i, (left, top, right, bottom) in enumerate(ranked):
        if gone[i]:
            continue
        keep.append(i)
        area = (right - left) * (bottom - top)
        for j in range(i + 1, len(ranked)):
            if gone[j]:
                continue
            x1, y1, x2, y2 = ranked[j]
            width = (right if right < x2 else x2) - (left if left > x1 else x1)
            if width <= 0:
                continue
            height = (bottom if bottom < y2 else y2) - (top if top > y1 else y1)
            if height > 0:
                overlap = width * height
                gone[j] = overlap > threshold * (area + (x2 - x1) * (y2 - y1) - overlap)
    return ranking[keep]


def learner(built, boxes, scores, threshold):
    return built.nms(boxes, scores, threshold)


def same(inputs, got, want):
    assert got.tolist() == want.tolist(), f"got {len(got)} boxes {got[:9]}, want {len(want)} {want[:9]}"


CASES = {
    "numpy": Case(make=candidates, learner=learner, baseline=numpy_nms, verify=same),
    "lists": Case(make=candidates, learner=learner, baseline=list_nms, verify=same),
}
