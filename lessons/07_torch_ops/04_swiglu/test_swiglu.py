"""Checks of op-swiglu: values, both gradients for every layout of what comes in, and what is kept in between."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# what TORCH_CHECK, TORCH_CHECK_TYPE, TORCH_CHECK_VALUE and TORCH_CHECK_NOT_IMPLEMENTED raise
REFUSED = (RuntimeError, TypeError, ValueError)


@pytest.fixture
def swiglu(built):
    """torch.ops.swiglu with what swiglu.py registers."""
    import swiglu  # noqa: F401 - the learner's Python file

    return built


def normal(rng, *shape, dtype="float32", scale=2.0):
    import torch

    return torch.from_numpy((rng.standard_normal(shape) * scale).astype(dtype))


def reference(gate, up):
    """silu(gate) * up in float64, differentiable."""
    import torch

    return torch.nn.functional.silu(gate.double()) * up.double()


def same(got, want, what):
    """Equal but for rounding; the first place that is not."""
    import torch

    assert got.shape == want.shape, f"{what}: shape {tuple(got.shape)}, want {tuple(want.shape)}"
    # Where the derivative crosses zero its terms cancel: there the error is that of the terms, not of the result.
    tolerance = 1e-5 if got.dtype == torch.float32 else 1e-11
    off = ~((got.double() - want).abs() <= tolerance * (want.abs() + 1))
    if off.any():
        place = tuple(off.nonzero()[0].tolist())
        raise AssertionError(
            f"{what}: {int(off.sum())} of {off.numel()} values are wrong, first at {list(place)}:"
            f" got {got[place]:.8g}, want {want[place]:.8g}"
        )


@pytest.mark.finds("wrong-result", at="activate")
def test_values_match_eager(swiglu, rng):
    for shape in [(1,), (7,), (3, 5), (2, 3, 33), (4, 1000), (40, 503)]:
        gate, up = normal(rng, *shape), normal(rng, *shape)
        same(swiglu.forward(gate, up), reference(gate, up), f"{shape}")


@pytest.mark.finds("wrong-result", at="activate")
def test_float64_is_computed_in_float64(swiglu, rng):
    gate, up = normal(rng, 6, 50, dtype="float64"), normal(rng, 6, 50, dtype="float64")
    got = swiglu.forward(gate, up)
    assert str(got.dtype) == "torch.float64", f"float64 in, {got.dtype} out"
    same(got, reference(gate, up), "float64")


@pytest.mark.finds("numerics", at="activate")
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40))
def test_large_gates_neither_overflow_nor_vanish(swiglu, values):
    import torch

    for dtype in (torch.float32, torch.float64):
        gate = torch.tensor([*values, 1e4, -1e4, 89.0, -89.0, 710.0, -710.0, 0.0], dtype=dtype)
        up, ones = torch.full_like(gate, 0.5), torch.ones_like(gate)
        same(swiglu.forward(gate, up), reference(gate, up), f"{dtype}, gates {gate.tolist()[-7:]}")
        leaf = gate.double().requires_grad_()
        (want,) = torch.autograd.grad(reference(leaf, up).sum(), leaf)
        same(swiglu.backward(ones, gate, up, True, False)[0], want, f"gradient of gate, {dtype}")


@pytest.mark.finds("numerics", at="activate")
def test_nan_comes_through(swiglu):
    import torch

    gate = torch.full((40,), 1.0)
    gate[[0, 17, 39]] = float("nan")
    bad = swiglu.forward(gate, torch.ones(40)).isnan().nonzero().flatten().tolist()
    assert bad == [0, 17, 39], f"gate is NaN at [0, 17, 39], the result at {bad}"


def views(rng, dtype="float32"):
    """(name, gate, up) of one shape in the layouts that models make."""
    packed, turned = normal(rng, 6, 20, dtype=dtype), normal(rng, 10, 6, dtype=dtype)
    row, every = normal(rng, 10, dtype=dtype), normal(rng, 6, 30, dtype=dtype)
    return [
        ("halves of one projection", packed[:, :10], packed[:, 10:]),
        ("a transposed gate", turned.t(), packed[:, :10]),
        ("both transposed", turned.t(), turned.t()),
        ("an expanded up", packed[:, :10].contiguous(), row.expand(6, 10)),
        ("every third column", every[:, ::3], every[:, 1::3]),
    ]


@pytest.mark.finds("layout", at="forward")
def test_views_match_their_copies(swiglu, rng):
    for name, gate, up in views(rng):
        got = swiglu.forward(gate, up)
        same(got, reference(gate, up), f"{name}, strides {gate.stride()} and {up.stride()}")
        assert got.is_contiguous(), f"{name}: the result has strides {got.stride()}, want a dense one"


@pytest.mark.finds("layout", at="forward")
def test_empty_tensors_are_fine(swiglu, rng):
    for shape in [(0,), (3, 0), (0, 5)]:
        gate = normal(rng, *shape).requires_grad_()
        got = swiglu.forward(gate, gate)
        assert got.shape == gate.shape, f"{shape}: the result has shape {tuple(got.shape)}"
        got.sum().backward()
        assert gate.grad.shape == gate.shape, f"{shape}: the gradient has shape {tuple(gate.grad.shape)}"


@pytest.mark.finds("layout", at="check")
def test_other_shapes_are_refused(swiglu, rng):
    for first, second in [((4, 6), (6, 4)), ((4, 6), (6,)), ((4, 6), (4, 1)), ((24,), (4, 6))]:
        try:
            swiglu.forward(normal(rng, *first), normal(rng, *second))
        except REFUSED:
            continue
        raise AssertionError(f"gate {first} with up {second} was taken, want an exception")


@pytest.mark.finds("dtype", at="check")
def test_other_dtypes_are_refused(swiglu):
    import torch

    room = torch.zeros(4096, dtype=torch.uint8)
    pairs = [(kind, kind) for kind in (torch.float16, torch.bfloat16, torch.int32, torch.complex64)]
    for one, other in [*pairs, (torch.float32, torch.float64), (torch.float64, torch.float32)]:
        try:
            swiglu.forward(room.view(one)[:24], room.view(other)[:24])
        except REFUSED:
            continue
        raise AssertionError(f"gate {one} with up {other} was taken: bytes were read as another type")


def wanted(grad, gate, up):
    """Gradients by autograd through the reference, in float64."""
    import torch

    leaves = [t.detach().double().requires_grad_() for t in (gate, up)]
    return torch.autograd.grad(reference(*leaves), leaves, grad.double())


@pytest.mark.finds("gradient", at="differentiate")
def test_both_derivatives_are_right(swiglu, rng):
    for dtype in ("float32", "float64"):
        gate, up, grad = (normal(rng, 5, 41, dtype=dtype) for _ in range(3))
        want = wanted(grad, gate, up)
        both = swiglu.backward(grad, gate, up, True, True)
        same(both[0], want[0], f"gradient of gate, {dtype}")
        same(both[1], want[1], f"gradient of up, {dtype}")
        same(swiglu.backward(grad, gate, up, True, False)[0], want[0], f"gradient of gate alone, {dtype}")
        same(swiglu.backward(grad, gate, up, False, True)[1], want[1], f"gradient of up alone, {dtype}")


@pytest.mark.finds("gradient", at="Tensor> backward(")
@pytest.mark.parametrize("kind", ["slice of a cat", "transposed", "expanded", "a row", "every second"])
def test_incoming_gradients_have_any_layout(swiglu, rng, kind):
    gate, up = normal(rng, 6, 10), normal(rng, 6, 10)
    grad = {
        "slice of a cat": lambda: normal(rng, 6, 25)[:, 5:15],
        "transposed": lambda: normal(rng, 10, 6).t(),
        "expanded": lambda: normal(rng, 1).expand(6, 10),
        "a row": lambda: normal(rng, 10).expand(6, 10),
        "every second": lambda: normal(rng, 12, 20)[::2, ::2],
    }[kind]()
    before = grad.clone()
    got = swiglu.backward(grad, gate, up, True, True)
    for name, mine, theirs in zip(("gate", "up"), got, wanted(grad, gate, up), strict=True):
        same(mine, theirs, f"gradient of {name}, incoming gradient {kind}, strides {grad.stride()}")
    assert grad.equal(before), f"the incoming gradient ({kind}) was written"


@pytest.mark.finds("gradient", at="Tensor> backward(")
def test_saved_views_give_the_same_gradients(swiglu, rng):
    for name, gate, up in views(rng):
        grad = normal(rng, 6, 10)
        got = swiglu.backward(grad, gate, up, True, True)
        for part, mine, theirs in zip(("gate", "up"), got, wanted(grad, gate, up), strict=True):
            same(mine, theirs, f"gradient of {part}, {name}")


@pytest.mark.finds("gradient", at="def backward(")
def test_backward_is_the_slope_of_forward(swiglu, operator, rng):
    import torch

    pair = [normal(rng, 3, 4, dtype="float64").requires_grad_() for _ in range(2)]
    operator.gradients(swiglu.forward, *pair)
    operator.gradients(lambda gate, up: torch.cat((swiglu.forward(gate, up), up), 1), *pair)
    operator.gradients(lambda gate, up: swiglu.forward(gate.t(), up.t()).sin(), *pair)


@pytest.mark.finds("gradient", at="def backward(")
def test_each_argument_gets_its_own_gradient(swiglu, rng):
    import torch

    for needs in [(True, False), (False, True), (True, True)]:
        gate, up, grad = (normal(rng, 4, 9, dtype="float64") for _ in range(3))
        pair = [t.requires_grad_(need) for t, need in zip((gate, up), needs, strict=True)]
        swiglu.forward(*pair).backward(grad)
        for name, leaf, theirs in zip(("gate", "up"), pair, wanted(grad, gate, up), strict=True):
            if leaf.requires_grad:
                assert leaf.grad is not None, f"{name} requires grad and got none (needs_input_grad = {needs})"
                same(leaf.grad, theirs, f"gradient of {name}, needs_input_grad = {needs}")
    weight = normal(rng, 5, dtype="float64").requires_grad_()
    (got,) = torch.autograd.grad(swiglu.forward(weight, weight).sum(), weight)  # one tensor twice: the sum of both
    same(got, sum(wanted(torch.ones(5), weight, weight)), "gradient of x for forward(x, x)")


def bytes_made(call):
    """Bytes of all results of the swiglu operators that `call` runs."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Count(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if "swiglu" in str(func):
                Count.total += sum(t.nbytes for t in tree_leaves(result))
            return result

    with Count():
        call()
    return Count.total


