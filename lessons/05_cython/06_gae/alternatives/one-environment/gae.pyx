# cython: language_level=3
# One environment after the other, from its last step back, in double precision; strides as they come.
cimport cython


cdef int same_shape(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t steps, Py_ssize_t envs) except -1:
    if rows != steps or columns != envs:
        raise ValueError(f"expected ({steps}, {envs}), got ({rows}, {columns})")
    return 0


@cython.boundscheck(False)
@cython.wraparound(False)
def advantages(
    const float[:, :] rewards,
    const float[:, :] values,
    terminated,
    truncated,
    const float[:, :] final_values,
    const float[:] last_values,
    gamma,
    lam,
    float[:, :] out,
):
    cdef const unsigned char[:, :] dead = terminated
    cdef const unsigned char[:, :] cut = truncated
    cdef double g = gamma, l = lam, following, advantage, delta
    cdef Py_ssize_t T = rewards.shape[0], N = rewards.shape[1], t, n

    same_shape(values.shape[0], values.shape[1], T, N)
    same_shape(dead.shape[0], dead.shape[1], T, N)
    same_shape(cut.shape[0], cut.shape[1], T, N)
    same_shape(final_values.shape[0], final_values.shape[1], T, N)
    same_shape(out.shape[0], out.shape[1], T, N)
    same_shape(T, last_values.shape[0], T, N)
    for name, factor in (("gamma", g), ("lam", l)):
        if not 0.0 <= factor <= 1.0:
            raise ValueError(f"{name} is {factor}, not in 0..1")

    for n in range(N):
        following = last_values[n]
        advantage = 0.0
        for t in reversed(range(T)):
            if dead[t, n]:
                advantage = <double>rewards[t, n] - values[t, n]
            elif cut[t, n]:
                advantage = rewards[t, n] + g * final_values[t, n] - values[t, n]
            else:
                delta = rewards[t, n] + g * following - values[t, n]
                advantage = delta + g * l * advantage
            following = values[t, n]
            out[t, n] = <float>advantage
