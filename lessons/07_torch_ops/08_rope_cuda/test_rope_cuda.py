"""Checks of op-rope-cuda: what can be seen without a GPU, then rotations, layouts, streams and memory on one."""

import ctypes
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


class Heads(ctypes.Structure):
    """As in rope.h."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("batches", "positions", "heads", "dim", "by_batch", "by_position", "by_head", "by_dim")
    ]


@pytest.fixture
def launchers(built, artifact, monkeypatch):
    """(dtype, launcher) as C functions that find no GPU, even where there is one: no launch can succeed."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    library, found = ctypes.CDLL(artifact.path), []
    if library.cudaGetDeviceCount(ctypes.byref(ctypes.c_int())) == 0:
        pytest.skip("a GPU stays visible: a launch with null pointers would run")
    library.cudaGetLastError()  # forgotten: what comes next is the launch's own
    for dtype in ("float32", "bfloat16"):
        launch = getattr(library, f"rotate_{dtype}_launch")
        launch.argtypes = [ctypes.c_void_p] * 3 + [Heads, ctypes.c_bool, ctypes.c_void_p]
        launch.restype = ctypes.c_int
        found.append((dtype, launch))
    return found


@pytest.fixture
def rotate(built):
    """torch.ops.rope_cuda.rotate_ with what rope.py registers."""
    import rope  # noqa: F401 - the learner's Python file

    return built.rotate_


def dense(*shape):
    _, n, h, d = shape
    return Heads(*shape, n * h * d, h * d, d, 1)


def normal(rng, *shape, dtype="float32"):
    """On the GPU."""
    import torch

    return torch.from_numpy(rng.standard_normal(shape).astype("float32")).to("cuda", getattr(torch, dtype))


def tables(rng, positions, half, dtype="float32"):
    """cos and sin, (positions, half): every angle another one."""
    import torch

    angle = torch.from_numpy(rng.uniform(-math.pi, math.pi, (positions, half)))
    return tuple(table.to("cuda", getattr(torch, dtype)) for table in (angle.cos(), angle.sin()))


def reference(x, cos, sin, inverse=False):
    """What x becomes, out of place, in eager PyTorch in float64; differentiable."""
    import torch

    u, v = x.double().chunk(2, dim=-1)
    c, s = cos.double()[:, None], -sin.double()[:, None] if inverse else sin.double()[:, None]
    return torch.cat((u * c - v * s, v * c + u * s), dim=-1)


def same(got, want, what):
    """Equal but for rounding; the first place that is not, with its batch, position, head and dimension."""
    import torch

    assert got.shape == want.shape, f"{what}: shape {tuple(got.shape)}, want {tuple(want.shape)}"
    # Two products and a sum in float, then, for bfloat16, one rounding to 8 bits of mantissa: half a last place.
    relative, absolute = (2.0**-8, 1e-5) if got.dtype == torch.bfloat16 else (1e-5, 1e-5)
    off = ~((got.double() - want).abs() <= relative * want.abs() + absolute)
    if off.any():
        place = tuple(off.nonzero()[0].tolist())
        raise AssertionError(
            f"{what}: {int(off.sum())} of {off.numel()} values are wrong,"
            f" first at [batch, position, head, dim] = {list(place)}: got {got[place]:.6g}, want {want[place]:.6g}"
        )


@pytest.mark.finds("schema", at="rotate_float32_launch")
def test_operator_is_registered_for_cuda(built):
    import torch

    schema = "rope_cuda::rotate_(Tensor(a!) x, Tensor cos, Tensor sin, bool inverse=False) -> ()"
    assert str(built.rotate_.default._schema) == schema
    assert torch._C._dispatch_has_kernel_for_dispatch_key("rope_cuda::rotate_", "CUDA"), "no kernel for CUDA tensors"


@pytest.mark.finds("error-path", at="cudaError_t launch(")
def test_failed_launch_is_reported(launchers):
    for dtype, launch in launchers:
        error = launch(None, None, None, dense(1, 2, 3, 4), False, None)
        assert error != 0, f"{dtype}: the launch failed and cudaSuccess was returned: ask cudaGetLastError()"


