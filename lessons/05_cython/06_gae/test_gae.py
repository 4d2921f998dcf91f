"""Checks of cy-gae: the definition, a sum of discounted errors up to the end of each episode, is the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# what a wrong implementation raises instead
OTHERS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
NAMES = ("rewards", "values", "terminated", "truncated", "final_values", "last_values")


def rollout(rng, steps, envs, terminates=0.1, truncates=0.1):
    """Six arrays; final_values are NaN wherever no episode was cut, as in a buffer that nobody filled."""
    rewards, values, final = rng.standard_normal((3, steps, envs)).astype(np.float32)
    terminated, truncated = rng.random((2, steps, envs)) < np.array([terminates, truncates])[:, None, None]
    final[~truncated] = np.nan
    return [rewards, values, terminated, truncated, final, rng.standard_normal(envs).astype(np.float32)]


def define(rewards, values, terminated, truncated, final_values, last_values, gamma, lam):
    """Each advantage as the sum in the README, in float64, without any recursion."""
    steps, envs = rewards.shape
    want = np.zeros((steps, envs))
    for n in range(envs):
        after = np.append(values[1:, n], last_values[n]).astype(float)
        after[truncated[:, n]] = final_values[truncated[:, n], n]
        after[terminated[:, n]] = 0.0
        errors = rewards[:, n] + gamma * after - values[:, n]
        ends = np.append(np.flatnonzero(terminated[:, n] | truncated[:, n]), steps - 1)
        for t in range(steps):
            stop = ends[ends >= t][0] + 1
            want[t, n] = errors[t:stop] @ (gamma * lam) ** np.arange(stop - t)
    return want


def run(built, arrays, gamma, lam, out=None):
    """The advantages; out is full of NaN before the call, so a place that is read or not written shows."""
    if out is None:
        out = np.full(arrays[0].shape, np.nan, np.float32)
    built.advantages(*arrays, gamma, lam, out)
    return out


def told(arrays, t, n):
    ended = [name for name, array in zip(NAMES[2:4], arrays[2:4], strict=True) if array[t, n]]
    return f"step {t} of {len(arrays[0])}, environment {n} ({' and '.join(ended) or 'the episode goes on'})"


def compare(got, arrays, want, why):
    wrong = np.argwhere(~np.isclose(got, want, rtol=1e-4, atol=1e-4))
    if len(wrong):
        t, n = wrong[-1]
        raise AssertionError(f"{why}: {told(arrays, t, n)}: got {got[t, n]:.6g}, want {want[t, n]:.6g}")


def expect(built, arrays, gamma, lam, why):
    compare(run(built, arrays, gamma, lam), arrays, define(*arrays, gamma, lam), why)


def refuses(built, arrays, gamma, lam, why, out=None):
    out = np.full(arrays[0].shape, 5.0, np.float32) if out is None else out
    before = out.copy()
    try:
        built.advantages(*arrays, gamma, lam, out)
    except ValueError:
        assert np.array_equal(out, before), f"{why}: refused, but out was written to"
        return
    except OTHERS as other:
        raise AssertionError(f"{why}: want ValueError, got {type(other).__name__}: {other}") from None
    raise AssertionError(f"{why}: want ValueError, but it was accepted")


@pytest.mark.finds("wrong-result", at="advantages")
def test_one_episode_without_an_end(built, rng):
    for steps, envs in ((2, 1), (5, 3), (60, 4)):
        expect(built, rollout(rng, steps, envs, 0, 0), 0.9, 0.8, f"{steps} steps, nothing ends")


@pytest.mark.finds("wrong-result", at="advantages")
def test_state_after_the_last_step_is_bootstrapped(built):
    zero, no = np.zeros((1, 2), np.float32), np.zeros((1, 2), bool)
    got = run(built, [zero, zero, no, no, zero, np.array([4, 8], np.float32)], 0.5, 1.0)
    assert got.tolist() == [[2.0, 4.0]], f"reward 0, value 0, last_values 4 and 8, gamma 0.5: got {got.tolist()}"


@pytest.mark.finds("wrong-result", at="advantages")
def test_termination_has_no_value_after_it(built, rng):
    expect(built, rollout(rng, 40, 3, 0.3, 0), 0.99, 0.95, "episodes that terminate")


@pytest.mark.finds("wrong-result", at="advantages")
def test_truncation_continues_with_the_final_value(built, rng):
    expect(built, rollout(rng, 40, 3, 0, 0.3), 0.99, 0.95, "episodes that are cut off")


@pytest.mark.finds("wrong-result", at="advantages")
def test_termination_counts_when_both_are_set(built, rng):
    arrays = rollout(rng, 30, 2, 0.5, 0.5)
    arrays[3] |= arrays[2]
    arrays[4][arrays[3]] = 50.0
    expect(built, arrays, 0.99, 0.95, "terminated at the time limit")


@pytest.mark.finds("wrong-result", at="advantages")
def test_every_step_may_be_an_end(built, rng):
    for terminates, truncates in ((1, 0), (0, 1), (1, 1)):
        expect(built, rollout(rng, 12, 3, terminates, truncates), 0.9, 0.9, "all steps end an episode")


@pytest.mark.finds("wrong-result", at="advantages")
def test_last_step_may_be_an_end(built, rng):
    for which in (2, 3):
        arrays = rollout(rng, 6, 2, 0, 0)
        arrays[which][-1] = True
        arrays[4][-1] = 7.0
        expect(built, arrays, 0.9, 0.9, f"the last step is {NAMES[which]}")


@pytest.mark.finds("wrong-result", at="advantages")
def test_shapes_down_to_nothing(built, rng):
    for shape in ((1, 1), (1, 5), (7, 1), (0, 3), (4, 0), (0, 0), (33, 17)):
        expect(built, rollout(rng, *shape), 0.9, 0.9, f"a rollout of shape {shape}")


@pytest.mark.finds("wrong-result", at="advantages")
def test_any_number_of_environments(built, rng):
    for envs in (2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025, 2051):
        arrays = rollout(rng, 3, envs, 0.2, 0.2)
        expect(built, arrays, 0.9, 0.9, f"{envs} environments")


@pytest.mark.finds("wrong-result", at="advantages")
def test_gamma_and_lam_at_their_ends(built, rng):
    for gamma, lam in ((0, 0), (0, 1), (1, 0), (1, 1), (0.99, 1), (1, 0.95)):
        expect(built, rollout(rng, 30, 3), gamma, lam, f"gamma {gamma}, lam {lam}")


@settings(max_examples=40, deadline=None, database=None)
@given(data=st.data(), steps=st.integers(1, 12), envs=st.integers(1, 5))
def check_any_rollout(built, data, steps, envs):
    count, kinds = steps * envs, st.sampled_from(["", "terminated", "truncated", "both"])
    drawn = np.array(data.draw(st.lists(kinds, min_size=count, max_size=count)), dtype="U10").reshape(steps, envs)
    arrays = rollout(np.random.default_rng(data.draw(st.integers(0, 1 << 32))), steps, envs)
    arrays[2], arrays[3] = np.isin(drawn, ["terminated", "both"]), np.isin(drawn, ["truncated", "both"])
    arrays[4] = np.where(arrays[3], arrays[0] * 3, np.float32(np.nan))
    expect(built, arrays, 0.9, 0.8, "any pattern of ends")


@pytest.mark.finds("wrong-result", at="advantages")
def test_any_pattern_of_ends(built):
    check_any_rollout(built)


@pytest.mark.finds("numerics", at="advantages")
def test_final_values_are_read_only_where_an_episode_was_cut(built, rng):
    arrays = rollout(rng, 25, 4, 0.2, 0.2)
    want = define(*arrays, 0.9, 0.9)
    for rest in (np.nan, np.inf, -np.inf, 0.0):
        arrays[4][~arrays[3]] = rest
        compare(run(built, arrays, 0.9, 0.9), arrays, want, f"final_values are {rest} where nothing was truncated")


@pytest.mark.finds("numerics", at="advantages")
def test_nan_stays_in_its_episode(built, rng):
    arrays = rollout(rng, 20, 3, 0, 0)
    arrays[2][9] = True
    clean = define(*arrays, 0.9, 0.9)
    arrays[0][15, 1], arrays[1][12, 2], arrays[5][0] = np.nan, np.inf, np.nan
    got = run(built, arrays, 0.9, 0.9)
    compare(got[:10], arrays, clean[:10], "NaN or infinity in the episode after a termination")


@pytest.mark.finds("numerics", at="advantages")
def test_a_long_episode_keeps_its_precision(built):
    steps = 20_000
    arrays = [np.full((steps, 1), 0.1, np.float32), np.zeros((steps, 1), np.float32)]
    arrays += [np.zeros((steps, 1), bool), np.zeros((steps, 1), bool), np.zeros((steps, 1), np.float32)]
    got = run(built, [*arrays, np.zeros(1, np.float32)], 0.999, 0.99)
    want = float(np.float32(0.1)) * (1 - (0.999 * 0.99) ** steps) / (1 - 0.999 * 0.99)
    assert abs(got[0, 0] - want) < 1e-4 * want, f"20,000 rewards of 0.1: step 0: got {got[0, 0]}, want {want}"


@pytest.mark.finds("wrong-result", at="advantages")
def test_gamma_and_lam_outside_0_to_1_are_refused(built, rng):
    for bad in (-0.1, 1.0001, float("nan"), float("inf"), -float("inf")):
        refuses(built, rollout(rng, 3, 2), bad, 0.9, f"gamma = {bad}")
        refuses(built, rollout(rng, 3, 2), 0.9, bad, f"lam = {bad}")


@pytest.mark.finds("out-of-bounds", at="advantages")
@pytest.mark.parametrize("name", NAMES)
def test_shapes_must_agree(built, rng, name):
    which = NAMES.index(name)
    for change in ("longer", "shorter", "wider", "narrower"):
        arrays = rollout(rng, 4, 3)
        rows = {"longer": 5, "shorter": 3}.get(change, 4)
        columns = {"wider": 4, "narrower": 2}.get(change, 3)
        if name == "last_values" and columns == 3:
            continue
        shape = (columns,) if name == "last_values" else (rows, columns)
        arrays[which] = np.zeros(shape, arrays[which].dtype)
        refuses(built, arrays, 0.9, 0.9, f"{name} of shape {shape} among arrays of shape (4, 3)")


@pytest.mark.finds("out-of-bounds", at="advantages")
def test_out_must_have_the_shape_of_the_rollout(built, rng, guard):
    for shape in ((5, 3), (4, 4), (12, 1), (3, 4), (3, 3), (4, 2), (0, 0)):
        out = guard.array(np.ones(shape, np.float32))
        refuses(built, rollout(rng, 4, 3), 0.9, 0.9, f"out of shape {shape}, not (4, 3)", out)


@pytest.mark.finds("dtype", at="advantages")
def test_out_is_written_in_place_or_refused(built, rng):
    for out in (np.ones((4, 3)), np.ones((4, 3), np.int32), np.ones((4, 3), np.float16), np.ones((4, 3), ">f4")):
        refuses(built, rollout(rng, 4, 3), 0.9, 0.9, f"out of dtype {out.dtype.str}", out)
    out = np.ones((4, 3), np.float32)
    out.setflags(write=False)
    refuses(built, rollout(rng, 4, 3), 0.9, 0.9, "a read-only out", out)


@pytest.mark.finds("out-of-bounds", at="advantages")
@pytest.mark.parametrize("side", ["after", "before"])
def test_no_access_outside_the_arrays(built, rng, guard, side):
    for steps, envs in ((1, 1), (3, 5), (16, 8), (2, 1030)):
        arrays = rollout(rng, steps, envs)
        guarded = [guard.array(a, side=side) for a in (*arrays, np.full((steps, envs), np.nan, np.float32))]
        got = run(built, guarded[:6], 0.9, 0.9, guarded[6])
        compare(got, arrays, define(*arrays, 0.9, 0.9), f"arrays that touch a protected page ({side})")


@pytest.mark.finds("layout", at="advantages")
def test_readonly_arrays_are_accepted(built, rng):
    arrays = rollout(rng, 10, 3)
    want = define(*arrays, 0.9, 0.9)
    for array in arrays:
        array.setflags(write=False)
    try:
        got = run(built, arrays, 0.9, 0.9)
    except (ValueError, TypeError) as error:
        raise AssertionError(f"read-only arrays (a shared replay buffer) must be accepted: {error}") from None
    compare(got, arrays, want, "read-only arrays")


@pytest.mark.finds("layout", at="advantages")
@pytest.mark.parametrize("name", [*NAMES, "out"])
def test_other_layouts_are_right_or_refused(built, rng, variants, name):
    arrays = rollout(rng, 9, 4)
    want, which = define(*arrays, 0.9, 0.9), [*NAMES, "out"].index(name)
    every = [*arrays, np.full((9, 4), np.nan, np.float32)]
    for label, array in variants(every[which], kinds=("strided", "transposed", "negative")):
        given = [*every[:which], array, *every[which + 1 :]]
        try:
            got = run(built, given[:6], 0.9, 0.9, given[6])
        except (ValueError, BufferError):
            continue
        compare(got, arrays, want, f"{label} {name}")


@pytest.mark.finds("wrong-result", at="advantages")
def test_calls_share_nothing(built, rng):
    arrays = rollout(rng, 20, 3)
    before = [array.copy() for array in arrays]
    first = run(built, arrays, 0.9, 0.9)
    kept = first.copy()
    second = run(built, arrays, 0.9, 0.9)
    assert np.array_equal(first, kept), "a second call changed the result of the first"
    assert np.array_equal(first, second), "the same call gave another result the second time"
    for name, array, old in zip(NAMES, arrays, before, strict=True):
        assert np.array_equal(array, old, equal_nan=array.dtype.kind == "f"), f"the caller's {name} were changed"


def test_the_loop_stays_in_c(annotation):
    annotation.check()
