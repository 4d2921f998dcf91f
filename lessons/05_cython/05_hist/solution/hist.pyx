# cython: language_level=3
"""Histograms of gradients: what boosted trees compute for every node of every tree."""

cimport cython
# @gap
from cython.parallel cimport prange
#| # TODO: from cython.parallel cimport prange
# @end
import numpy as np

cdef enum:
    BINS = 256
    MOST_THREADS = 256


@cython.boundscheck(False)  # `rows` is compared here, everything else in histograms()
@cython.wraparound(False)
cdef Py_ssize_t add_rows(
    const unsigned char[:, ::1] bins,
    const float[::1] gradients,
    const float[::1] hessians,
    const int[::1] rows,
    Py_ssize_t start,
    Py_ssize_t stop,
    double *sums,
) noexcept nogil:
    """Add the samples rows[start:stop] to `sums`, laid out (feature, bin, 2).

    Returns how many of these row numbers don't exist; they are skipped.
    """
    cdef Py_ssize_t i, row, feature, place, unknown = 0, samples = bins.shape[0], features = bins.shape[1]
    for i in range(start, stop):
        row = rows[i]
        if row < 0 or row >= samples:
            unknown += 1
            continue
        for feature in range(features):
            place = (feature * BINS + bins[row, feature]) * 2
            sums[place] += gradients[row]
            sums[place + 1] += hessians[row]
    return unknown


@cython.boundscheck(False)
@cython.wraparound(False)
def histograms(
    const unsigned char[:, ::1] bins,
    const float[::1] gradients,
    const float[::1] hessians,
    const int[::1] rows,
    Py_ssize_t threads,
):
    """Sums of gradients and hessians by feature and bin, as float64 (features, 256, 2).

    bins: uint8 (samples, features). gradients, hessians: float32 (samples,). rows: int32, the samples in this node, a
    sample may come twice. threads: how many share the work; equal calls give equal bits.
    Raises ValueError for lengths that differ and threads outside 1..256, IndexError for a row that does not exist.
    """
    cdef Py_ssize_t features = bins.shape[1], count = rows.shape[0], unknown = 0
    if gradients.shape[0] != bins.shape[0] or hessians.shape[0] != bins.shape[0]:
        raise ValueError(f"{bins.shape[0]} samples need as many gradients and hessians")
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"threads must be in 1..{MOST_THREADS}, not {threads}")
    # @gap
    cdef Py_ssize_t block, i, size = features * BINS * 2
    private = np.zeros((threads, size))  # one histogram a block of rows: no two threads write to the same
    cdef double[:, ::1] sums = private
    # As many blocks as threads. Which thread takes which block doesn't matter, for the bits neither.
    for block in prange(threads, num_threads=threads, schedule="static", chunksize=1, nogil=True):
        unknown += add_rows(  # a reduction: each thread counts for itself
            bins,
            gradients,
            hessians,
            rows,
            count * block // threads,
            count * (block + 1) // threads,
            &sums[block, 0],
        )
    if unknown:
        raise IndexError(f"{unknown} of {count} rows are not among the {bins.shape[0]} samples")
    with nogil:
        for block in range(1, threads):  # always in this order: sums of floats depend on it
            for i in range(size):
                sums[0, i] += sums[block, i]
    return private[0].reshape(features, BINS, 2)
    #| result = np.zeros((features, BINS, 2))
    #| cdef double[:, :, ::1] sums = result
    #| # TODO: one thread does it all, and no other Python thread can run meanwhile. Share the rows between `threads`
    #| # threads. They must not add to the same memory.
    #| unknown = add_rows(bins, gradients, hessians, rows, 0, count, &sums[0, 0, 0])
    #| if unknown:
    #|     raise IndexError(f"{unknown} of {count} rows are not among the {bins.shape[0]} samples")
    #| return result
    # @end