@pytest.mark.finds("layout", at="cudaError_t launch(")
def test_nothing_to_do_is_a_success(launchers):
    for dtype, launch in launchers:
        for shape in [(0, 4, 2, 8), (2, 0, 2, 8), (2, 4, 0, 8), (2, 4, 2, 0)]:
            error = launch(None, None, None, dense(*shape), False, None)
            assert error == 0, f"{dtype}, {' x '.join(map(str, shape))}: cudaError {error}, want 0 and no launch"


def without_data(*shape, grad=False):
    """A tensor of shapes only: autograd treats it like any other, and no kernel runs."""
    import torch

    return torch.empty(shape, device="meta", requires_grad=grad)


@pytest.mark.finds("autograd-registration", at="def forward(")
def test_the_version_counts_the_write(rotate):
    table = without_data(4, 4)
    base = without_data(1, 4, 3, 2, 8)
    for x in (without_data(1, 4, 2, 8), base[:, :, 0], without_data(1, 4, 2, 8, grad=True) * 1):
        before = x._version
        rotate(x, table, table)
        assert x._version > before, "x._version did not move: autograd can't see that x was written"
    assert base._version > 0, "the version of the buffer that x is a view of did not move"


@pytest.mark.finds("autograd-registration", at="def forward(")
def test_a_value_that_backward_needs_is_missed_in_time(rotate):
    table, saved = without_data(4, 4), without_data(1, 4, 2, 8, grad=True).exp()  # exp keeps its result for backward
    rotate(saved, table, table)
    try:
        saved.sum().backward()
    except RuntimeError:
        return
    raise AssertionError("exp's backward used a result that rotate_ had overwritten: the gradient is silently wrong")


@pytest.mark.finds("hidden-copy", at="def forward(")
def test_only_the_tables_are_kept_for_backward(rotate):
    import torch

    z, table, kept = without_data(4, 4, 8, 64, grad=True) * 1, without_data(4, 32), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        rotate(z, table, table)
    allowed = 2 * table.nbytes
    assert sum(kept) <= allowed, f"{sum(kept):,} bytes are kept for the backward, the tables have {allowed:,}"


@pytest.mark.finds("gradient", at="def backward(")
def test_backward_gives_a_gradient_for_x_alone(rotate):
    leaf, cos, sin = without_data(2, 4, 3, 8, grad=True), without_data(4, 4), without_data(4, 4)
    z = leaf * 1
    rotate(z, cos, sin, True)
    z.sum().backward()
    assert leaf.grad is not None, "x required grad and got none"
    assert leaf.grad.shape == leaf.shape, f"x is {tuple(leaf.shape)}, its gradient {tuple(leaf.grad.shape)}"


SHAPES = [(1, 1, 1, 2), (1, 3, 1, 4), (2, 5, 3, 8), (1, 7, 2, 64), (3, 4, 9, 22), (2, 3, 17, 66), (1, 130, 33, 128)]


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="rotate_kernel(T")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_heads_are_rotated_by_the_angles_of_their_position(rotate, rng, dtype):
    for shape in SHAPES:
        x, (cos, sin) = normal(rng, *shape, dtype=dtype), tables(rng, shape[1], shape[3] // 2, dtype)
        before = x.clone()
        for inverse in (False, True):
            x.copy_(before)
            rotate(x, cos, sin, inverse)
            what = f"{dtype}, {' x '.join(map(str, shape))}, inverse={inverse}"
            if dtype == "float32":
                same(x, reference(before, cos, sin, inverse), what)
            else:  # the arithmetic of bfloat16 has a check of its own: here a value may be off by some last places
                far = (x.double() - reference(before, cos, sin, inverse)).abs().max()
                assert float(far) < 0.1, f"{what}: off by up to {float(far):.3g}"


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="rotate_pair(T")
def test_bfloat16_is_rounded_once(rotate, rng):
    # Where the two products nearly cancel, rounding them first leaves an error as large as the result.
    x, (cos, sin) = normal(rng, 2, 64, 8, 64, dtype="bfloat16"), tables(rng, 64, 32, "bfloat16")
    want = reference(x, cos, sin)
    rotate(x, cos, sin)
    same(x, want, "bfloat16: compute in float and round the result only")