@pytest.mark.finds("hidden-copy", at="def backward(")
def test_gradients_nobody_needs_are_not_computed(swiglu, rng):
    import torch

    for needs in [(True, False), (False, True)]:
        pair = [normal(rng, 64, 64).requires_grad_(need) for need in needs]
        result, leaf = swiglu.forward(*pair), pair[needs.index(True)]
        made = bytes_made(lambda result=result, leaf=leaf: torch.autograd.grad(result.sum(), leaf))
        assert made <= leaf.nbytes, (
            f"needs_input_grad = {needs}: backward made {made:,} bytes of gradients,"
            f" the one that is needed has {leaf.nbytes:,}"
        )


@pytest.mark.finds("hidden-copy", at="setup_context")
def test_only_gate_and_up_are_kept(swiglu, rng):
    import torch

    gate, up = normal(rng, 64, 64).requires_grad_(), normal(rng, 64, 64).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        swiglu.forward(gate, up)
    allowed = gate.nbytes + up.nbytes
    assert sum(kept) <= allowed, (
        f"{sum(kept):,} bytes are kept for backward; gate and up, which are enough, have {allowed:,}"
    )


@pytest.mark.finds("autograd-registration", at="setup_context")
@pytest.mark.parametrize("which", ["gate", "up"])
def test_a_change_after_forward_is_noticed(swiglu, rng, which):
    leaves = {name: normal(rng, 4, 9).requires_grad_() for name in ("gate", "up")}
    pair = {name: leaf * 1 for name, leaf in leaves.items()}
    result = swiglu.forward(**pair)
    pair[which].mul_(2)
    try:
        result.sum().backward()
    except RuntimeError:
        return
    raise AssertionError(
        f"{which} was changed in place after forward, and backward used the new values without a word:"
        " keep tensors with save_for_backward"
    )


