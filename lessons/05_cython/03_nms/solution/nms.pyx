# cython: language_level=3
"""Non-maximum suppression: of boxes that overlap much, keep the one with the highest score."""

import numpy as np

cimport cython
# @gap


@cython.boundscheck(False)  # shapes are compared first; i and j run in 0..count-1
@cython.wraparound(False)
def nms(const float[:, ::1] boxes, const float[::1] scores, double threshold):
    """Indices of the boxes to keep, int64, from the highest score to the lowest; of equal scores the lower first.

    boxes: float32 (count, 4), x1 y1 x2 y2 with x1 <= x2, y1 <= y2. scores: float32 (count,). A box goes when its
    intersection over union with a kept box before it is more than the threshold. Without area it overlaps nothing.
    Raises ValueError for other shapes and for a threshold outside 0..1.
    """
    cdef Py_ssize_t i, j, kept = 0, count = boxes.shape[0]
    cdef double left, top, right, bottom, width, height, overlap
    if boxes.shape[1] != 4:
        raise ValueError(f"boxes have 4 columns, not {boxes.shape[1]}")
    if scores.shape[0] != count:
        raise ValueError(f"{count} boxes but {scores.shape[0]} scores")
    if not 0 <= threshold <= 1:
        raise ValueError(f"the threshold must be in 0..1, not {threshold}")
    ranking = np.argsort(-np.asarray(scores), kind="stable")
    cdef const Py_ssize_t[::1] order = ranking
    # In the order of the ranking the inner loop reads memory from front to back.
    cdef const float[:, ::1] ranked = np.asarray(boxes)[ranking]
    cdef double[::1] area = np.empty(count)
    cdef unsigned char[::1] gone = np.zeros(count, dtype=np.uint8)
    result = np.empty(count, dtype=np.int64)
    cdef long long[::1] out = result
    for i in range(count):
        area[i] = (<double>ranked[i, 2] - ranked[i, 0]) * (<double>ranked[i, 3] - ranked[i, 1])
    for i in range(count):
        if gone[i]:
            continue
        out[kept] = order[i]
        kept += 1
        left, top, right, bottom = ranked[i, 0], ranked[i, 1], ranked[i, 2], ranked[i, 3]
        for j in range(i + 1, count):
            width = min(right, ranked[j, 2]) - max(left, ranked[j, 0])
            height = min(bottom, ranked[j, 3]) - max(top, ranked[j, 1])
            if width > 0 and height > 0:  # two negative sides would have a positive product
                overlap = width * height
                # The quotient without a division: two boxes without area have no union.
                if overlap > threshold * (area[i] + area[j] - overlap):
                    gone[j] = 1
    return result[:kept].copy()
#|
#|
#| def nms(boxes, scores, threshold):
#|     """Indices of the boxes to keep, int64, from the highest score to the lowest; of equal scores the lower first.
#|
#|     boxes: float32 (count, 4), x1 y1 x2 y2 with x1 <= x2, y1 <= y2. scores: float32 (count,). A box goes when its
#|     intersection over union with a kept box before it is more than the threshold. Without area it overlaps nothing.
#|     Raises ValueError for other shapes and for a threshold outside 0..1.
#|     """
#|     # TODO: types, the order of equal scores, boxes that touch or have no area, and input that is refused.
#|     order = list(np.argsort(scores))
#|     keep = []
#|     while order:
#|         a = boxes[order[-1]]
#|         keep.append(order.pop())
#|         rest = []
#|         for k in order:
#|             b = boxes[k]
#|             overlap = (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1]))
#|             union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
#|             if overlap / union < threshold:
#|                 rest.append(k)
#|         order = rest
#|     return np.array(keep, dtype=np.int64)
# @end
