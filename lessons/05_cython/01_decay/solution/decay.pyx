# cython: language_level=3
"""Decayed event counts per user, a feature of rankers and fraud models."""

import numpy as np

cimport cython
# @gap
from libc.math cimport INFINITY, exp


@cython.boundscheck(False)  # every index below is checked by hand, once
@cython.wraparound(False)  # and none of them is meant to count from the end
def decayed_counts(const int[::1] users, const double[::1] times, Py_ssize_t n_users, double tau):
    """For each event: the decayed count of earlier events of its user, a float64 array of shape (events,).

    users: int32, each in 0..n_users-1 (else IndexError). times: float64, never decreasing (else ValueError).
    tau: seconds after which a count has decayed to 1/e, > 0 (else ValueError); infinity means no decay.
    """
    cdef Py_ssize_t i, events = users.shape[0]
    cdef int user
    cdef double now, value, previous = -INFINITY
    if times.shape[0] != events:
        raise ValueError(f"{events} users but {times.shape[0]} times")
    if not tau > 0:  # this way round NaN is refused too
        raise ValueError(f"tau must be positive, not {tau}")
    result = np.empty(events)
    cdef double[::1] out = result
    cdef double[::1] count = np.zeros(n_users)
    cdef double[::1] last = np.zeros(n_users)
    for i in range(events):
        user = users[i]
        now = times[i]
        if user < 0 or user >= n_users:
            raise IndexError(f"users[{i}] = {user} is not in 0..{n_users - 1}")
        if not now >= previous:
            raise ValueError(f"times[{i}] = {now} comes after {previous}")
        value = 0.0
        if count[user] > 0:  # a user seen for the first time has no last time to decay from
            value = count[user] * exp(-(now - last[user]) / tau)
        out[i] = value
        count[user] = value + 1.0
        last[user] = now
        previous = now
    return result
#| import math
#|
#|
#| def decayed_counts(users, times, n_users, tau):
#|     """For each event: the decayed count of earlier events of its user, a float64 array of shape (events,).
#|
#|     users: int32, each in 0..n_users-1 (else IndexError). times: float64, never decreasing (else ValueError).
#|     tau: seconds after which a count has decayed to 1/e, > 0 (else ValueError); infinity means no decay.
#|     """
#|     # TODO: give everything in the loop a C type, refuse bad input, and look at each formula again.
#|     out = np.empty(len(users))
#|     count = np.zeros(n_users)
#|     last = np.zeros(n_users)
#|     for i in range(len(users)):
#|         user = users[i]
#|         out[i] = count[user] * math.exp(-(times[i] - last[user]) / tau)
#|         count[user] = out[i] + 1
#|         last[user] = times[i]
#|     return out
# @end
