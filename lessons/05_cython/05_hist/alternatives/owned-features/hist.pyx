# cython: language_level=3, boundscheck=False, wraparound=False
# Each thread owns some features and reads every row: no merge, and one order of adding for any number of threads.
import numpy as np

from cython.parallel import prange


cdef void sum_feature(
    const unsigned char[:, ::1] bins,
    const float[::1] gradients,
    const float[::1] hessians,
    const int[::1] rows,
    Py_ssize_t feature,
    double[:, :, ::1] out,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef unsigned char bin
    for i in range(rows.shape[0]):
        bin = bins[rows[i], feature]
        out[feature, bin, 0] += gradients[rows[i]]
        out[feature, bin, 1] += hessians[rows[i]]


def histograms(
    const unsigned char[:, ::1] bins,
    const float[::1] gradients,
    const float[::1] hessians,
    const int[::1] rows,
    Py_ssize_t threads,
):
    cdef Py_ssize_t samples = bins.shape[0]
    cdef int feature, features = <int>bins.shape[1]
    cdef Py_ssize_t i
    cdef bint bad = False
    if threads < 1 or threads > 256:
        raise ValueError("between 1 and 256 threads")
    if gradients.shape[0] != samples:
        raise ValueError("one gradient a sample")
    if hessians.shape[0] != samples:
        raise ValueError("one hessian a sample")
    with nogil:
        for i in range(rows.shape[0]):
            if rows[i] < 0 or rows[i] >= samples:
                bad = True
                break
    if bad:
        raise IndexError(f"rows[{i}] is {rows[i]}, there are {samples} samples")

    result = np.zeros((features, 256, 2), dtype=np.float64)
    cdef double[:, :, ::1] out = result
    for feature in prange(features, nogil=True, num_threads=<int>threads):
        sum_feature(bins, gradients, hessians, rows, feature, out)
    return result
