"""Checks of op-swa-cuda: launchers without a GPU, then values, gradients, borders, streams and barriers on one."""

import ctypes
import math
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# what TORCH_CHECK, TORCH_CHECK_TYPE, TORCH_CHECK_VALUE and TORCH_CHECK_NOT_IMPLEMENTED raise
REFUSED = (RuntimeError, TypeError, ValueError)
DEVICE = "cuda"


class Attention(ctypes.Structure):
    """As in swa.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in "qkv"),
        ("heads", ctypes.c_int64),
        *((name, ctypes.c_int) for name in ("n", "d", "window")),
        ("cap", ctypes.c_float),
    )


@pytest.fixture
def swa(built):
    """torch.ops.swa_cuda with what swa.py registers."""
    import swa  # noqa: F401 - given

    return built


@pytest.fixture
def launchers(built, artifact):
    """swa.cu's two functions, called past the binding: (Attention, *pointers) on the default stream."""
    library = ctypes.CDLL(artifact.path)

    def forward(attention, *pointers):
        return library.swa_forward_launch(ctypes.byref(attention), *map(ctypes.c_void_p, (*pointers, None)))

    def backward(attention, *pointers):
        return library.swa_backward_launch(ctypes.byref(attention), *map(ctypes.c_void_p, (*pointers, None)))

    return {"forward": forward, "backward": backward}


def normal(rng, *shape, scale=1.0):
    import torch

    return torch.from_numpy((rng.standard_normal(shape) * scale).astype("float32")).to(DEVICE)


def triple(rng, *shape, scale=1.0):
    return [normal(rng, *shape, scale=scale) for _ in range(3)]


def capped(q, k, window, cap):
    """Scores in float64, -inf where a query must not look."""
    import torch

    scores = q.double() @ k.double().transpose(-1, -2) / math.sqrt(q.shape[-1])
    i = torch.arange(q.shape[2], device=q.device)
    seen = (i[None] <= i[:, None]) & (i[None] > i[:, None] - window)
    return (cap * torch.tanh(scores / cap)).masked_fill(~seen, float("-inf"))


def reference(q, k, v, window, cap):
    """The result in float64, differentiable: all N x N scores."""
    return capped(q, k, window, cap).softmax(-1) @ v.double()


def wanted(grad, q, k, v, window, cap):
    """Gradients by autograd through the reference, in float64."""
    import torch

    leaves = [t.detach().double().requires_grad_() for t in (q, k, v)]
    return torch.autograd.grad(reference(*leaves, window, cap), leaves, grad.double())


def same(got, want, what, tolerance=3e-5):
    """Equal but for the rounding of sums in float32; the first place that is not."""
    assert got.shape == want.shape, f"{what}: shape {tuple(got.shape)}, want {tuple(want.shape)}"
    off = ~((got.double() - want).abs() <= tolerance * (1 + want.abs()))
    if off.any():
        place = tuple(off.nonzero()[0].tolist())
        raise AssertionError(
            f"{what}: {int(off.sum())} of {off.numel()} values are wrong, first at [batch, head, position, dim]"
            f" = {list(place)}: got {float(got[place]):.6g}, want {float(want[place]):.6g}"
        )


# ---------------------------------------------------------------------------------------------- without a GPU


@pytest.mark.finds("build", at="swa_forward_launch")
def test_operators_are_registered_for_cuda(built):
    import torch

    schema = "(Tensor q, Tensor k, Tensor v, SymInt window, float cap) -> (Tensor, Tensor)"
    assert str(built.forward.default._schema) == f"swa_cuda::forward{schema}"
    for name in ("forward", "backward"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"swa_cuda::{name}", "CUDA"), f"{name}: no CUDA kernel"


@pytest.mark.finds("autograd-registration", at="swa_backward_launch")
def test_shapes_of_results_and_gradients_are_known_without_data(swa):
    import torch

    q, k, v = (torch.empty(2, 3, 11, 8, device="meta", requires_grad=True) for _ in range(3))
    out, lse = swa.forward(q, k, v, 4, 6.0)
    assert (out.shape, lse.shape) == (q.shape, q.shape[:3]), f"shapes {tuple(out.shape)} and {tuple(lse.shape)}"
    assert not lse.requires_grad, "lse claims to be differentiable"
    for name, grad in zip("qkv", torch.autograd.grad(out.sum(), (q, k, v)), strict=True):
        assert grad.shape == q.shape, f"gradient of {name}: shape {tuple(grad.shape)}"


