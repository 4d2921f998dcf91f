# cython: language_level=3
# Rows as pointers of C, a buffer from malloc, and a loop without the GIL.
from libc.stdlib cimport free, malloc


cdef void one_step(
    Py_ssize_t envs,
    const float *reward,
    const float *value,
    const float *next_value,
    const unsigned char *terminated,
    const unsigned char *truncated,
    const float *final_value,
    double gamma,
    double decay,
    double *carry,
    float *out,
) noexcept nogil:
    cdef Py_ssize_t n
    cdef double after
    for n in range(envs):
        if terminated[n] or truncated[n]:
            after = 0.0 if terminated[n] else final_value[n]
            carry[n] = 0.0
        else:
            after = next_value[n]
        carry[n] = reward[n] + gamma * after - value[n] + decay * carry[n]
        out[n] = <float>carry[n]


def advantages(
    const float[:, ::1] rewards not None,
    const float[:, ::1] values not None,
    const unsigned char[:, ::1] terminated not None,
    const unsigned char[:, ::1] truncated not None,
    const float[:, ::1] final_values not None,
    const float[::1] last_values not None,
    double gamma,
    double lam,
    float[:, ::1] out not None,
):
    cdef Py_ssize_t steps = rewards.shape[0], envs = rewards.shape[1], t, n
    shape = (steps, envs)
    others = {
        "values": values,
        "terminated": terminated,
        "truncated": truncated,
        "final_values": final_values,
        "out": out,
    }
    for name, array in others.items():
        if (array.shape[0], array.shape[1]) != shape:
            raise ValueError(f"{name} must have the shape of rewards, {shape}")
    if last_values.shape[0] != envs:
        raise ValueError(f"last_values must have {envs} elements")
    if not (gamma >= 0 and gamma <= 1):
        raise ValueError("gamma must be in 0..1")
    if not (lam >= 0 and lam <= 1):
        raise ValueError("lam must be in 0..1")
    if steps == 0 or envs == 0:
        return

    cdef double *carry = <double *>malloc(envs * sizeof(double))
    if carry == NULL:
        raise MemoryError()
    with nogil:
        for n in range(envs):
            carry[n] = 0.0
        t = steps
        while t > 0:
            t -= 1
            one_step(
                envs,
                &rewards[t, 0],
                &values[t, 0],
                &last_values[0] if t == steps - 1 else &values[t + 1, 0],
                &terminated[t, 0],
                &truncated[t, 0],
                &final_values[t, 0],
                gamma,
                gamma * lam,
                carry,
                &out[t, 0],
            )
        free(carry)
