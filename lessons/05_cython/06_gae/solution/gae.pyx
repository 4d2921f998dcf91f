# cython: language_level=3
"""Generalised advantage estimation over rollouts of shape (T, N): T steps of N environments."""

cimport cython
# @gap

cdef enum:
    BLOCK = 1024  # environments at a time: what they carry is two rows of 4 KB, which stay in the L1 cache


@cython.boundscheck(False)  # all shapes are compared below, before the first element is touched
@cython.wraparound(False)  # no index counts from the end
def advantages(
    const float[:, ::1] rewards,
    const float[:, ::1] values,
    const unsigned char[:, ::1] terminated,
    const unsigned char[:, ::1] truncated,
    const float[:, ::1] final_values,
    const float[::1] last_values,
    double gamma,
    double lam,
    float[:, ::1] out,
):
    """Write the advantage of each step into out.

    rewards, values: float32 (T, N). terminated, truncated: bool (T, N), how step t ended.
    final_values: float32 (T, N), the value of the state in which a truncated episode stopped; anything elsewhere.
    last_values: float32 (N,), the values of the states after the last step. gamma, lam: in 0..1.
    out: float32 (T, N), apart from the others; what is in it before does not matter.
    Raises ValueError, and leaves out alone, for shapes that differ and for a gamma or lam outside 0..1.
    """
    cdef Py_ssize_t t, n, start, width, steps = rewards.shape[0], envs = rewards.shape[1]
    cdef float discount = gamma, decay = gamma * lam, ended, cut, going
    # What one step hands to the one before it. No view can overlap with a local array, so the C compiler need not
    # fear that storing here changes an input, and takes 8 or 16 environments with one instruction.
    cdef float[BLOCK] after, carry
    if not (values.shape[0] == terminated.shape[0] == truncated.shape[0] == final_values.shape[0] == steps):
        raise ValueError(f"all (T, N) arrays need the {steps} steps of rewards")
    if not (values.shape[1] == terminated.shape[1] == truncated.shape[1] == final_values.shape[1] == envs):
        raise ValueError(f"all (T, N) arrays need the {envs} environments of rewards")
    if out.shape[0] != steps or out.shape[1] != envs or last_values.shape[0] != envs:
        raise ValueError(f"out must be of shape ({steps}, {envs}), last_values of ({envs},)")
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):  # this way round NaN is refused too
        raise ValueError(f"gamma and lam must be in 0..1, not {gamma} and {lam}")
    for start in range(0, envs, BLOCK):
        width = min(BLOCK, envs - start)
        for n in range(width):
            after[n] = last_values[start + n]
            carry[n] = 0
        for t in range(steps - 1, -1, -1):
            for n in range(width):
                # All three answers, then a choice: nothing is multiplied by 0 (0 * NaN is NaN), and nothing branches.
                ended = rewards[t, start + n] - values[t, start + n]
                cut = ended + discount * final_values[t, start + n]
                going = ended + discount * after[n] + decay * carry[n]
                if truncated[t, start + n]:
                    going = cut
                if terminated[t, start + n]:
                    going = ended
                carry[n] = going
                after[n] = values[t, start + n]
            for n in range(width):
                out[t, start + n] = carry[n]
#|
#|
#| def advantages(rewards, values, terminated, truncated, final_values, last_values, gamma, lam, out):
#|     """Write the advantage of each step into out.
#|
#|     rewards, values: float32 (T, N). terminated, truncated: bool (T, N), how step t ended.
#|     final_values: float32 (T, N), the value of the state in which a truncated episode stopped; anything elsewhere.
#|     last_values: float32 (N,), the values of the states after the last step. gamma, lam: in 0..1.
#|     out: float32 (T, N), apart from the others; what is in it before does not matter.
#|     Raises ValueError, and leaves out alone, for shapes that differ and for a gamma or lam outside 0..1.
#|     """
#|     # TODO: types, bad input, and the two kinds of ending: this one takes every end for a termination.
#|     steps, envs = rewards.shape
#|     for n in range(envs):
#|         carry, after = 0.0, last_values[n]
#|         for t in range(steps - 1, -1, -1):
#|             going = 1.0 - (terminated[t, n] or truncated[t, n])
#|             carry = rewards[t, n] + gamma * after * going - values[t, n] + gamma * lam * going * carry
#|             out[t, n] = carry
#|             after = values[t, n]
# @end
