# cython: language_level=3
# Threads of Python instead of OpenMP's: each gives the GIL up and sums a part into an array of its own.
from concurrent.futures import ThreadPoolExecutor

cimport cython
import numpy as np


@cython.boundscheck(False)
@cython.wraparound(False)
def _sum_part(
    const unsigned char[:, ::1] bins,
    const float[::1] gradients,
    const float[::1] hessians,
    const int[::1] rows,
):
    part = np.zeros((bins.shape[1], 256, 2))
    cdef double[:, :, ::1] sums = part
    cdef Py_ssize_t i, f, row
    with nogil:
        for i in range(rows.shape[0]):
            row = rows[i]
            for f in range(bins.shape[1]):
                sums[f, bins[row, f], 0] += gradients[row]
                sums[f, bins[row, f], 1] += hessians[row]
    return part


@cython.boundscheck(False)
@cython.wraparound(False)
cdef bint _exist(const int[::1] rows, Py_ssize_t samples) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint fine = True
    for i in range(rows.shape[0]):
        fine = fine and 0 <= rows[i] < samples
    return fine


def histograms(bins, gradients, hessians, rows, threads):
    cdef const unsigned char[:, ::1] b = bins
    cdef const float[::1] g = gradients
    cdef const float[::1] h = hessians
    cdef const int[::1] r = rows
    cdef bint exist
    if not 1 <= threads <= 256:
        raise ValueError(f"threads is {threads}, want 1 to 256")
    if g.shape[0] != b.shape[0] or h.shape[0] != b.shape[0]:
        raise ValueError("bins, gradients and hessians differ in length")
    with nogil:
        exist = _exist(r, b.shape[0])
    if not exist:
        raise IndexError("a row does not exist")

    parts = np.array_split(rows, threads)
    with ThreadPoolExecutor(threads) as pool:
        sums = list(pool.map(lambda part: _sum_part(bins, gradients, hessians, part), parts))
    total = sums[0]
    for other in sums[1:]:
        total += other
    return total
