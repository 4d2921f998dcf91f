# cython: language_level=3
# The older buffer syntax of `cimport numpy`; index checks stay on, and messages are built before they are raised.
import numpy as np

cimport numpy as cnp

from libc cimport math as cmath

cnp.import_array()


def decayed_counts(
    cnp.ndarray[cnp.int32_t, ndim=1] users,
    cnp.ndarray[cnp.float64_t, ndim=1] times,
    int n_users,
    double tau,
):
    cdef Py_ssize_t n = len(users)
    if len(times) != n:
        msg = "users and times differ in length: {} and {}".format(n, len(times))
        raise ValueError(msg)
    if not (tau > 0.0):
        msg = "tau must be > 0"
        raise ValueError(msg)

    cdef cnp.ndarray[cnp.float64_t, ndim=1] answers = np.zeros(n, dtype=np.float64)
    cdef cnp.ndarray[cnp.float64_t, ndim=1] counts = np.zeros(n_users, dtype=np.float64)
    cdef cnp.ndarray[cnp.float64_t, ndim=1] seen_at = np.full(n_users, np.nan, dtype=np.float64)
    cdef double age, t
    cdef int u
    cdef Py_ssize_t i = 0
    while i < n:
        u, t = users[i], times[i]
        if not 0 <= u < n_users:
            msg = "event {}: no user {}".format(i, u)
            raise IndexError(msg)
        if t != t or i > 0 and t < times[i - 1]:
            msg = (
                "event {}: the time {} is not in order"
                .format(i, t)
            )
            raise ValueError(msg)
        if not cmath.isnan(seen_at[u]):
            age = t - seen_at[u]
            answers[i] = counts[u] * cmath.exp(-age / tau)
        counts[u] = answers[i] + 1
        seen_at[u] = t
        i += 1
    return answers