@pytest.mark.finds("memory-leak", at="setup_context")
def test_a_graph_that_is_dropped_is_freed(swiglu, rng):
    import gc
    import weakref

    gc.disable()
    gate, up = normal(rng, 64, 64).requires_grad_(), normal(rng, 64, 64).requires_grad_()
    results = [swiglu.forward(gate, up) for _ in range(5)]
    watched = [weakref.ref(result) for result in results]
    del results
    alive = sum(ref() is not None for ref in watched)
    assert not alive, (
        f"{alive} of 5 results are alive after the last reference is gone: ctx holds what holds ctx, a cycle"
        " that keeps the activations until the garbage collector comes by"
    )


@pytest.mark.finds("out-of-bounds", at="activate")
def test_reads_stay_inside(swiglu, guard, rng):
    import torch

    for side in ("after", "before"):
        gate, up, grad = (
            torch.from_numpy(guard.array(rng.standard_normal((3, 37)).astype("float32"), side=side)) for _ in range(3)
        )
        same(swiglu.forward(gate, up), reference(gate, up), f"guard page {side}")
        same(swiglu.backward(grad, gate, up, True, True)[0], wanted(grad, gate, up)[0], f"guard page {side}")


@pytest.mark.finds("schema", at="m.def(")
def test_the_operator_keeps_its_contract(swiglu, operator, rng):
    for _, gate, up in views(rng)[:2]:
        operator.contract(swiglu.forward.default, gate, up)
        operator.contract(swiglu.forward.default, gate.clone().requires_grad_(), up.clone().requires_grad_())
