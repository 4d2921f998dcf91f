# cython: language_level=3
# distutils: extra_compile_args = -O2 -fopenmp
# distutils: extra_link_args = -fopenmp
import numpy as np

from cython.parallel cimport prange

# @listing 1


def empty(n):
    # @listing 2


cdef void count_part(const int[::1] bin, long[::1] counts) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(bin.shape[0]):
        counts[bin[i]] += 1


def count(const int[::1] bin, long[:, ::1] counts):
    cdef Py_ssize_t part, b, n = bin.shape[0], parts = counts.shape[0], bins = counts.shape[1]
    # @listing 3
