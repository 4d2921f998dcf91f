# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# A record a user from calloc, and a loop without the GIL that answers with a status.
from libc.math cimport exp, isnan
from libc.stdlib cimport calloc, free

import numpy as np


cdef struct Memory:
    double value
    double when
    bint known


cdef enum Status:
    FINE
    BAD_USER
    BAD_TIME


cdef Status walk(
    const int *users,
    const double *times,
    Py_ssize_t events,
    Memory *memory,
    Py_ssize_t n_users,
    double tau,
    double *out,
    Py_ssize_t *where,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef Memory *mine
    for i in range(events):
        where[0] = i
        if users[i] < 0 or users[i] >= n_users:
            return BAD_USER
        if isnan(times[i]) or (i > 0 and times[i] < times[i - 1]):
            return BAD_TIME
        mine = memory + users[i]
        if mine.known:
            out[i] = mine.value * exp((mine.when - times[i]) / tau)
        else:
            out[i] = 0
        mine.value = 1 + out[i]
        mine.when = times[i]
        mine.known = True
    return FINE


def decayed_counts(const int[::1] users, const double[::1] times, Py_ssize_t n_users, double tau):
    if users.shape[0] != times.shape[0]:
        raise ValueError("users and times must be of one length")
    if tau <= 0 or isnan(tau):
        raise ValueError("tau must be greater than 0")
    out = np.zeros(users.shape[0], dtype=np.float64)
    if users.shape[0] == 0:
        return out
    if n_users <= 0:
        raise IndexError("there are no users")

    cdef double[::1] view = out
    cdef Py_ssize_t where = 0
    cdef Status status
    cdef Memory *memory = <Memory *>calloc(n_users, sizeof(Memory))
    if memory == NULL:
        raise MemoryError()
    try:
        with nogil:
            status = walk(&users[0], &times[0], users.shape[0], memory, n_users, tau, &view[0], &where)
    finally:
        free(memory)
    if status == BAD_USER:
        raise IndexError("event %d is of user %d" % (where, users[where]))
    if status == BAD_TIME:
        raise ValueError("event %d has the time %r, which is no later time" % (where, times[where]))
    return out