def failed(launch, pointers):
    """What a launch returns that must fail: more blocks than a grid has, in a process that sees no device."""
    child = os.fork()
    if child == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os._exit(min(launch(Attention(None, None, None, 1 << 31, 1, 8, 1, 1.0), *[None] * pointers), 255))
    status = os.waitpid(child, 0)[1]
    assert os.WIFEXITED(status), f"the launch ended the process with signal {os.WTERMSIG(status)}"
    return os.WEXITSTATUS(status)


@pytest.mark.finds("error-path", at="swa_forward_launch")
def test_a_forward_that_fails_says_so(launchers):
    error = failed(launchers["forward"], 2)
    assert error != 0, "the launch failed and swa_forward_launch returned cudaSuccess: ask cudaGetLastError()"


@pytest.mark.finds("error-path", at="swa_backward_launch")
def test_a_backward_that_fails_says_so(launchers):
    error = failed(launchers["backward"], 7)
    assert error != 0, "the launch failed and swa_backward_launch returned cudaSuccess: ask cudaGetLastError()"


NOTHING = [(0, 5), (3, 0), (0, 0)]


@pytest.mark.finds("layout", at="swa_forward_launch")
def test_forward_of_nothing_is_a_success(launchers):
    for heads, n in NOTHING:
        error = launchers["forward"](Attention(None, None, None, heads, n, 8, 1, 1.0), None, None)
        assert error == 0, f"{heads} heads of {n} positions: cudaError {error}, want 0 and no launch"


@pytest.mark.finds("layout", at="swa_backward_launch")
def test_backward_of_nothing_is_a_success(launchers):
    for heads, n in NOTHING:
        error = launchers["backward"](Attention(None, None, None, heads, n, 8, 1, 1.0), *[None] * 7)
        assert error == 0, f"{heads} heads of {n} positions: cudaError {error}, want 0 and no launch"


