# cython: language_level=3
# A class of C holds the views; every pair of boxes that is left is compared by its methods, with the checks on.
from libc.math cimport fmax, fmin
from libc.stdint cimport int64_t

import numpy as np


cdef class Boxes:
    cdef const float[:, ::1] at
    cdef const float[::1] scores
    cdef readonly double threshold

    def __cinit__(self, boxes, scores, double threshold):
        self.at = np.ascontiguousarray(boxes)
        self.scores = np.ascontiguousarray(scores)
        self.threshold = threshold
        for name, count in [("scores", self.scores.shape[0])]:
            if count != self.at.shape[0]:
                text = f"{name}: {count}, want {self.at.shape[0]}"
                raise ValueError(text)
        if self.at.shape[1] != 4:
            raise ValueError("boxes have four columns")
        if not (0.0 <= threshold <= 1.0):
            raise ValueError("the threshold is in 0..1")

    cdef double area(self, Py_ssize_t i) noexcept:
        return (<double>self.at[i, 2] - self.at[i, 0]) * (<double>self.at[i, 3] - self.at[i, 1])

    cdef bint overlap(self, Py_ssize_t i, Py_ssize_t j) noexcept:
        cdef double w = fmin(self.at[i, 2], self.at[j, 2]) - <double>fmax(self.at[i, 0], self.at[j, 0])
        cdef double h = fmin(self.at[i, 3], self.at[j, 3]) - <double>fmax(self.at[i, 1], self.at[j, 1])
        if not (w > 0 and h > 0):
            return False
        return w * h > self.threshold * (self.area(i) + self.area(j) - w * h)


def nms(boxes, scores, threshold):
    cdef Boxes kept = Boxes(boxes, scores, threshold)
    cdef int64_t[::1] order = np.argsort(-np.asarray(scores), kind="mergesort")
    alive = np.ones(len(order), dtype=bool)
    cdef unsigned char[::1] left = alive
    cdef Py_ssize_t a, b
    for a in range(order.shape[0]):
        if not left[a]:
            continue
        for b in range(a + 1, order.shape[0]):
            if left[b] and kept.overlap(order[a], order[b]):
                left[b] = False
    return np.asarray(order)[alive]
