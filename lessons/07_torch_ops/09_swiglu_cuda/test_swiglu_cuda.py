"""Checks of op-swiglu-cuda: what can be seen without a GPU, then values, gradients, streams and memory on one."""

import ctypes

import pytest


@pytest.fixture
def launchers(built, artifact, monkeypatch):
    """(name, call of a count) by direction: C functions that find no GPU, even where there is one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    library, found = ctypes.CDLL(artifact.path), {"forward": [], "backward": []}
    if library.cudaGetDeviceCount(ctypes.byref(ctypes.c_int())) == 0:
        pytest.skip("a GPU stays visible: a launch with null pointers would run")
    library.cudaGetLastError()  # forgotten: what comes next is the launch's own
    for direction, pointers in (("forward", 3), ("backward", 5)):
        for dtype in ("float32", "bfloat16"):
            launch = getattr(library, f"swiglu_{direction}_{dtype}")
            launch.argtypes = [ctypes.c_void_p] * pointers + [ctypes.c_int64, ctypes.c_void_p]
            launch.restype = ctypes.c_int

            def call(count, launch=launch, pointers=pointers):
                return launch(*[None] * pointers, count, None)

            found[direction].append((f"{direction}, {dtype}", call))
    return found


@pytest.fixture
def swiglu(built):
    """torch.ops.swiglu_cuda with what swiglu.py registers."""
    import swiglu  # noqa: F401 - the learner's Python file

    return built


def normal(rng, *shape, dtype="float32", scale=2.0):
    """On the GPU."""
    import torch

    return torch.from_numpy((rng.standard_normal(shape) * scale).astype("float32")).to("cuda", getattr(torch, dtype))


def reference(gate, up):
    """silu(gate) * up in float64, differentiable."""
    import torch

    return torch.nn.functional.silu(gate.double()) * up.double()


def wanted(grad, gate, up):
    """Gradients by autograd through the reference, in float64."""
    import torch

    leaves = [t.detach().double().requires_grad_() for t in (gate, up)]
    return torch.autograd.grad(reference(*leaves), leaves, grad.double())


def same(got, want, what, relative=1e-5, absolute=1e-5):
    """Equal but for rounding; the first place that is not."""
    assert got.shape == want.shape, f"{what}: shape {tuple(got.shape)}, want {tuple(want.shape)}"
    off = ~((got.double() - want).abs() <= relative * want.abs() + absolute)
    if off.any():
        place = tuple(off.nonzero()[0].tolist())
        raise AssertionError(
            f"{what}: {int(off.sum())} of {off.numel()} values are wrong, first at {list(place)}:"
            f" got {got[place]:.8g}, want {want[place]:.8g}"
        )


def spoil(like, times=2):
    """Leave NaN in the memory that the allocator hands out next: a value that nobody writes shows."""
    import torch

    spoiled = [torch.full_like(like, float("nan")) for _ in range(times)]
    torch.cuda.synchronize()
    del spoiled


@pytest.mark.finds("schema", at="swiglu_forward_float32")
def test_operators_are_registered_for_cuda(built):
    import torch

    assert str(built.forward.default._schema) == "swiglu_cuda::forward(Tensor gate, Tensor up) -> Tensor"
    for name in ("forward", "backward"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"swiglu_cuda::{name}", "CUDA"), f"no kernel: {name}"


def fails(calls):
    for name, call in calls:
        for count in (1, 5000):
            assert call(count) != 0, f"{name}: the launch failed, cudaSuccess was returned: ask cudaGetLastError()"


@pytest.mark.finds("error-path", at="cudaError_t launch_forward(")
def test_failed_forward_launch_is_reported(launchers):
    fails(launchers["forward"])


@pytest.mark.finds("error-path", at="cudaError_t launch_backward(")
def test_failed_backward_launch_is_reported(launchers):
    fails(launchers["backward"])


def succeeds_on_nothing(calls):
    for name, call in calls:
        error = call(0)
        assert error == 0, f"{name}, no numbers: cudaError {error}, want 0 and no launch"


@pytest.mark.finds("layout", at="cudaError_t launch_forward(")
def test_forward_of_nothing_is_a_success(launchers):
    succeeds_on_nothing(launchers["forward"])


@pytest.mark.finds("layout", at="cudaError_t launch_backward(")
def test_backward_of_nothing_is_a_success(launchers):
    succeeds_on_nothing(launchers["backward"])


def counts_in_64_bits(calls):
    for name, call in calls:
        for count in (1 << 32, 3 << 32):  # their lower 32 bits are 0
            assert call(count) != 0, f"{name}: {count:,} numbers were taken for none: the count was cut to 32 bits"


@pytest.mark.finds("wrong-result", at="cudaError_t launch_forward(")
def test_forward_counts_in_64_bits(launchers):
    counts_in_64_bits(launchers["forward"])


@pytest.mark.finds("wrong-result", at="cudaError_t launch_backward(")
def test_backward_counts_in_64_bits(launchers):
    counts_in_64_bits(launchers["backward"])


def without_data(*shape, grad=True):
    """A tensor of shapes only: autograd treats it like any other, and no kernel runs."""
    import torch

    return torch.empty(shape, device="meta", requires_grad=grad)


@pytest.mark.finds("hidden-copy", at="def setup_context(")
def test_only_gate_and_up_are_kept(swiglu):
    import torch

    gate, up, kept = without_data(64, 64), without_data(64, 64), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        swiglu.forward(gate, up)
    allowed = gate.nbytes + up.nbytes
    assert sum(kept) <= allowed, (
        f"{sum(kept):,} bytes are kept for backward; gate and up, which are enough, have {allowed:,}"
    )


@pytest.mark.finds("autograd-registration", at="def setup_context(")
@pytest.mark.parametrize("which", ["gate", "up"])
def test_a_change_after_forward_is_noticed(swiglu, which):
    pair = {name: without_data(4, 9) * 1 for name in ("gate", "up")}
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


@pytest.mark.finds("memory-leak", at="def setup_context(")
def test_a_graph_that_is_dropped_is_freed(swiglu):
    import gc
    import weakref

    gc.disable()
    gate, up = without_data(64, 64), without_data(64, 64)
    results = [swiglu.forward(gate, up) for _ in range(5)]
    watched = [weakref.ref(result) for result in results]
    del results
    alive = sum(ref() is not None for ref in watched)
    assert not alive, (
        f"{alive} of 5 results are alive after the last reference is gone: ctx holds what holds ctx, a cycle"
        " that keeps the activations until the garbage collector comes by"
    )


def bytes_made(call):
    """Bytes of all results of the operators that `call` runs."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Count(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if "swiglu_cuda" in str(func):
                Count.total += sum(t.nbytes for t in tree_leaves(result))
            return result

    with Count():
        call()
    return Count.total


