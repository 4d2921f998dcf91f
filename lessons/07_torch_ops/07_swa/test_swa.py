"""Checks of op-swa: values for every window, gradients in every layout, and memory that grows with the length only."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# what TORCH_CHECK, TORCH_CHECK_TYPE, TORCH_CHECK_VALUE and TORCH_CHECK_NOT_IMPLEMENTED raise
REFUSED = (RuntimeError, TypeError, ValueError)


@pytest.fixture
def swa(built):
    """torch.ops.swa with what swa.py registers."""
    import swa  # noqa: F401 - the learner's Python file

    return built


def normal(rng, *shape, dtype="float32", scale=1.0):
    import torch

    return torch.from_numpy((rng.standard_normal(shape) * scale).astype(dtype))


def triple(rng, *shape, dtype="float32", scale=1.0):
    return [normal(rng, *shape, dtype=dtype, scale=scale) for _ in range(3)]


def capped(q, k, window, cap):
    """Scores in float64, -inf where a query must not look."""
    import torch

    scores = q.double() @ k.double().transpose(-1, -2) / math.sqrt(q.shape[-1])
    i = torch.arange(q.shape[2])
    seen = (i[None] <= i[:, None]) & (i[None] > i[:, None] - window)
    return (cap * torch.tanh(scores / cap)).masked_fill(~seen, float("-inf"))


def reference(q, k, v, window, cap):
    """The result in float64, differentiable: all N x N scores."""
    return capped(q, k, window, cap).softmax(-1) @ v.double()


def same(got, want, what, tolerance=None):
    """Equal but for rounding; the first place that is not."""
    import torch

    assert got.shape == want.shape, f"{what}: shape {tuple(got.shape)}, want {tuple(want.shape)}"
    tolerance = tolerance or (3e-5 if got.dtype == torch.float32 else 1e-10)
    off = ~((got.double() - want).abs() <= tolerance * (1 + want.abs()))
    if off.any():
        place = tuple(off.nonzero()[0].tolist())
        raise AssertionError(
            f"{what}: {int(off.sum())} of {off.numel()} values are wrong, first at [batch, head, position, dim]"
            f" = {list(place)}: got {got[place]:.6g}, want {want[place]:.6g}"
        )


def wanted(grad, q, k, v, window, cap):
    """Gradients by autograd through the reference, in float64."""
    import torch

    leaves = [t.detach().double().requires_grad_() for t in (q, k, v)]
    return torch.autograd.grad(reference(*leaves, window, cap), leaves, grad.double())


@pytest.mark.finds("wrong-result", at="attend")
def test_values_match_the_formula(swa, rng):
    for shape, window in [((1, 1, 4, 4), 4), ((2, 3, 9, 5), 4), ((1, 2, 40, 16), 7), ((1, 1, 130, 64), 33)]:
        qkv = triple(rng, *shape)
        same(swa.forward(*qkv, window, 5.0)[0], reference(*qkv, window, 5.0), f"{shape}, window {window}")


@pytest.mark.finds("wrong-result", at="first_key")
def test_each_query_sees_exactly_its_window(swa):
    import torch

    positions = 12
    for window in (1, 2, 5, 11, 12, 13, 1000):
        zero, v = torch.zeros(1, 1, positions, positions), torch.eye(positions)[None, None]
        seen = swa.forward(zero, zero, v, window, 1.0)[0][0, 0]  # equal scores: the mean of what each query sees
        for i in range(positions):
            want = list(range(max(0, i - window + 1), i + 1))
            got = (seen[i] > 1e-6).nonzero().flatten().tolist()
            assert got == want, f"window {window}, {positions} positions: query {i} sees the keys {got}, want {want}"
            assert abs(float(seen[i].sum()) - 1) < 1e-5, f"window {window}: weights of query {i} sum to {seen[i].sum()}"


@pytest.mark.finds("wrong-result", at="attend")
def test_one_position_sees_itself(swa, rng):
    q, k, v = triple(rng, 2, 3, 1, 8)
    for window in (1, 7):
        same(swa.forward(q, k, v, window, 2.0)[0], v.double(), f"one position, window {window}")


@pytest.mark.finds("wrong-result", at="squash")
def test_scores_are_capped(swa, rng):
    q, k, v = triple(rng, 1, 2, 20, 8, scale=4.0)
    for cap in (0.1, 1.0, 8.0):
        same(swa.forward(q, k, v, 6, cap)[0], reference(q, k, v, 6, cap), f"cap {cap}", 2e-4)


@pytest.mark.finds("numerics", at="attend")
def test_large_scores_neither_overflow_nor_vanish(swa, rng):
    for dtype, scale, cap in [("float32", 60.0, 2000.0), ("float32", 1e3, 300.0), ("float64", 1e3, 5000.0)]:
        q, k, v = triple(rng, 1, 2, 30, 16, dtype=dtype)
        out, lse = swa.forward(q * scale, k, v, 10, cap)
        assert bool(out.isfinite().all()), f"{dtype}, scores up to {cap:g}: the result has inf or NaN"
        assert bool(lse.isfinite().all()), f"{dtype}, scores up to {cap:g}: the log-sum-exp has inf or NaN"
        tolerance = 2e-2 if dtype == "float32" else 1e-8
        same(out, reference(q * scale, k, v, 10, cap), f"{dtype}, scores up to {cap:g}", tolerance)


@pytest.mark.finds("numerics", at="attend")
def test_all_scores_far_below_zero_still_average(swa, rng):
    import torch

    for dtype in (torch.float32, torch.float64):
        q = torch.full((1, 1, 9, 4), 40.0, dtype=dtype)
        v = normal(rng, 1, 1, 9, 4).to(dtype)
        out = swa.forward(q, -q, v, 3, 1000.0)[0]  # every score is about -997
        same(out, reference(q, -q, v, 3, 1000.0), f"{dtype}, all scores at -997", 1e-4)


@pytest.mark.finds("wrong-result", at="attend")
def test_the_log_sum_exp_is_returned(swa, rng):
    q, k, v = triple(rng, 2, 2, 15, 8, dtype="float64", scale=2.0)
    lse = swa.forward(q, k, v, 4, 3.0)[1]
    want = capped(q, k, 4, 3.0).logsumexp(-1)
    assert lse.shape == want.shape, f"lse has shape {tuple(lse.shape)}, want {tuple(want.shape)}"
    worst = float((lse - want).abs().max())
    assert worst < 1e-9, f"lse differs from log(sum(exp(scores))) by up to {worst:.3g}"


@pytest.mark.finds("wrong-result", at="attend")
@settings(max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 40), st.integers(1, 35)),
    window=st.integers(1, 45),
    cap=st.floats(0.5, 60),
)
def test_any_shape_and_window(swa, shape, window, cap):
    import numpy as np

    rng = np.random.default_rng(sum(shape) + window)
    qkv, grad = triple(rng, *shape, dtype="float64"), normal(rng, *shape, dtype="float64")
    out, lse = swa.forward(*qkv, window, cap)
    same(out, reference(*qkv, window, cap), f"{shape}, window {window}, cap {cap:.3g}")
    got = swa.backward(grad, *qkv, out, lse, window, cap)
    for name, mine, theirs in zip("qkv", got, wanted(grad, *qkv, window, cap), strict=True):
        same(mine, theirs, f"gradient of {name}, {shape}, window {window}, cap {cap:.3g}")


def views(rng, kind, dtype="float32"):
    """q, k, v of shape (2, 3, 11, 8) as models have them."""
    if kind == "packed projection":
        packed = normal(rng, 2, 11, 3, 3, 8, dtype=dtype)
        return [packed[:, :, part].transpose(1, 2) for part in range(3)]
    if kind == "shared keys":
        one = normal(rng, 2, 1, 11, 8, dtype=dtype)
        return [normal(rng, 2, 3, 11, 8, dtype=dtype), one.expand(2, 3, 11, 8), one.expand(2, 3, 11, 8)]
    return [normal(rng, 2, 3, 8, 22, dtype=dtype)[..., ::2].transpose(2, 3) for _ in range(3)]


@pytest.mark.finds("layout", at="forward")
@pytest.mark.parametrize("kind", ["packed projection", "shared keys", "transposed, every second"])
def test_views_match_their_copies(swa, rng, kind):
    q, k, v = views(rng, kind)
    same(swa.forward(q, k, v, 4, 6.0)[0], reference(q, k, v, 4, 6.0), f"{kind}, strides {q.stride()}, {k.stride()}")


@pytest.mark.finds("layout", at="check")
def test_what_makes_no_sense_is_refused(swa, rng):
    import torch

    q, k, v = triple(rng, 1, 2, 6, 4)
    wrong = {
        "three dimensions": (q[0], k[0], v[0], 3, 1.0),
        "fewer keys": (q, k[:, :, :4], v, 3, 1.0),
        "wider values": (q, k, torch.cat((v, v), -1), 3, 1.0),
        "window 0": (q, k, v, 0, 1.0),
        "cap 0": (q, k, v, 3, 0.0),
        "float16": (q.half(), k.half(), v.half(), 3, 1.0),
        "two dtypes": (q, k.double(), v, 3, 1.0),
    }
    for name, args in wrong.items():
        try:
            swa.forward(*args)
        except REFUSED:
            continue
        raise AssertionError(f"{name}: taken, want an exception")


@pytest.mark.finds("layout", at="forward")
def test_empty_tensors_are_fine(swa, rng):
    for shape in [(0, 2, 5, 4), (1, 0, 5, 4), (1, 2, 0, 4)]:
        q, k, v = (t.requires_grad_() for t in triple(rng, *shape))
        out = swa.forward(q, k, v, 3, 1.0)[0]
        out.sum().backward()
        assert out.shape == q.shape, f"{shape}: the result has shape {tuple(out.shape)}"
        assert q.grad.shape == q.shape, f"{shape}: the gradient has shape {tuple(q.grad.shape)}"


@pytest.mark.finds("gradient", at="contribute")
@pytest.mark.parametrize("cap", [1.0, 100.0])
def test_three_gradients_are_right(swa, rng, cap):
    for dtype, tolerance in (("float64", None), ("float32", 3e-4)):
        for shape, window in [((1, 1, 1, 4), 1), ((2, 2, 13, 8), 4), ((1, 2, 33, 20), 50)]:
            qkv, grad = triple(rng, *shape, dtype=dtype, scale=1.5), normal(rng, *shape, dtype=dtype)
            out, lse = swa.forward(*qkv, window, cap)
            got = swa.backward(grad, *qkv, out, lse, window, cap)
            for name, mine, theirs in zip("qkv", got, wanted(grad, *qkv, window, cap), strict=True):
                same(mine, theirs, f"gradient of {name}, {dtype}, {shape}, window {window}, cap {cap:g}", tolerance)


@pytest.mark.finds("gradient", at="> backward(")
@pytest.mark.parametrize("kind", ["heads last", "expanded", "slice of a cat"])
def test_incoming_gradients_have_any_layout(swa, rng, kind):
    qkv = triple(rng, 2, 3, 11, 8, dtype="float64")
    grad = {
        "heads last": lambda: normal(rng, 2, 11, 3, 8, dtype="float64").transpose(1, 2),
        "expanded": lambda: normal(rng, 1, dtype="float64").expand(2, 3, 11, 8),
        "slice of a cat": lambda: normal(rng, 2, 3, 11, 20, dtype="float64")[..., 7:15],
    }[kind]()
    before = grad.clone()
    out, lse = swa.forward(*qkv, 4, 6.0)
    got = swa.backward(grad, *qkv, out, lse, 4, 6.0)
    for name, mine, theirs in zip("qkv", got, wanted(grad, *qkv, 4, 6.0), strict=True):
        same(mine, theirs, f"gradient of {name}, incoming gradient {kind}, strides {grad.stride()}")
    assert grad.equal(before), f"the incoming gradient ({kind}) was written"


@pytest.mark.finds("gradient", at="def backward(")
def test_backward_is_the_slope_of_forward(swa, operator, rng):
    for shape, window in [((1, 2, 7, 3), 3), ((1, 1, 4, 2), 9)]:
        qkv = [t.requires_grad_() for t in triple(rng, *shape, dtype="float64")]
        operator.gradients(lambda q, k, v, w=window: swa.forward(q, k, v, w, 2.0)[0].transpose(1, 2), *qkv)


@pytest.mark.finds("gradient", at="def backward(")
def test_training_through_views_matches_eager(swa, rng):
    import torch

    packed = normal(rng, 2, 11, 3, 3, 8, dtype="float64").requires_grad_()

    def loss(attention):
        q, k, v = (packed[:, :, part].transpose(1, 2) for part in range(3))
        return (attention(q, k, v).transpose(1, 2).flatten(2) ** 2).sum()

    (got,) = torch.autograd.grad(loss(lambda q, k, v: swa.forward(q, k, v, 4, 6.0)[0]), packed)
    (want,) = torch.autograd.grad(loss(lambda q, k, v: reference(q, k, v, 4, 6.0)), packed)
    worst = float((got - want).abs().max())
    assert worst < 1e-8, f"gradient of a packed projection differs from eager by up to {worst:.3g}"


@pytest.mark.finds("hidden-copy", at="attend")
def test_memory_is_linear_in_the_length(swa, memory):
    import torch

    positions, dim = 6000, 16
    qkv = [torch.ones(1, 1, positions, dim) for _ in range(3)]
    swa.backward(qkv[0], *qkv, *swa.forward(*qkv, 4, 2.0), 4, 2.0)  # whatever is loaded lazily is there now
    (out, lse), forward = memory.peak(swa.forward, *qkv, 16, 2.0)
    _, backward = memory.peak(swa.backward, qkv[0], *qkv, out, lse, 16, 2.0)
    limit = 12 * qkv[0].nbytes
    for name, extra in (("forward", forward), ("backward", backward)):
        assert extra < limit, (
            f"{name} of {positions} positions needed {extra:,} bytes; the tensors have {qkv[0].nbytes:,} each,"
            f" all scores would have {4 * positions**2:,}"
        )


@pytest.mark.finds("hidden-copy", at="setup_context")
def test_what_is_kept_is_linear_in_the_length(swa, rng):
    import torch

    qkv, kept = [t.requires_grad_() for t in triple(rng, 1, 2, 256, 16)], []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        out, lse = swa.forward(*qkv, 64, 2.0)
    allowed = 3 * qkv[0].nbytes + out.nbytes + lse.nbytes
    assert sum(kept) <= allowed, (
        f"{sum(kept):,} bytes are kept; q, k, v, the result and its log-sum-exp have {allowed:,}"
    )


@pytest.mark.finds("autograd-registration", at="setup_context")
def test_a_change_after_forward_is_noticed(swa, rng):
    for index, name in enumerate(("q", "k", "v", "the result")):
        tensors = [t.requires_grad_() * 1 for t in triple(rng, 1, 1, 6, 4)]
        out = swa.forward(*tensors, 3, 2.0)[0]
        [*tensors, out][index].detach().mul_(2)
        try:
            out.sum().backward()
        except RuntimeError:
            continue
        raise AssertionError(f"{name} was changed after forward, and backward used it: keep it with save_for_backward")


@pytest.mark.finds("data-race", at="run_backward")
def test_threads_do_not_change_the_result(swa, rng):
    import torch

    # Every query sees all earlier keys, so threads that share a head meet in the same rows all the time. A call takes
    # a tenth of a second: on a machine that is busy, shorter ones end before a second thread has begun.
    qkv, grad = triple(rng, 1, 2, 1500, 64, dtype="float64"), normal(rng, 1, 2, 1500, 64, dtype="float64")
    before, first = torch.get_num_threads(), None
    try:
        for turn, threads in enumerate((1, *[4] * 8)):
            torch.set_num_threads(threads)
            if turn < 2:
                out, lse = swa.forward(*qkv, 1500, 5.0)
            result = (out, *swa.backward(grad, *qkv, out, lse, 1500, 5.0))
            first = first or result
            for name, mine, theirs in zip(("out", "dq", "dk", "dv"), result, first, strict=True):
                worst = float((mine - theirs).abs().max())
                assert worst < 1e-9, (
                    f"with 4 threads {name} differs by {worst:.3g} from that with one (turn {turn}):"
                    " two threads add to the same row"
                )
    finally:
        torch.set_num_threads(before)


@pytest.mark.finds("out-of-bounds", at="attend")
@pytest.mark.parametrize("side", ["after", "before"])
def test_reads_stay_inside(swa, guard, rng, side):
    import torch

    q, k, v, grad = (
        torch.from_numpy(guard.array(rng.standard_normal((1, 2, 9, 7)).astype("float32"), side=side)) for _ in range(4)
    )
    for window in (3, 20):
        out, lse = swa.forward(q, k, v, window, 4.0)
        same(out, reference(q, k, v, window, 4.0), f"guard page {side}, window {window}")
        swa.backward(grad, q, k, v, out, lse, window, 4.0)


@pytest.mark.finds("schema", at="m.def(")
def test_the_operator_keeps_its_contract(swa, operator, rng):
    for needs_grad in (False, True):
        qkv = [t.requires_grad_(needs_grad) for t in views(rng, "packed projection")]
        operator.contract(swa.forward.default, *qkv, 4, 6.0)