# ---------------------------------------------------------------------------------------------------- forward


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="attend")
@pytest.mark.parametrize("dim", [1, 5, 31, 64, 65, 100, 128])
def test_values_match_the_formula(swa, rng, dim):
    for shape, window in [((1, 1, 4), 4), ((2, 3, 9), 4), ((1, 2, 40), 7), ((1, 1, 130), 33), ((2, 2, 200), 100)]:
        qkv = triple(rng, *shape, dim)
        same(swa.forward(*qkv, window, 5.0)[0], reference(*qkv, window, 5.0), f"{(*shape, dim)}, window {window}")


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="first_key")
@pytest.mark.parametrize("positions", [1, 12, 100])
def test_each_query_sees_exactly_its_window(swa, positions):
    import torch

    zero = torch.zeros(1, 1, positions, positions, device=DEVICE)
    identity = torch.eye(positions, device=DEVICE)[None, None]
    for window in sorted({1, 2, 5, 31, 32, 33, 64, positions, positions + 1, 1000, 2**62}):
        seen = swa.forward(zero, zero, identity, window, 1.0)[0][0, 0].cpu()  # equal scores: the mean of what is seen
        for i in range(positions):
            want = list(range(max(0, i - window + 1), i + 1))
            got = (seen[i] > 1e-6).nonzero().flatten().tolist()
            assert got == want, f"window {window}, {positions} positions: query {i} sees the keys {got}, want {want}"
            assert abs(float(seen[i].sum()) - 1) < 1e-5, f"window {window}: weights of query {i} sum to {seen[i].sum()}"


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="squash")
def test_scores_are_capped(swa, rng):
    q, k, v = triple(rng, 1, 2, 70, 8, scale=4.0)
    for cap in (0.1, 1.0, 8.0):
        same(swa.forward(q, k, v, 36, cap)[0], reference(q, k, v, 36, cap), f"cap {cap}", 2e-4)


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="attend")
def test_the_largest_score_may_come_in_any_tile(swa, rng):
    import torch

    positions, dim = 200, 16
    q, v = torch.ones(1, 1, positions, dim, device=DEVICE), normal(rng, 1, 1, positions, dim)
    up = torch.linspace(-4, 4, positions, device=DEVICE)[None, None, :, None].expand(1, 1, positions, dim)
    for name, k in (("rising", up), ("falling", -up)):
        out = swa.forward(q, k, v, 150, 30.0)[0]
        same(
            out,
            reference(q, k, v, 150, 30.0),
            f"{name} scores: is what was summed up before brought to the new maximum?",
        )


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="attend")
def test_large_scores_neither_overflow_nor_vanish(swa, rng):
    for scale, cap in [(60.0, 2000.0), (1e3, 300.0)]:
        q, k, v = triple(rng, 1, 2, 80, 16)
        out, lse = swa.forward(q * scale, k, v, 40, cap)
        assert bool(out.isfinite().all()), f"scores up to {cap:g}: the result has inf or NaN"
        assert bool(lse.isfinite().all()), f"scores up to {cap:g}: the log-sum-exp has inf or NaN"
        # a score of 1000 in float32 is off by 1e-4, so e^score by as much, relatively
        same(out, reference(q * scale, k, v, 40, cap), f"scores up to {cap:g}", 2e-2)


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="attend")
def test_all_scores_far_below_zero_still_average(swa, rng):
    import torch

    q = torch.full((1, 1, 50, 4), 40.0, device=DEVICE)
    v = normal(rng, 1, 1, 50, 4)
    out = swa.forward(q, -q, v, 35, 1000.0)[0]  # every score is about -997
    same(out, reference(q, -q, v, 35, 1000.0), "all scores at -997", 1e-4)


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="attend")
def test_the_log_sum_exp_is_returned(swa, rng):
    q, k, v = triple(rng, 2, 2, 75, 8, scale=2.0)
    lse = swa.forward(q, k, v, 40, 3.0)[1]
    want = capped(q, k, 40, 3.0).logsumexp(-1)
    assert lse.shape == want.shape, f"lse has shape {tuple(lse.shape)}, want {tuple(want.shape)}"
    worst = float((lse - want).abs().max())
    assert worst < 1e-5, f"lse differs from log(sum(exp(scores))) by up to {worst:.3g}"


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="attend")
@settings(max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 80), st.integers(1, 128)),
    window=st.integers(1, 90),
    cap=st.floats(0.5, 60),
)
def test_any_shape_and_window(swa, shape, window, cap):
    import numpy as np

    rng = np.random.default_rng(sum(shape) + window)
    qkv, grad = triple(rng, *shape), normal(rng, *shape)
    out, lse = swa.forward(*qkv, window, cap)
    what = f"{shape}, window {window}, cap {cap:.3g}"
    same(out, reference(*qkv, window, cap), what, 1e-4)
    got = swa.backward(grad, *qkv, out, lse, window, cap)
    for name, mine, theirs in zip("qkv", got, wanted(grad, *qkv, window, cap), strict=True):
        same(mine, theirs, f"gradient of {name}, {what}", 3e-4)


# --------------------------------------------------------------------------------------------------- backward


def gradients_of(swa, rng, names, cap):
    """Compare the gradients of `names` for shapes below, at and above a tile and the block's eight rows."""
    for shape, window in [((1, 1, 1, 4), 1), ((2, 2, 13, 8), 4), ((1, 2, 33, 100), 50), ((2, 1, 150, 64), 70)]:
        qkv, grad = triple(rng, *shape, scale=1.5), normal(rng, *shape)
        out, lse = swa.forward(*qkv, window, cap)
        got = swa.backward(grad, *qkv, out, lse, window, cap)
        for name, mine, theirs in zip("qkv", got, wanted(grad, *qkv, window, cap), strict=True):
            if name in names:
                same(mine, theirs, f"gradient of {name}, {shape}, window {window}, cap {cap:g}", 3e-4)


@pytest.mark.gpu
@pytest.mark.finds("gradient", at="through_score")
@pytest.mark.parametrize("cap", [1.0, 100.0])
def test_gradients_pass_softmax_and_cap(swa, rng, cap):
    gradients_of(swa, rng, "qk", cap)


@pytest.mark.gpu
@pytest.mark.finds("gradient", at="contribute_query")
def test_gradient_of_the_queries(swa, rng):
    gradients_of(swa, rng, "q", 6.0)