@pytest.mark.finds("hidden-copy", at="def backward(")
def test_gradients_nobody_needs_are_not_computed(swiglu):
    import torch

    for needs in [(True, False), (False, True)]:
        pair = [without_data(64, 64, grad=need) for need in needs]
        result, leaf = swiglu.forward(*pair), pair[needs.index(True)]
        made = bytes_made(lambda result=result, leaf=leaf: torch.autograd.grad(result.sum(), leaf))
        assert made <= leaf.nbytes, (
            f"needs_input_grad = {needs}: backward made {made:,} bytes of gradients,"
            f" the one that is needed has {leaf.nbytes:,}"
        )


@pytest.mark.finds("gradient", at="def backward(")
def test_each_argument_that_needs_a_gradient_gets_one(swiglu):
    for needs in [(True, True), (True, False), (False, True)]:
        pair = [without_data(3, 5, grad=need) for need in needs]
        swiglu.forward(*pair).sum().backward()
        for name, leaf in zip(("gate", "up"), pair, strict=True):
            if leaf.requires_grad:
                assert leaf.grad is not None, f"{name} requires grad and got none (needs_input_grad = {needs})"
                assert leaf.grad.shape == leaf.shape, f"{name}: its gradient has shape {tuple(leaf.grad.shape)}"


