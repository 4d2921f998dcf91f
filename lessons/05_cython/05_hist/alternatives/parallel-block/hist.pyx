# cython: language_level=3
# A parallel block in which each thread allocates its own buffer, found again by its number.
cimport cython
from cython.parallel cimport parallel, prange, threadid
from libc.stdlib cimport calloc, free

import numpy as np

cdef struct Sums:
    double gradient
    double hessian


@cython.boundscheck(False)
@cython.wraparound(False)
def histograms(
    const unsigned char[:, ::1] bins,
    const float[::1] gradients,
    const float[::1] hessians,
    const int[::1] rows,
    Py_ssize_t threads,
):
    cdef Py_ssize_t n = bins.shape[0], width = bins.shape[1], i, f, size = width * 256
    cdef Py_ssize_t missing = 0
    cdef int row, me, who, workers = <int>threads if 1 <= threads <= 256 else 0
    cdef Sums *mine
    cdef Sums *other
    cdef Sums *private[256]
    cdef double[:, ::1] total
    if workers == 0:
        raise ValueError("threads must be in 1..256")
    if not (gradients.shape[0] == hessians.shape[0] == n):
        raise ValueError("bins, gradients and hessians must be equally long")
    for who in range(workers):
        private[who] = NULL
    result = np.zeros((width, 256, 2))
    total = result.reshape(size, 2)

    with nogil, parallel(num_threads=workers):
        me = threadid()
        mine = <Sums *>calloc(size + 1, sizeof(Sums))
        private[me] = mine
        for i in prange(rows.shape[0], schedule="static"):
            row = rows[i]
            if mine == NULL or row < 0 or row >= n:
                missing += 1
            else:
                for f in range(width):
                    other = mine + f * 256 + bins[row, f]
                    other.gradient = other.gradient + gradients[row]
                    other.hessian = other.hessian + hessians[row]

    with nogil:
        for who in range(workers):
            if private[who] == NULL:
                continue  # fewer threads came than were asked for
            for i in range(size):
                total[i, 0] += private[who][i].gradient
                total[i, 1] += private[who][i].hessian
            free(private[who])
    if missing:
        raise IndexError("%d rows do not exist" % missing)
    return result