@pytest.mark.gpu
@pytest.mark.finds("layout", at="cudaError_t launch(")
@pytest.mark.parametrize("shape", [(70_001, 1, 1, 2), (1, 70_001, 1, 2), (1, 1, 70_001, 2), (1, 1, 1, 140_002)])
def test_every_dimension_may_be_long(rotate, rng, shape):
    x, (cos, sin) = normal(rng, *shape), tables(rng, shape[1], shape[3] // 2)
    want, text = reference(x, cos, sin), " x ".join(map(str, shape))
    try:
        rotate(x, cos, sin)
    except RuntimeError as error:
        raise AssertionError(f"{text}: refused: {str(error)[:160]}; y and z of a grid end at 65,535") from None
    same(x, want, text)


def layouts(rng, shape, dtype="float32"):
    """(name, base, view) of x in the ways that models store it; the view is (batch, positions, heads, dim)."""
    b, n, h, d = shape
    packed, fused = normal(rng, b, n, 3, h, d, dtype=dtype), normal(rng, b, n, (h + 2) * d, dtype=dtype)
    heads_first = normal(rng, b, h, n, d, dtype=dtype)
    spread, by_dim = normal(rng, b, n, h, 2 * d, dtype=dtype), normal(rng, d, b, n, h, dtype=dtype)
    cache = normal(rng, b, n + 5, h, d, dtype=dtype)
    return [
        ("q in a packed qkv", packed, packed[:, :, 0]),
        ("k in a packed qkv", packed, packed[:, :, 1]),
        ("q in a grouped-query projection", fused, fused[..., : h * d].unflatten(-1, (h, d))),
        ("heads before positions", heads_first, heads_first.transpose(1, 2)),
        ("every second dimension", spread, spread[..., ::2]),
        ("dimension first", by_dim, by_dim.permute(1, 2, 3, 0)),
        ("the end of a cache", cache, cache[:, 5:]),
    ]


@pytest.mark.gpu
@pytest.mark.finds("layout", at="rotate_kernel(T")
def test_views_are_rotated_where_they_lie(rotate, rng):
    cos, sin = tables(rng, 5, 6)
    for name, base, x in layouts(rng, (2, 5, 11, 12)):
        want, around = reference(x, cos, sin), base.clone()
        rotate(x, cos, sin)
        same(x, want, f"{name}, strides {x.stride()}")
        around.as_strided(x.shape, x.stride(), x.storage_offset()).copy_(x)
        changed = int((base != around).sum())
        assert not changed, f"{name}, strides {x.stride()}: {changed} values beside x were changed too"


@pytest.mark.gpu
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 40), st.integers(1, 70)),
    order=st.permutations(range(4)),
    step=st.integers(1, 2),
    inverse=st.booleans(),
)
@pytest.mark.finds("layout", at="rotate_kernel(T")
def test_any_shape_in_any_order_of_axes(rotate, sizes, order, step, inverse):
    import numpy as np

    rng = np.random.default_rng(sum(sizes) + step)
    shape = (*sizes[:3], 2 * sizes[3])
    stored = normal(rng, *(shape[axis] for axis in order))
    x = stored.repeat_interleave(step, dim=-1)[..., ::step].permute(*(order.index(axis) for axis in range(4)))
    cos, sin = tables(rng, shape[1], sizes[3])
    want = reference(x, cos, sin, inverse)
    rotate(x, cos, sin, inverse)
    same(x, want, f"{shape}, strides {x.stride()}")


def rotate_q(qkv, cos, sin):
    """q of a packed buffer, turned where it lies."""
    import torch

    torch.ops.rope_cuda.rotate_(qkv[:, :, 0], cos, sin)


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="cudaError_t launch(")
def test_kernel_runs_on_the_current_stream(rotate, gpu, rng):
    gpu.stream(rotate_q, normal(rng, 2, 64, 3, 8, 64), *tables(rng, 64, 32))


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="cudaError_t launch(")
def test_nothing_waits_for_the_kernel(rotate, gpu, rng):
    gpu.graph(rotate_q, normal(rng, 2, 64, 3, 8, 64), *tables(rng, 64, 32))