# Longest first: what a grid that is too small leaves out is a wrong value there, and a failed launch in the last.
SHAPES = [(70_001, 3), (4, 1025), (3, 1023), (5, 257), (2, 3, 33), (7,), (1,)]


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="forward_kernel(const")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_match_eager(swiglu, rng, dtype):
    relative = 1e-5 if dtype == "float32" else 0.02  # bfloat16 to the last place has a check of its own
    for shape in SHAPES:
        gate, up = normal(rng, *shape, dtype=dtype), normal(rng, *shape, dtype=dtype)
        spoil(gate)
        got = swiglu.forward(gate, up)
        assert got.dtype == gate.dtype, f"{dtype} in, {got.dtype} out"
        same(got, reference(gate, up), f"{dtype}, {shape}", relative, relative)


@pytest.mark.gpu
@pytest.mark.finds("layout", at="forward_kernel(const")
def test_empty_tensors_are_fine(swiglu, rng):
    for shape in [(0,), (3, 0), (0, 5)]:
        gate = normal(rng, *shape).requires_grad_()
        got = swiglu.forward(gate, gate)
        assert got.shape == gate.shape, f"{shape}: the result has shape {tuple(got.shape)}"
        got.sum().backward()
        assert gate.grad.shape == gate.shape, f"{shape}: the gradient has shape {tuple(gate.grad.shape)}"


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="sigmoid(float")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_large_gates_neither_overflow_nor_vanish(swiglu, rng, dtype):
    import torch

    edges = [1e4, -1e4, 89.0, -89.0, 88.0, -88.0, 104.0, -104.0, 0.0, -0.0, 1e30, -1e30]
    values = [*edges, *rng.uniform(-200, 200, 500).tolist()]
    gate = torch.tensor(values, dtype=torch.float64, device="cuda").to(getattr(torch, dtype))
    up, ones = torch.full_like(gate, 0.5), torch.ones_like(gate)
    relative = 1e-5 if dtype == "float32" else 0.01
    same(swiglu.forward(gate, up), reference(gate, up), f"{dtype}, large gates", relative, relative)
    got = swiglu.backward(ones, gate, up, True, True)
    for part, mine, theirs in zip(("gate", "up"), got, wanted(ones, gate, up), strict=True):
        same(mine, theirs, f"{dtype}, gradient of {part}, large gates", relative, relative)


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="sigmoid(float")
def test_nan_comes_through(swiglu):
    import torch

    gate = torch.full((400,), 1.0, device="cuda")
    gate[[0, 17, 399]] = float("nan")
    bad = swiglu.forward(gate, torch.ones(400, device="cuda")).isnan().nonzero().flatten().tolist()
    assert bad == [0, 17, 399], f"gate is NaN at [0, 17, 399], the result at {bad}"


# One rounding to bfloat16 is off by 2^-8 of the value at most; what float does before is far below the rest.
ONCE = 2.0**-8 * 1.001


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="forward_kernel(const")
def test_forward_rounds_bfloat16_once(swiglu, rng):
    gate, up = (normal(rng, 64, 1000, dtype="bfloat16") for _ in range(2))
    same(swiglu.forward(gate, up), reference(gate, up), "bfloat16: only the result is to be rounded", ONCE, 1e-6)


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="backward_kernel(const")
def test_backward_rounds_bfloat16_once(swiglu, rng):
    grad, gate, up = (normal(rng, 64, 1000, dtype="bfloat16") for _ in range(3))
    got = swiglu.backward(grad, gate, up, True, True)
    for part, mine, theirs in zip(("gate", "up"), got, wanted(grad, gate, up), strict=True):
        # Where the derivative of silu crosses zero its terms cancel: the error there is that of the terms, in float.
        same(mine, theirs, f"gradient of {part}, bfloat16: only the result is to be rounded", ONCE, 2e-5)


@pytest.mark.gpu
@pytest.mark.finds("gradient", at="backward_kernel(const")
@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, True)])
def test_gradients_match_eager(swiglu, rng, needs):
    for shape in SHAPES:
        grad, gate, up = (normal(rng, *shape) for _ in range(3))
        spoil(gate)
        got = swiglu.backward(grad, gate, up, *needs)
        for part, need, mine, theirs in zip(("gate", "up"), needs, got, wanted(grad, gate, up), strict=True):
            what = f"{shape}, gradient of {part}, needs_gate, needs_up = {needs}"
            if need:
                same(mine, theirs, what, 1e-5, 1e-4)  # products of three numbers up to 10, in float
            else:
                assert mine.numel() == 0, f"{what}: {mine.numel()} numbers of a gradient that nobody needs"


