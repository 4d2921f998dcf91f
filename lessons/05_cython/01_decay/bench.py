"""Benchmark of cy-decay: 100,000 events of 5,000 users against loops in Python."""

import math

from tutor.worker.case import Case

EVENTS, USERS, TAU = 100_000, 5_000, 3600.0


def log(rng):
    """A fresh event log."""
    import numpy as np

    users = rng.integers(0, USERS, EVENTS).astype(np.int32)
    return users, np.cumsum(rng.exponential(1.0, EVENTS)), USERS, TAU


def ndarray_loop(users, times, n_users, tau):
    """What one writes first: index the arrays, call NumPy on scalars."""
    import numpy as np

    out, count, last = np.empty(len(users)), np.zeros(n_users), np.zeros(n_users)
    for i in range(len(users)):
        user = users[i]
        out[i] = count[user] * np.exp(-(times[i] - last[user]) / tau)
        count[user] = out[i] + 1
        last[user] = times[i]
    return out


def list_loop(users, times, n_users, tau):
    """The tuned Python: lists, math.exp, local names."""
    import numpy as np

    out, count, last, exp = [], [0.0] * n_users, [0.0] * n_users, math.exp
    for user, now in zip(users.tolist(), times.tolist(), strict=True):
        value = count[user] * exp(-(now - last[user]) / tau)
        out.append(value)
        count[user] = value + 1
        last[user] = now
    return np.array(out)


def close(inputs, got, want):
    import numpy as np

    worst = int(np.argmax(np.abs(got - want)))
    assert np.allclose(got, want, rtol=1e-9, atol=1e-12), f"event {worst}: got {got[worst]}, want {want[worst]}"


def learner(built, users, times, n_users, tau):
    return built.decayed_counts(users, times, n_users, tau)


CASES = {
    "events-100k": Case(make=log, learner=learner, baseline=ndarray_loop, verify=close),
    "against-lists": Case(make=log, learner=learner, baseline=list_loop, verify=close),
}