@pytest.mark.gpu
@pytest.mark.finds("hidden-copy", at="def forward(")
def test_not_one_byte_is_added(rotate, gpu, rng):
    gpu.extra(rotate_q, normal(rng, 1, 512, 3, 16, 64), *tables(rng, 512, 32))


@pytest.mark.gpu
@pytest.mark.finds("memory-leak", at="cudaError_t launch(")
def test_nothing_leaks(rotate, gpu, rng):
    gpu.leak(rotate_q, normal(rng, 1, 512, 3, 16, 64), *tables(rng, 512, 32))


@pytest.mark.gpu
@pytest.mark.finds("schema", at="def forward(")
def test_the_operator_keeps_its_contract(rotate, operator, rng):
    cos, sin = tables(rng, 4, 4)
    for x in (normal(rng, 1, 4, 2, 8), normal(rng, 1, 4, 3, 2, 8)[:, :, 0], normal(rng, 1, 4, 2, 8).requires_grad_()):
        operator.contract(rotate.default, x * 1 if x.requires_grad else x, cos, sin)


def gradients(rotate, weight, cos, sin, inverse, outer):
    """Gradients of `outer(z)` for weight, where z is the buffer with q rotated: by operator, by eager in float64."""
    import torch

    def ours(w):
        z = w * 1
        rotate(z[:, :, 0], cos, sin, inverse)
        return outer(z)

    def theirs(w):
        q = reference(w[:, :, 0], cos, sin, inverse)
        return outer(torch.cat((q[:, :, None], w[:, :, 1:]), dim=2))

    wide = weight.detach().double().requires_grad_()
    return torch.autograd.grad(ours(weight), weight)[0], torch.autograd.grad(theirs(wide), wide)[0]


@pytest.mark.gpu
@pytest.mark.finds("gradient", at="def backward(")
@pytest.mark.parametrize("through", ["a product", "a sum", "heads first", "a slice", "k and q"])
def test_gradients_are_turned_back(rotate, rng, through):
    weight = normal(rng, 2, 5, 3, 2, 6).requires_grad_()
    cos, sin = tables(rng, 5, 3)
    factor, turned = normal(rng, 2, 5, 3, 2, 6), normal(rng, 2, 2, 5, 6)
    outer = {
        "a product": lambda z: (z * factor).sum(),
        "a sum": lambda z: z[:, :, 0].sum(),  # the gradient arrives expanded, all strides 0
        "heads first": lambda z: (z[:, :, 0].transpose(1, 2) * turned).sum(),
        "a slice": lambda z: (z[:, 2:, 0, :, ::2] ** 2).sum(),
        "k and q": lambda z: (z[:, :, 0] * z[:, :, 1]).sum(),
    }[through]
    for inverse in (False, True):
        got, want = gradients(rotate, weight, cos, sin, inverse, outer)
        off = (got - want).abs()
        place = tuple((off == off.max()).nonzero()[0].tolist())
        assert float(off.max()) < 1e-4, (  # float32 against float64, values below 100
            f"through {through}, inverse={inverse}: the gradient of qkv{list(place)} is {got[place]:.6g},"
            f" want {want[place]:.6g}"
        )


@pytest.mark.gpu
@pytest.mark.finds("gradient", at="def backward(")
def test_the_incoming_gradient_is_left_alone(rotate, rng):
    import torch

    weight, (cos, sin) = normal(rng, 1, 4, 2, 8).requires_grad_(), tables(rng, 4, 4)
    z = weight * 1
    rotate(z, cos, sin)
    grad = normal(rng, 1, 4, 2, 8)
    before = grad.clone()
    torch.autograd.grad(z, weight, grad)
    assert torch.equal(grad, before), "backward wrote into the gradient it was given; others use that tensor too"
