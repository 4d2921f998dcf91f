# cython: language_level=3
# Each box is compared with those that are kept, until one suppresses it; indices are checked throughout.
import numpy as np


cdef inline bint suppresses(const float[:] a, const float[:] b, double threshold) noexcept nogil:
    cdef double x1 = a[0] if a[0] > b[0] else b[0]
    cdef double y1 = a[1] if a[1] > b[1] else b[1]
    cdef double x2 = a[2] if a[2] < b[2] else b[2]
    cdef double y2 = a[3] if a[3] < b[3] else b[3]
    if x2 <= x1 or y2 <= y1:
        return False
    cdef double common = (x2 - x1) * (y2 - y1)
    cdef double first = (<double>a[2] - <double>a[0]) * (<double>a[3] - <double>a[1])
    cdef double second = (<double>b[2] - <double>b[0]) * (<double>b[3] - <double>b[1])
    return common > threshold * (first + second - common)


def nms(const float[:, :] boxes, const float[:] scores, double threshold):
    if boxes.shape[1] != 4 or boxes.shape[0] != scores.shape[0]:
        raise ValueError("nms: boxes must be (count, 4), scores (count,)")
    if not (threshold >= 0 and threshold <= 1):
        raise ValueError("nms: threshold must be in 0..1")

    cdef Py_ssize_t[::1] order = np.lexsort((np.arange(len(scores)), -np.asarray(scores)))
    cdef Py_ssize_t[::1] kept = np.empty(len(scores), dtype=np.intp)
    cdef Py_ssize_t number = 0, k, candidate
    keep = []
    for candidate in order:
        for k in range(number):
            if suppresses(boxes[kept[k]], boxes[candidate], threshold):
                break
        else:
            kept[number] = candidate
            number += 1
            keep.append(candidate)
    return np.array(keep, dtype=np.int64)