@pytest.mark.gpu
@pytest.mark.finds("gradient", at="contribute_keys")
def test_gradients_of_keys_and_values(swa, rng):
    gradients_of(swa, rng, "v", 6.0)
    gradients_of(swa, rng, "k", 6.0)


@pytest.mark.gpu
@pytest.mark.finds("gradient", at="swa_backward_launch")
def test_training_through_views_matches_eager(swa, rng):
    import torch

    packed = normal(rng, 2, 50, 3, 3, 20).requires_grad_()

    def loss(attention):
        q, k, v = (packed[:, :, part].transpose(1, 2) for part in range(3))
        return (attention(q, k, v).transpose(1, 2).flatten(2) ** 2).sum()

    (got,) = torch.autograd.grad(loss(lambda q, k, v: swa.forward(q, k, v, 14, 6.0)[0]), packed)
    (want,) = torch.autograd.grad(loss(lambda q, k, v: reference(q, k, v, 14, 6.0)), packed)
    worst = float((got - want).abs().max())
    assert worst < 1e-3, f"gradient of a packed projection differs from eager by up to {worst:.3g}"


# ----------------------------------------------------------------------------------------- shapes and memory


@pytest.mark.gpu
@pytest.mark.finds("layout", at="swa_forward_launch")
def test_views_match_their_copies(swa, rng):
    packed, one = normal(rng, 2, 45, 3, 3, 8), normal(rng, 2, 1, 45, 8)
    q, k, v = (packed[:, :, part].transpose(1, 2) for part in range(3))
    same(swa.forward(q, k, v, 34, 6.0)[0], reference(q, k, v, 34, 6.0), "packed projection")
    k = v = one.expand(2, 3, 45, 8)
    same(swa.forward(q, k, v, 34, 6.0)[0], reference(q, k, v, 34, 6.0), "keys shared among heads")


@pytest.mark.gpu
@pytest.mark.finds("layout", at="swa_forward_launch")
def test_empty_tensors_are_fine(swa, rng):
    for shape in [(0, 2, 5, 4), (1, 0, 5, 4), (1, 2, 0, 4)]:
        q, k, v = (t.requires_grad_() for t in triple(rng, *shape))
        out = swa.forward(q, k, v, 3, 1.0)[0]
        out.sum().backward()
        assert out.shape == q.shape, f"{shape}: the result has shape {tuple(out.shape)}"
        assert q.grad.shape == q.shape, f"{shape}: the gradient has shape {tuple(q.grad.shape)}"


@pytest.mark.gpu
@pytest.mark.finds("layout", at="swa_forward_launch")
def test_what_makes_no_sense_is_refused(swa, rng):
    import torch

    q, k, v = triple(rng, 1, 2, 6, 4)
    wide = torch.zeros(1, 1, 6, 129, device=DEVICE)
    wrong = {
        "three dimensions": (q[0], k[0], v[0], 3, 1.0),
        "fewer keys": (q, k[:, :, :4], v, 3, 1.0),
        "dim 129": (wide, wide, wide, 3, 1.0),
        "window 0": (q, k, v, 0, 1.0),
        "cap 0": (q, k, v, 3, 0.0),
        "float16": (q.half(), k.half(), v.half(), 3, 1.0),
        "two devices": (q, k.cpu(), v, 3, 1.0),
    }
    for name, args in wrong.items():
        try:
            swa.forward(*args)
        except REFUSED:
            continue
        raise AssertionError(f"{name}: taken, want an exception")


@pytest.mark.gpu
@pytest.mark.finds("layout", at="place")
def test_more_heads_than_a_grid_is_high(swa, rng):
    qkv, grad = triple(rng, 70_000, 1, 9, 4), normal(rng, 70_000, 1, 9, 4)  # only a grid's x takes more than 65,535
    out, lse = swa.forward(*qkv, 3, 6.0)
    same(out, reference(*qkv, 3, 6.0), "70,000 heads", 1e-4)
    got = swa.backward(grad, *qkv, out, lse, 3, 6.0)
    for name, mine, theirs in zip("qkv", got, wanted(grad, *qkv, 3, 6.0), strict=True):
        same(mine, theirs, f"gradient of {name}, 70,000 heads", 1e-3)


