"""Benchmarks of cy-gae: a rollout of 128 steps in 128 environments against loops in Python and NumPy row by row."""

from tutor.worker.case import Case

STEPS, ENVS = 128, 128
GAMMA, LAM = 0.99, 0.95


def rollout(rng):
    """A fresh rollout: rewards, values, terminated, truncated, final_values, last_values, gamma, lam, out."""
    import numpy as np

    out = np.full((STEPS, ENVS), np.nan, dtype=np.float32)
    rewards, values, final = rng.standard_normal((3, STEPS, ENVS)).astype(np.float32)
    draw = rng.random((STEPS, ENVS))
    terminated, truncated = draw < 0.01, draw > 0.99
    final[~truncated] = np.nan
    return rewards, values, terminated, truncated, final, rng.standard_normal(ENVS).astype(np.float32), GAMMA, LAM, out


def ndarray_loop(rewards, values, terminated, truncated, final_values, last_values, gamma, lam, out):
    """What one writes first, and what many a PPO does: the formulas, with masks of 0 and 1, element by element."""
    import numpy as np

    steps, envs = rewards.shape
    alive, going = (~terminated).astype(np.float32), (~(terminated | truncated)).astype(np.float32)
    for n in range(envs):
        carry = 0.0
        for t in range(steps - 1, -1, -1):
            after = values[t + 1, n] if t + 1 < steps else last_values[n]
            if truncated[t, n]:
                after = final_values[t, n]
            error = rewards[t, n] + gamma * after * alive[t, n] - values[t, n]
            out[t, n] = carry = error + gamma * lam * going[t, n] * carry
    return out


def list_loop(rewards, values, terminated, truncated, final_values, last_values, gamma, lam, out):
    """The tuned Python: one list a column, zipped and walked from the end, local names only."""
    import numpy as np

    decay, columns = gamma * lam, []
    reverse = [a.T[:, ::-1].tolist() for a in (rewards, values, terminated, truncated, final_values)]
    for after, *column in zip(last_values.tolist(), *reverse, strict=True):
        carry, column_out = 0.0, []
        for reward, value, ended, cut, final in zip(*column, strict=True):
            if ended:
                carry = reward - value
            elif cut:
                carry = reward + gamma * final - value
            else:
                carry = reward + gamma * after - value + decay * carry
            column_out.append(carry)
            after = value
        columns.append(column_out)
    out[:] = np.array(columns, dtype=np.float32)[:, ::-1].T
    return out


def numpy_rows(rewards, values, terminated, truncated, final_values, last_values, gamma, lam, out):
    """All environments at once, a step at a time: what NumPy can do here."""
    import numpy as np

    after = np.concatenate([values[1:], last_values[None]])
    after = np.where(terminated, 0, np.where(truncated, final_values, after))
    delta = rewards + gamma * after - values
    decay = (gamma * lam * ~(terminated | truncated)).astype(np.float32)
    carry = np.zeros(delta.shape[1], np.float32)
    for t in range(len(delta) - 1, -1, -1):
        carry = delta[t] + decay[t] * carry
        out[t] = carry
    return out


def close(inputs, got, want):
    import numpy as np

    assert (got.shape, got.dtype) == (want.shape, want.dtype), f"got {got.dtype} of shape {got.shape}"
    wrong = np.argwhere(~np.isclose(got, want, rtol=1e-4, atol=1e-4))
    if len(wrong):
        t, n = wrong[-1]
        raise AssertionError(f"step {t}, environment {n}: got {got[t, n]}, want {want[t, n]}")


def settle(built, inputs):
    """A rollout was just written when this is called in earnest: its data is in the caches. So it is here, and so is
    the code, which is called with other data, of a few steps."""
    import numpy as np

    if built is not None:
        built.advantages(*(a[:4] if np.ndim(a) == 2 else a for a in rollout(np.random.default_rng(0))))
    for array in inputs:
        np.sum(array)


def learner(built, *inputs):
    built.advantages(*inputs)
    return inputs[-1]


CASES = {
    name: Case(make=rollout, settle=settle, learner=learner, baseline=baseline, verify=close, mutates=True)
    for name, baseline in (("ndarray-loop", ndarray_loop), ("list-loop", list_loop), ("numpy-rows", numpy_rows))
}
