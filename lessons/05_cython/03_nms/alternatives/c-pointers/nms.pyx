# cython: language_level=3
# Records of C, sorted by qsort; what is left moves together, so that each round passes over fewer of them.
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc, qsort

import numpy as np

cdef struct Box:
    double x1
    double y1
    double x2
    double y2
    double area
    float score
    int64_t index


cdef int by_rank(const void *left, const void *right) noexcept nogil:
    cdef const Box *a = <const Box *>left
    cdef const Box *b = <const Box *>right
    if a.score != b.score:
        return -1 if a.score > b.score else 1
    return -1 if a.index < b.index else 1


cdef Py_ssize_t survivors(Box *rest, Py_ssize_t count, double threshold, int64_t *out) noexcept nogil:
    cdef Py_ssize_t kept = 0, left, j
    cdef Box best
    cdef double w, h, inter
    while count > 0:
        best = rest[0]
        out[kept] = best.index
        kept += 1
        left = 0
        for j in range(1, count):
            w = min(best.x2, rest[j].x2) - max(best.x1, rest[j].x1)
            h = min(best.y2, rest[j].y2) - max(best.y1, rest[j].y1)
            inter = w * h if w > 0 and h > 0 else 0
            if inter > 0 and inter > threshold * (best.area + rest[j].area - inter):
                continue
            rest[left] = rest[j]
            left += 1
        count = left
    return kept


def nms(const float[:, ::1] boxes, const float[::1] scores, double threshold):
    cdef Py_ssize_t count = scores.shape[0], i, kept
    cdef Box *rest
    cdef int64_t[::1] out
    if boxes.shape[0] != count:
        raise ValueError(f"one score a box: {boxes.shape[0]} boxes, {count} scores")
    if boxes.shape[1] != 4:
        raise ValueError("four columns a box")
    if threshold != threshold or threshold < 0 or threshold > 1:
        raise ValueError("no such threshold")
    if count == 0:
        return np.empty(0, np.int64)

    out = np.empty(count, np.int64)
    rest = <Box *>malloc(count * sizeof(Box))
    if not rest:
        raise MemoryError
    for i in range(count):
        rest[i].x1 = boxes[i, 0]
        rest[i].y1 = boxes[i, 1]
        rest[i].x2 = boxes[i, 2]
        rest[i].y2 = boxes[i, 3]
        rest[i].area = (rest[i].x2 - rest[i].x1) * (rest[i].y2 - rest[i].y1)
        rest[i].score = scores[i]
        rest[i].index = i
    with nogil:
        qsort(rest, count, sizeof(Box), by_rank)
        kept = survivors(rest, count, threshold, &out[0])
    free(rest)
    return np.asarray(out)[:kept]
