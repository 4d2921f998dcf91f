"""Checks of cy-decay: the definition as a sum is the oracle; bad input; what the loop compiles to."""

import numpy as np
import pytest

# what a wrong implementation raises instead
OTHERS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


def define(users, times, tau):
    """The sum over earlier events of the same user, written as in the README. O(events squared)."""
    want = np.zeros(len(users))
    for i in range(len(users)):
        earlier = times[:i][users[:i] == users[i]]
        want[i] = np.exp(-(times[i] - earlier) / tau).sum()
    return want


def events(rng, count, n_users, start=0.0, gap=1.0):
    """Random events as (int32 users, float64 times)."""
    users = rng.integers(0, n_users, count).astype(np.int32)
    return users, start + np.cumsum(rng.exponential(gap, count))


def array(*values):
    return np.array(values, dtype=np.float64)


def expect(built, users, times, n_users, tau, why, rtol=1e-4):
    users = np.asarray(users, dtype=np.int32)
    got, want = built.decayed_counts(users, times, n_users, tau), define(users, times, tau)
    assert isinstance(got, np.ndarray), f"return a NumPy array, not {type(got).__name__}"
    assert (got.shape, got.dtype) == (want.shape, want.dtype), f"{why}: got {got.dtype} of shape {got.shape}"
    wrong = ~np.isclose(got, want, rtol=rtol, atol=1e-12)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise AssertionError(f"{why}: event {i} (user {users[i]}, time {times[i]}): got {got[i]!r}, want {want[i]!r}")


def refuses(error, built, users, times, n_users, tau, why):
    try:
        got = built.decayed_counts(np.array(users, dtype=np.int32), times, n_users, tau)
    except error:
        return
    except OTHERS as other:
        raise AssertionError(f"{why}: want {error.__name__}, got {type(other).__name__}: {other}") from None
    raise AssertionError(f"{why}: want {error.__name__}, but it returned {got}")


@pytest.mark.finds("wrong-result", at="decayed_counts")
def test_counts_match_the_definition(built, rng):
    for count, n_users, tau in ((1, 1, 1.0), (50, 3, 2.0), (400, 20, 10.0), (400, 1, 0.01)):
        users, times = events(rng, count, n_users)
        expect(built, users, times, n_users, tau, f"{count} events, {n_users} users, tau {tau}")


@pytest.mark.finds("wrong-result", at="decayed_counts")
def test_events_at_one_time_do_not_decay(built):
    expect(built, [0, 0, 1, 0], array(5, 5, 5, 5), 2, 0.5, "four events at time 5")


@pytest.mark.finds("wrong-result", at="decayed_counts")
def test_first_event_of_a_user_counts_zero_at_any_time(built):
    for start in (-1e9, -3.0, 0.0, 1e9):
        times = start + array(0, 1, 2)
        expect(built, [0, 1, 0], times, 2, 1e-3, f"a log that starts at time {start}")


@pytest.mark.finds("wrong-result", at="decayed_counts")
def test_infinite_tau_counts_events(built, rng):
    users, times = events(rng, 500, 7)
    got = built.decayed_counts(users, times, 7, np.inf)
    want = [int((users[:i] == users[i]).sum()) for i in range(len(users))]
    assert got.tolist() == want, f"tau = inf must count the earlier events: got {got[:12]}, want {want[:12]}"


@pytest.mark.finds("numerics", at="decayed_counts")
def test_unix_times_keep_their_fractions(built, rng):
    users, times = events(rng, 200, 5, start=1.7e9, gap=0.25)
    expect(built, users, times, 5, 1.0, "seconds since 1970, which float32 knows to 128 seconds only", rtol=1e-9)


@pytest.mark.finds("numerics", at="decayed_counts")
def test_state_keeps_double_precision(built, rng):
    users, times = events(rng, 300, 2, gap=0.5)
    got, want = built.decayed_counts(users, times, 2, 300.0), define(users, times, 300.0)
    worst = float(np.max(np.abs(got - want) / np.maximum(want, 1e-3)))
    assert worst < 1e-10, f"relative error {worst:.1e}: counts lose precision (float32 keeps 6e-8)"


@pytest.mark.finds("wrong-result", at="decayed_counts")
def test_tau_must_be_positive(built):
    for tau in (0.0, -0.0, -1.0, float("-inf"), float("nan")):
        refuses(ValueError, built, [0, 0, 0], array(1, 1, 2), 1, tau, f"tau = {tau}")
        refuses(ValueError, built, [], array(), 1, tau, f"tau = {tau} without events")


@pytest.mark.finds("wrong-result", at="decayed_counts")
def test_times_that_go_back_are_refused(built):
    refuses(ValueError, built, [0, 0, 0], array(1, 3, 2), 1, 1.0, "times 1, 3, 2 of one user")
    refuses(ValueError, built, [0, 1, 0], array(1, 3, 2), 2, 1.0, "times 1, 3, 2 of two users")
    refuses(ValueError, built, [0, 1], array(2, 1), 2, 1.0, "times 2, 1 of two users")
    refuses(ValueError, built, [0, 0], array(1, np.nan), 1, 1.0, "a NaN at the end of the times")
    refuses(ValueError, built, [0, 0], array(np.nan, 1), 1, 1.0, "a NaN at the start of the times")


@pytest.mark.finds("out-of-bounds", at="decayed_counts")
def test_user_out_of_range_is_an_index_error(built):
    for user in (-1, 3, -3, 4, -(2**31), 1_000_000):
        refuses(IndexError, built, [0, 1, user], array(1, 2, 3), 3, 1.0, f"user {user} of 3 users")


@pytest.mark.finds("out-of-bounds", at="decayed_counts")
def test_lengths_must_agree(built):
    refuses(ValueError, built, [0, 0, 0], array(1, 2), 1, 1.0, "3 users, 2 times")
    refuses(ValueError, built, [0], array(1, 2), 1, 1.0, "1 user, 2 times")


@pytest.mark.finds("wrong-result", at="decayed_counts")
def test_no_events_give_an_empty_array(built):
    for n_users in (0, 3):
        expect(built, [], array(), n_users, 1.0, f"no events, {n_users} users")


@pytest.mark.finds("layout", at="decayed_counts")
def test_readonly_arrays_are_accepted(built, rng):
    users, times = events(rng, 20, 3)
    want = built.decayed_counts(users.copy(), times.copy(), 3, 1.0)
    users.setflags(write=False)
    times.setflags(write=False)
    try:
        got = built.decayed_counts(users, times, 3, 1.0)
    except ValueError as error:
        raise AssertionError(f"read-only arrays (memory-mapped logs) must be accepted: {error}") from None
    assert np.array_equal(got, want), "read-only arrays give another result than writable ones"


@pytest.mark.finds("wrong-result", at="decayed_counts")
def test_calls_share_nothing(built, rng):
    users, times = events(rng, 60, 4)
    before = users.copy(), times.copy()
    first = built.decayed_counts(users, times, 4, 2.0)
    kept = first.copy()
    second = built.decayed_counts(users, times, 4, 2.0)
    assert np.array_equal(first, kept), "a second call changed the result of the first"
    assert np.array_equal(first, second), "the same call gave another result the second time"
    assert np.array_equal(users, before[0]), "the caller's users were changed"
    assert np.array_equal(times, before[1]), "the caller's times were changed"


def test_the_loop_stays_in_c(annotation):
    annotation.check()