@pytest.mark.gpu
@pytest.mark.finds("hidden-copy", at="swa_forward_launch")
def test_memory_is_linear_in_the_length(swa, rng):
    positions, window, tail = 300_000, 16, 40  # all scores: 360 GB
    qkv, grad = triple(rng, 1, 1, positions, 8), normal(rng, 1, 1, positions, 8)
    out, lse = swa.forward(*qkv, window, 5.0)
    dq = swa.backward(grad, *qkv, out, lse, window, 5.0)[0]
    # The last queries see the last keys only: the reference needs no more of them.
    end = [t[:, :, -(tail + window) :] for t in qkv]
    same(out[:, :, -tail:], reference(*end, window, 5.0)[:, :, -tail:], "the last of 300,000 positions")
    want = wanted(grad[:, :, -(tail + window) :], *end, window, 5.0)[0]
    same(dq[:, :, -tail:], want[:, :, -tail:], "gradient of the last of 300,000 queries", 3e-4)


def walled(shape):
    """(a tensor of NaN, the whole of which it is the middle): what lies around it must still be NaN afterwards."""
    import torch

    count = math.prod(shape)
    whole = torch.full((count + 2 * 4096,), float("nan"), device=DEVICE)
    return whole[4096 : 4096 + count].view(shape), whole


def intact(whole, names):
    for name, each in zip(names, whole, strict=True):
        touched = int((~each[:4096].isnan()).sum() + (~each[-4096:].isnan()).sum())
        assert touched == 0, f"{touched} numbers beside {name} were written: rows past the end of the last head?"


@pytest.mark.gpu
@pytest.mark.finds("cuda-memcheck", at="attend")
@pytest.mark.parametrize("positions", [1, 7, 8, 9, 33])
def test_forward_writes_its_rows_and_no_others(launchers, rng, positions):
    import torch

    heads, dim = 3, 10
    qkv = triple(rng, heads, positions, dim)
    (out, around), (lse, beside) = walled((heads, positions, dim)), walled((heads, positions))
    attention = Attention(*(t.data_ptr() for t in qkv), heads, positions, dim, min(5, positions), 6.0)
    error = launchers["forward"](attention, out.data_ptr(), lse.data_ptr())
    torch.cuda.synchronize()
    assert error == 0, f"{positions} positions: cudaError {error}"
    intact((around, beside), ("out", "lse"))
    same(out, reference(*(t[None] for t in qkv), 5, 6.0)[0], f"{positions} positions")


def walled_backward(swa, launchers, rng, positions):
    """(what was made: mean, dq, dk, dv, each (tensor, whole), all NaN before; the gradients by the reference)."""
    import torch

    heads, dim = 3, 10
    grad, *qkv = (normal(rng, 1, heads, positions, dim) for _ in range(4))
    out, lse = swa.forward(*qkv, 5, 6.0)
    made = [walled((1, heads, positions)), *(walled(grad.shape) for _ in range(3))]
    attention = Attention(*(t.data_ptr() for t in qkv), heads, positions, dim, min(5, positions), 6.0)
    torch.cuda.synchronize()
    error = launchers["backward"](attention, *(t.data_ptr() for t in (grad, out, lse, *(inner for inner, _ in made))))
    torch.cuda.synchronize()
    assert error == 0, f"{positions} positions: cudaError {error}"
    return made, wanted(grad, *qkv, 5, 6.0)


@pytest.mark.gpu
@pytest.mark.finds("cuda-memcheck", at="swa_backward_launch")
@pytest.mark.parametrize("positions", [1, 7, 8, 9, 33])
def test_backward_writes_its_rows_and_no_others(swa, launchers, rng, positions):
    made, _ = walled_backward(swa, launchers, rng, positions)
    intact([whole for _, whole in made], ("mean", "dq", "dk", "dv"))


@pytest.mark.gpu
@pytest.mark.finds("gradient", at="swa_backward_launch")
@pytest.mark.parametrize("positions", [1, 9, 33])
def test_nothing_is_read_before_it_is_written(swa, launchers, rng, positions):
    made, want = walled_backward(swa, launchers, rng, positions)
    for name, (mine, _), theirs in zip("qkv", made[1:], want, strict=True):
        same(mine, theirs, f"gradient of {name}, {positions} positions; mean, dq, dk and dv are NaN before", 3e-4)


