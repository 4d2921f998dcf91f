"""Checks of op-rope: rotations in every layout, no scratch, a declared mutation, a backward that turns back."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# what TORCH_CHECK, TORCH_CHECK_TYPE, TORCH_CHECK_VALUE and TORCH_CHECK_NOT_IMPLEMENTED raise
REFUSED = (RuntimeError, TypeError, ValueError)


@pytest.fixture
def rotate(built):
    """torch.ops.rope.rotate_ with what rope.py registers."""
    import rope  # noqa: F401 - the learner's Python file

    return built.rotate_


def normal(rng, *shape, dtype="float32"):
    import torch

    return torch.from_numpy(rng.standard_normal(shape).astype(dtype))


def tables(rng, positions, half, dtype="float32"):
    """cos and sin, (positions, half): every angle another one."""
    import torch

    angle = torch.from_numpy(rng.uniform(-math.pi, math.pi, (positions, half)))
    return angle.cos().to(getattr(torch, dtype)), angle.sin().to(getattr(torch, dtype))


def reference(x, cos, sin, inverse=False):
    """What x becomes, out of place, in eager PyTorch; differentiable."""
    import torch

    u, v = x.chunk(2, dim=-1)
    c, s = cos[:, None], -sin[:, None] if inverse else sin[:, None]
    return torch.cat((u * c - v * s, v * c + u * s), dim=-1)


def same(got, want, what):
    """Equal but for rounding; the first place that is not, with its batch, position, head and dimension."""
    import torch

    assert got.shape == want.shape, f"{what}: shape {tuple(got.shape)}, want {tuple(want.shape)}"
    tolerance = 1e-5 if got.dtype == torch.float32 else 1e-12
    off = ~((got - want).abs() <= tolerance * (1 + want.abs()))
    if off.any():
        place = tuple(off.nonzero()[0].tolist())
        raise AssertionError(
            f"{what}: {int(off.sum())} of {off.numel()} values are wrong,"
            f" first at [batch, position, head, dim] = {list(place)}: got {got[place]:.6g}, want {want[place]:.6g}"
        )


@pytest.mark.finds("wrong-result", at="rotate_head")
def test_heads_are_rotated_by_the_angles_of_their_position(rotate, rng):
    for shape in [(1, 1, 1, 2), (1, 3, 1, 4), (2, 5, 3, 8), (1, 7, 2, 64), (3, 4, 5, 22)]:
        x, (cos, sin) = normal(rng, *shape), tables(rng, shape[1], shape[3] // 2)
        want = reference(x, cos, sin)
        rotate(x, cos, sin)
        same(x, want, f"{' x '.join(map(str, shape))}")


@pytest.mark.finds("wrong-result", at="rotate_head")
def test_float64_is_rotated_in_float64(rotate, rng):
    x, (cos, sin) = normal(rng, 2, 3, 4, 10, dtype="float64"), tables(rng, 3, 5, "float64")
    want = reference(x, cos, sin)
    rotate(x, cos, sin)
    same(x, want, "float64")


@pytest.mark.finds("wrong-result", at="rotate_head")
def test_the_inverse_turns_back(rotate, rng):
    x, (cos, sin) = normal(rng, 2, 6, 3, 16), tables(rng, 6, 8)
    before, want = x.clone(), reference(x, cos, sin, inverse=True)
    rotate(x, cos, sin, True)
    same(x, want, "inverse=True")
    rotate(x, cos, sin)
    same(x, before, "inverse=True, then inverse=False")


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


@pytest.mark.finds("layout", at="rotate(")
def test_views_are_rotated_where_they_lie(rotate, rng):
    cos, sin = tables(rng, 5, 6)
    for name, base, x in layouts(rng, (2, 5, 3, 12)):
        want, around = reference(x, cos, sin), base.clone()
        rotate(x, cos, sin)
        same(x, want, f"{name}, strides {x.stride()}")
        around.as_strided(x.shape, x.stride(), x.storage_offset()).copy_(x)
        changed = int((base != around).sum())
        assert not changed, f"{name}, strides {x.stride()}: {changed} values beside x were changed too"


@pytest.mark.finds("layout", at="rotate_(")
def test_empty_tensors_are_fine(rotate, rng):
    for shape in [(0, 4, 2, 8), (2, 0, 2, 8), (2, 4, 0, 8), (2, 4, 2, 0)]:
        cos, sin = tables(rng, shape[1], shape[3] // 2)
        try:
            rotate(normal(rng, *shape), cos, sin)
        except RuntimeError as error:
            raise AssertionError(f"{' x '.join(map(str, shape))}: nothing to do, but refused: {error}") from None


@pytest.mark.finds("layout", at="rotate_(")
def test_tables_may_be_views(rotate, rng):
    x, (cos, sin) = normal(rng, 1, 6, 2, 8), tables(rng, 12, 8)
    want = reference(x, cos[::2, 1::2].clone(), sin[6:, :4].clone())
    rotate(x, cos[::2, 1::2], sin[6:, :4])
    same(x, want, "cos and sin are views")


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 4), st.integers(1, 20)),
    order=st.permutations(range(4)),
    step=st.integers(1, 2),
    inverse=st.booleans(),
)
@pytest.mark.finds("layout", at="rotate(")
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


def sharing(kind):
    """A 4-D tensor, two elements of which are the same memory."""
    import torch

    return {
        "heads expanded": lambda: torch.ones(2, 4, 1, 8).expand(2, 4, 3, 8),
        "batch expanded": lambda: torch.ones(1, 4, 3, 8).expand(2, 4, 3, 8),
        "positions expanded": lambda: torch.ones(2, 1, 3, 8).expand(2, 4, 3, 8),
        "one number": lambda: torch.ones(1, 1, 1, 1).expand(2, 4, 3, 8),
        "windows": lambda: torch.ones(2, 3, 11).unfold(2, 8, 1).transpose(1, 2),
    }[kind]()


@pytest.mark.finds("layout", at="overlaps")
def test_elements_that_share_memory_are_refused(rotate, rng):
    cos, sin = tables(rng, 4, 4)
    for kind in ["heads expanded", "batch expanded", "positions expanded", "one number", "windows"]:
        x = sharing(kind)
        try:
            rotate(x, cos, sin)
        except REFUSED:
            assert bool((x == 1).all()), f"{kind}: refused, but x had already been changed"
            continue
        raise AssertionError(
            f"{kind}, strides {x.stride()}: taken, so shared elements were rotated more than once; want an exception"
        )


@pytest.mark.finds("layout", at="overlaps")
def test_a_stride_of_a_single_element_says_nothing(rotate, rng):
    import torch

    cos, sin = tables(rng, 4, 4)
    for strides in [(0, 8, 0, 1), (1, 8, 1, 1), (3, 8, 5, 1)]:
        x = torch.as_strided(normal(rng, 32), (1, 4, 1, 8), strides)
        want = reference(x, cos, sin)
        rotate(x, cos, sin)
        same(x, want, f"1 x 4 x 1 x 8 with strides {strides}")


@pytest.mark.finds("dtype", at="rotate_(")
def test_other_dtypes_are_refused(rotate):
    import torch

    room = torch.zeros(4096, dtype=torch.uint8)  # a kernel that misreads the type stays inside it
    for kind in (torch.float16, torch.bfloat16, torch.int32, torch.int64, torch.complex64):
        for other in (torch.float32, kind):
            x, table = room.view(kind)[:64].reshape(1, 4, 2, 8), room.view(other)[:16].reshape(4, 4)
            try:
                rotate(x, table, table)
            except REFUSED:
                continue
            raise AssertionError(f"{kind} with tables of {other} was taken: its bytes were read as another type")


@pytest.mark.finds("hidden-copy", at="rotate(")
def test_no_scratch_memory_is_used(rotate, memory, rng):
    import torch

    cos, sin = tables(rng, 1024, 64)
    rotate(normal(rng, 1, 1024, 1, 128), cos, sin)  # whatever is loaded lazily is there now
    packed, heads_first = torch.ones(1, 1024, 3, 32, 128), torch.ones(1, 32, 1024, 128)
    for name, x in (("packed", packed[:, :, 0]), ("heads first", heads_first.transpose(1, 2))):
        _, extra = memory.peak(rotate, x, cos, sin)
        size = x.numel() * 4
        assert extra < size // 64, f"{name}: rotating {size:,} bytes in place needed {extra:,} bytes more, want none"


@pytest.mark.finds("out-of-bounds", at="rotate_head")
@pytest.mark.parametrize("side", ["after", "before"])
def test_reads_and_writes_stay_inside(rotate, guard, rng, side):
    import torch

    cos, sin = (torch.from_numpy(guard.array(table.numpy(), side=side)) for table in tables(rng, 5, 7))
    x = torch.from_numpy(guard.array(rng.standard_normal((2, 5, 3, 14)).astype("float32"), side=side))
    want = reference(x, cos, sin)
    rotate(x, cos, sin)
    same(x, want, "x and tables at the end of their memory")


@pytest.mark.finds("data-race", at="rotate(")
def test_threads_do_not_change_the_result(rotate, rng):
    import torch

    # 2.6 million elements for each thread: with work of less than a time slice they run one after the other on a busy
    # machine. A fifth of a batch is no whole share of four threads, so none has the rows of another.
    x, (cos, sin) = normal(rng, 1, 2048, 16, 64).repeat(5, 1, 1, 1), tables(rng, 2048, 32)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        want = x.clone()
        rotate(want, cos, sin)
        torch.set_num_threads(4)
        for turn in range(6):
            got = x.clone()
            rotate(got, cos, sin)
            assert torch.equal(got, want), f"with 4 threads the result differs from that with one (turn {turn})"
    finally:
        torch.set_num_threads(before)


@pytest.mark.finds("memory-leak", at="rotate_(")
def test_nothing_leaks(rotate, memory, rng):
    x, (cos, sin) = normal(rng, 1, 4, 2, 8), tables(rng, 4, 4)
    memory.leak(lambda: rotate(x, cos, sin))


@pytest.mark.finds("schema", at="m.def(")
def test_schema_says_that_x_is_written(rotate, operator, rng):
    cos, sin = tables(rng, 4, 4)
    for x in (normal(rng, 1, 4, 2, 8), normal(rng, 1, 4, 3, 2, 8)[:, :, 0]):
        operator.contract(rotate.default, x, cos, sin)


@pytest.mark.finds("autograd-registration", at="forward")
def test_the_version_counts_the_write(rotate, rng):
    cos, sin = tables(rng, 4, 4)
    base = normal(rng, 1, 4, 3, 2, 8)
    for x in (base[:, :, 0].clone(), base[:, :, 0]):
        before = x._version
        rotate(x, cos, sin)
        assert x._version > before, "x._version did not move: autograd can't see that x was written"
    assert base._version > 0, "the version of the buffer that x is a view of did not move"


@pytest.mark.finds("autograd-registration", at="forward")
def test_a_value_that_backward_needs_is_missed_in_time(rotate, rng):
    cos, sin = tables(rng, 4, 4)
    saved = normal(rng, 1, 4, 2, 8).requires_grad_().exp()  # exp keeps its result for the backward
    rotate(saved, cos, sin)
    try:
        saved.sum().backward()
    except RuntimeError:
        return
    raise AssertionError("exp's backward used a result that rotate_ had overwritten: the gradient is silently wrong")


@pytest.mark.finds("autograd-registration", at="forward")
def test_a_leaf_is_not_written(rotate, rng):
    import torch

    cos, sin = tables(rng, 4, 4)
    leaf = normal(rng, 1, 4, 2, 8).requires_grad_()
    with torch.no_grad():
        rotate(leaf, cos, sin)  # as an optimiser does
    try:
        rotate(leaf, cos, sin)
    except RuntimeError:
        return
    raise AssertionError(
        "a leaf that requires grad was changed in place: its gradient would be of a value that is gone"
    )


def gradients(rotate, weight, cos, sin, inverse, outer):
    """Gradients of `outer(z)` for weight, where z is the buffer with q rotated: by operator and by eager."""
    import torch

    def ours(w):
        z = w * 1
        rotate(z[:, :, 0], cos, sin, inverse)
        return outer(z)

    def theirs(w):
        q = reference(w[:, :, 0], cos, sin, inverse)
        return outer(torch.cat((q[:, :, None], w[:, :, 1:]), dim=2))

    return tuple(torch.autograd.grad(f(weight), weight)[0] for f in (ours, theirs))


@pytest.mark.finds("gradient", at="backward")
@pytest.mark.parametrize("through", ["a product", "a sum", "heads first", "a slice", "k and q"])
def test_gradients_are_turned_back(rotate, rng, through):
    weight = normal(rng, 2, 5, 3, 2, 6, dtype="float64").requires_grad_()
    cos, sin = tables(rng, 5, 3, "float64")
    factor, turned = normal(rng, 2, 5, 3, 2, 6, dtype="float64"), normal(rng, 2, 2, 5, 6, dtype="float64")
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
        assert float(off.max()) < 1e-9, (
            f"through {through}, inverse={inverse}: the gradient of qkv{list(place)} is {got[place]:.6g},"
            f" want {want[place]:.6g}"
        )


@pytest.mark.finds("gradient", at="backward")
def test_backward_is_the_slope_of_forward(rotate, operator, rng):
    cos, sin = tables(rng, 3, 2, "float64")

    def call(w):
        z = w * 1
        rotate(z, cos, sin)
        return z

    operator.gradients(call, normal(rng, 1, 3, 2, 4, dtype="float64").requires_grad_())


@pytest.mark.finds("gradient", at="backward")
def test_the_incoming_gradient_is_left_alone(rotate, rng):
    import torch

    weight, (cos, sin) = normal(rng, 1, 4, 2, 8).requires_grad_(), tables(rng, 4, 4)
    z = weight * 1
    rotate(z, cos, sin)
    grad = normal(rng, 1, 4, 2, 8)
    before = grad.clone()
    torch.autograd.grad(z, weight, grad)
    assert torch.equal(grad, before), "backward wrote into the gradient it was given; others use that tensor too"


@pytest.mark.finds("hidden-copy", at="forward")
def test_only_the_tables_are_kept_for_backward(rotate, rng):
    import torch

    weight, (cos, sin) = normal(rng, 4, 4, 8, 64).requires_grad_(), tables(rng, 4, 32)
    z, kept = weight * 1, []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        rotate(z, cos, sin)
    allowed = cos.nbytes + sin.nbytes
    assert sum(kept) <= allowed, f"{sum(kept):,} bytes are kept for the backward, the tables have {allowed:,}"


@pytest.mark.finds("schema", at="m.def(")
def test_the_operator_keeps_its_contract(rotate, operator, rng):
    cos, sin = tables(rng, 4, 4)
    for needs_grad in (False, True):
        x = normal(rng, 1, 4, 2, 8).requires_grad_(needs_grad) * 1
        operator.contract(rotate.default, x, cos, sin)