@pytest.mark.gpu
@pytest.mark.finds("gradient", at="def backward(")
@pytest.mark.parametrize("through", ["a product", "a cat", "a transpose", "a sum", "every second", "x twice"])
def test_gradients_come_in_any_layout(swiglu, rng, through):
    import torch

    factor = normal(rng, 6, 20)
    call = {
        "a product": lambda f, g, u: (f(g, u) * factor[:, :10]).sum(),
        "a cat": lambda f, g, u: (torch.cat((f(g, u), u), 1) * factor).sum(),
        "a transpose": lambda f, g, u: (f(g, u).t() * factor[:, :10].t().contiguous()).sum(),
        "a sum": lambda f, g, u: f(g, u).sum(),  # the gradient arrives expanded, all strides 0
        "every second": lambda f, g, u: (f(g, u)[:, ::2] * factor[:, :5]).sum(),
        "x twice": lambda f, g, u: (f(g * u, g * u) * factor[:, :10]).sum(),
    }[through]
    pair = [normal(rng, 6, 10, scale=1.0).requires_grad_() for _ in range(2)]
    wide = [leaf.detach().double().requires_grad_() for leaf in pair]
    got = torch.autograd.grad(call(swiglu.forward, *pair), pair)
    want = torch.autograd.grad(call(reference, *wide), wide)
    for part, mine, theirs in zip(("gate", "up"), got, want, strict=True):
        same(mine, theirs, f"through {through}: gradient of {part}", 1e-4, 1e-4)


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="cudaError_t launch_forward(")
def test_forward_runs_on_the_current_stream(swiglu, gpu, rng):
    gpu.stream(swiglu.forward, normal(rng, 64, 1000), normal(rng, 64, 1000))


def both_gradients(grad, gate, up):
    import torch

    return torch.ops.swiglu_cuda.backward(grad, gate, up, True, True)


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="cudaError_t launch_backward(")
def test_backward_runs_on_the_current_stream(swiglu, gpu, rng):
    gpu.stream(both_gradients, *(normal(rng, 64, 1000) for _ in range(3)))


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="cudaError_t launch_forward(")
def test_forward_waits_for_nothing(swiglu, gpu, rng):
    gpu.graph(swiglu.forward, normal(rng, 64, 1000), normal(rng, 64, 1000))


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="cudaError_t launch_backward(")
def test_backward_waits_for_nothing(swiglu, gpu, rng):
    gpu.graph(both_gradients, *(normal(rng, 64, 1000) for _ in range(3)))


@pytest.mark.gpu
@pytest.mark.finds("hidden-copy", at="def backward(")
def test_no_memory_but_that_of_the_results(swiglu, gpu, rng):
    grad, gate, up = (normal(rng, 1024, 2048) for _ in range(3))
    gpu.extra(swiglu.forward, gate, up, allowed=gate.nbytes)
    gpu.extra(both_gradients, grad, gate, up, allowed=2 * gate.nbytes)


@pytest.mark.gpu
@pytest.mark.finds("memory-leak", at="cudaError_t launch_backward(")
def test_nothing_leaks(swiglu, gpu, rng):
    grad, gate, up = (normal(rng, 256, 1024) for _ in range(3))
    gpu.leak(swiglu.forward, gate, up)
    gpu.leak(both_gradients, grad, gate, up)


@pytest.mark.gpu
@pytest.mark.finds("schema", at="def setup_context(")
def test_the_operator_keeps_its_contract(swiglu, operator, rng):
    packed = normal(rng, 6, 20)
    gate, up = packed[:, :10], packed[:, 10:]
    operator.contract(swiglu.forward.default, gate, up)
    operator.contract(swiglu.forward.default, gate.clone().requires_grad_(), up.clone().requires_grad_())