# ------------------------------------------------------------------------------------------ streams, barriers


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="swa_forward_launch")
def test_forward_runs_on_the_current_stream(swa, gpu, rng):
    qkv = triple(rng, 1, 4, 200, 64)
    gpu.stream(lambda *inputs: swa.forward(*inputs, 50, 6.0), *qkv)
    gpu.graph(lambda *inputs: swa.forward(*inputs, 50, 6.0), *qkv)


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="swa_backward_launch")
def test_backward_runs_on_the_current_stream(swa, gpu, rng):
    qkv, grad = triple(rng, 1, 4, 200, 64), normal(rng, 1, 4, 200, 64)
    inputs = (grad, *qkv, *swa.forward(*qkv, 50, 1.0))
    # 1e-4: who adds with atomicAdd has another order, and so another rounding, each time.
    gpu.stream(lambda *given: swa.backward(*given, 50, 1.0), *inputs, relative=1e-4)
    gpu.graph(lambda *given: swa.backward(*given, 50, 1.0), *inputs, relative=1e-4)


@pytest.mark.gpu
@pytest.mark.finds("memory-leak", at="swa_backward_launch")
def test_no_memory_is_kept(swa, gpu, rng):
    qkv, grad = triple(rng, 1, 8, 2048, 16), normal(rng, 1, 8, 2048, 16)
    out, lse = swa.forward(*qkv, 20, 6.0)
    gpu.leak(lambda: swa.forward(*qkv, 20, 6.0))
    gpu.leak(lambda: swa.backward(grad, *qkv, out, lse, 20, 6.0))


def steady(call, rng, inputs, names):
    """The same inputs give the same results, whatever the kernel before them has left in shared memory."""
    import torch

    want = call(*inputs)
    for turn in range(5):
        call(*(torch.randn_like(one) * (turn + 1) for one in inputs))
        for name, mine, theirs in zip(names, call(*inputs), want, strict=True):
            off = ~((mine - theirs).abs() <= 1e-3 * (1 + theirs.abs()))
            assert not bool(off.any()), (
                f"{name}: {int(off.sum())} of {off.numel()} values differ between two calls with the same inputs"
                f" (turn {turn}): is there a barrier between what one warp writes and another reads?"
            )


@pytest.mark.gpu
@pytest.mark.finds("cuda-race", at="attend")
@pytest.mark.parametrize("dim", [64, 128])
def test_forward_waits_for_all_warps(swa, rng, dim):
    steady(lambda *qkv: swa.forward(*qkv, 200, 6.0), rng, triple(rng, 2, 16, 1024, dim), ("out", "lse"))


def backward_call(swa, rng, chosen, dim):
    """(call, inputs): the chosen gradients of 32 heads; result and lse are the same for all inputs, and finite."""
    qkv, grad = triple(rng, 2, 16, 1024, dim), normal(rng, 2, 16, 1024, dim)
    out, lse = swa.forward(*qkv, 200, 2.0)
    return lambda g, *given: [swa.backward(g, *given, out, lse, 200, 2.0)[i] for i in chosen], (grad, *qkv)


@pytest.mark.gpu
@pytest.mark.finds("cuda-race", at="contribute_query")
@pytest.mark.parametrize("dim", [64, 128])
def test_query_gradients_wait_for_all_warps(swa, rng, dim):
    call, inputs = backward_call(swa, rng, [0], dim)
    steady(call, rng, inputs, ["dq"])


@pytest.mark.gpu
@pytest.mark.finds("cuda-race", at="contribute_keys")
@pytest.mark.parametrize("dim", [64, 128])
def test_key_gradients_wait_for_all_warps(swa, rng, dim):
    call, inputs = backward_call(swa, rng, [1, 2], dim)
    steady(call, rng, inputs, ["dk", "dv"])


@pytest.mark.gpu
@pytest.mark.finds("schema", at="swa_forward_launch")
def test_the_operator_keeps_its_contract(swa, operator, rng):
    for needs_grad in (False, True):
        packed = normal(rng, 2, 11, 3, 3, 8)
        qkv = [packed[:, :, part].transpose(1, 2).detach().requires_grad_(needs_grad) for part in range(3)]
        operator.contract(swa.forward.default, *qkv, 4, 6.0)
