"""Checks of op-fake: each fake kernel against its real one, sizes known, open and unknown; then torch.compile."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def window(built):
    """torch.ops.window with the learner's fake kernels."""
    import fake  # noqa: F401 - the learner's file

    return built


def images(*shape, seed=0):
    import torch

    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pretend(operator, *args, symbolic=False):
    """What the fake kernel says, as a tuple; `symbolic` leaves all sizes of tensors open. Raises AssertionError."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    def faked(mode, arg):
        if not isinstance(arg, torch.Tensor):
            return arg
        kind = DimDynamic.DYNAMIC if symbolic else DimDynamic.STATIC
        return mode.from_tensor(arg, symbolic_context=StatelessSymbolicContext(dynamic_sizes=[kind] * arg.dim()))

    try:
        with FakeTensorMode(shape_env=ShapeEnv()) as mode:
            result = operator(*(faked(mode, arg) for arg in args))
    except Exception as error:  # noqa: BLE001 - whatever the learner's function raises is the finding
        text = re.sub(r"\s+", " ", str(error))[:200]
        raise AssertionError(f"{name_of(operator)}'s fake kernel raised {type(error).__name__}: {text}") from None
    return result if isinstance(result, tuple) else (result,)


def name_of(operator):
    return str(operator).rpartition(".")[2]


def real(operator, *args):
    result = operator(*args)
    return result if isinstance(result, tuple) else (result,)


def layout(tensor):
    """Strides that say something: those of dimensions longer than 1, of a tensor that isn't empty."""
    if tensor.numel() == 0:
        return ()
    return tuple(step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)


def agree(operator, args, what, parts=("shape", "strides", "dtype")):
    """The real and the fake result must agree in the named parts."""
    want, got = real(operator, *args), pretend(operator, *args)
    name = name_of(operator)
    assert len(got) == len(want), f"{name}: {len(got)} results are promised, the kernel returns {len(want)}"
    for number, (mine, theirs) in enumerate(zip(got, want, strict=True)):
        where = f"{name}, result {number}, {what}"
        if "shape" in parts:
            assert tuple(mine.shape) == tuple(theirs.shape), (
                f"{where}: shape {tuple(mine.shape)} is promised, the kernel returns {tuple(theirs.shape)}"
            )
        if "strides" in parts and tuple(mine.shape) == tuple(theirs.shape):
            assert layout(mine) == layout(theirs), (
                f"{where}: strides {mine.stride()} are promised, the kernel's are {theirs.stride()}"
            )
        if "dtype" in parts:
            assert mine.dtype == theirs.dtype, f"{where}: {mine.dtype} is promised, the kernel returns {theirs.dtype}"


@pytest.mark.finds("fake-kernel", at="partition")
@pytest.mark.parametrize("part", ["shape", "strides", "dtype"])
def test_partition_keeps_its_promise(window, part):
    for shape, size in [((2, 8, 12, 3), 4), ((1, 6, 6, 5), 3), ((3, 5, 7, 2), 1), ((2, 4, 4, 6), 4)]:
        agree(window.partition, (images(*shape), size), f"{shape} by {size}", (part,))


@pytest.mark.finds("fake-kernel", at="blocks")
def test_windows_at_the_edge_count(window):
    for shape, size in [((2, 7, 9, 3), 4), ((1, 3, 3, 2), 5), ((2, 1, 10, 1), 3), ((1, 13, 4, 2), 4)]:
        agree(window.partition, (images(*shape), size), f"{shape} by {size}", ("shape",))


EMPTY = [((0, 8, 12, 3), 4), ((2, 0, 5, 3), 4), ((2, 5, 0, 3), 2), ((1, 6, 6, 0), 4)]


@pytest.mark.finds("fake-kernel", at="partition")
def test_partition_of_nothing(window):
    for shape, size in EMPTY:
        agree(window.partition, (images(*shape), size), f"{shape} by {size}")


@pytest.mark.finds("fake-kernel", at="merge")
def test_merge_of_nothing(window):
    for shape, size in EMPTY:
        windows = window.partition(images(*shape), size)[0]
        agree(window.merge, (windows, *shape[:3]), f"{tuple(windows.shape)} to {shape}")


@pytest.mark.finds("fake-kernel", at="partition")
def test_partition_of_a_view_is_laid_out_alike(window):
    base = images(2, 3, 8, 12)
    for image in (base.permute(0, 2, 3, 1), base.transpose(2, 3), images(4, 8, 8, 3)[::2]):
        agree(window.partition, (image, 4), f"an image with strides {image.stride()}")


@pytest.mark.finds("fake-kernel", at="merge")
@pytest.mark.parametrize("part", ["shape", "strides", "dtype"])
def test_merge_keeps_its_promise(window, part):
    for (batch, height, width, channels), size in [((2, 8, 12, 3), 4), ((2, 7, 9, 3), 4), ((1, 3, 5, 2), 2)]:
        windows = window.partition(images(batch, height, width, channels), size)[0]
        for given_windows in (windows, windows.contiguous(), windows.transpose(2, 3)):
            what = f"{tuple(windows.shape)} with strides {given_windows.stride()}"
            agree(window.merge, (given_windows, batch, height, width), what, (part,))


@pytest.mark.finds("fake-kernel", at="occupied")
def test_how_many_are_occupied_stays_open(window):
    import torch
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    windows = window.partition(images(2, 8, 8, 3), 4)[0]
    some, index = pretend(window.occupied, windows, 2.0)
    for name, size in (("kept windows", some.shape[0]), ("index", index.shape[0])):
        assert isinstance(size, torch.SymInt), (
            f"occupied promises {size} {name}, but only the values can tell how many there are: it needs an open size"
        )
    assert some.shape[0].node.expr == index.shape[0].node.expr, (
        "occupied promises two different open sizes: there are as many windows kept as numbers in the index"
    )
    assert not statically_known_true(some.shape[0] > 0), (
        "occupied promises that at least one window is kept: a compiled graph then fails where nothing is occupied"
    )


@pytest.mark.finds("fake-kernel", at="occupied")
def test_occupied_keeps_the_rest_of_its_promise(window):
    windows = window.partition(images(2, 8, 8, 3), 4)[0]
    for given_windows in (windows, windows.contiguous()):
        want, got = real(window.occupied, given_windows, -1.0), pretend(window.occupied, given_windows, -1.0)
        assert [t.dtype for t in got] == [t.dtype for t in want], (
            f"occupied promises {[t.dtype for t in got]}, the kernel returns {[t.dtype for t in want]}"
        )
        assert [t.dim() for t in got] == [t.dim() for t in want], "occupied promises results of another rank"
        assert tuple(got[0].shape[1:]) == tuple(want[0].shape[1:]), (
            f"occupied promises windows {tuple(got[0].shape[1:])}, the kernel returns {tuple(want[0].shape[1:])}"
        )
        assert tuple(got[0].stride()) == tuple(want[0].stride()), (
            f"occupied promises strides {tuple(got[0].stride())}, the kernel's are {tuple(want[0].stride())}"
        )


def refused_by(call):
    """The exception's type, or None."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the type is what is compared
        return type(error)
    return None


def wrong_calls(window):
    import torch

    image, windows = images(2, 8, 8, 3), window.partition(images(2, 8, 8, 3), 4)[0]
    types = (torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.bool)
    return {
        "partition": [
            ("three dimensions", (image[0], 4)),
            ("five dimensions", (image[None], 4)),
            *((str(kind), (image.to(kind), 4)) for kind in types),
            ("size 0", (image, 0)),
            ("a negative size", (image, -2)),
        ],
        "merge": [
            ("three dimensions", (windows[0], 2, 8, 8)),
            ("five dimensions", (windows[None], 2, 8, 8)),
            *((str(kind), (windows.to(kind), 2, 8, 8)) for kind in types),
            ("windows that are not square", (windows[:, :, :2], 2, 8, 8)),
            ("windows of size 0", (windows[:, :, :0, :0], 2, 8, 8)),
            ("too few windows", (windows[1:], 2, 8, 8)),
            ("too many windows", (windows, 1, 8, 8)),
            ("a larger image", (windows, 2, 8, 9)),
        ],
        "occupied": [
            ("three dimensions", (windows[0], 1.0)),
            ("five dimensions", (windows[None], 1.0)),
            *((str(kind), (windows.to(kind), 1.0)) for kind in types),
        ],
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.finds("fake-kernel", at=name))
        for name in ("partition", "merge", "occupied")
    ],
)
def test_what_the_kernel_refuses_is_refused_without_data(window, name):
    operator = getattr(window, name)
    for what, args in wrong_calls(window)[name]:
        assert refused_by(lambda args=args: operator(*args)) is RuntimeError
        try:
            promised = pretend(operator, *args)
        except AssertionError as error:
            if "RuntimeError" in str(error):
                continue
            raise AssertionError(f"{what}: the kernel raises RuntimeError, {error}") from None
        shapes = [tuple(t.shape) for t in promised]
        raise AssertionError(
            f"{name} with {what}: the kernel refuses it, the fake kernel promises {shapes}: a trace would go wrong late"
        )


def burned_in(result, real_result):
    """Sizes of an open trace that turned into numbers."""
    import torch

    pairs = zip(result, real_result, strict=True)
    return [
        f"result {number}, dimension {axis} is {size}"
        for number, (fake, _) in enumerate(pairs)
        for axis, size in enumerate(fake.shape)
        if not isinstance(size, torch.SymInt) or not size.node.expr.free_symbols
    ]


@pytest.mark.finds("fake-kernel", at="partition")
def test_partition_leaves_open_sizes_open(window):
    image = images(2, 9, 14, 5)
    got = pretend(window.partition, image, 4, symbolic=True)
    fixed = [text for text in burned_in(got[:1], real(window.partition, image, 4)[:1]) if text[-1] != "4"]
    fixed += [text for text in burned_in(got[1:], real(window.partition, image, 4)[1:]) if text[-1] != "4"]
    assert not fixed, f"partition, with batch, height, width and channels open: {'; '.join(fixed)}: burned in"
    sizes = [size.node.hint if hasattr(size, "node") else size for size in got[0].shape]
    want = list(window.partition(image, 4)[0].shape)
    assert sizes == want, f"partition, sizes open: for {tuple(image.shape)} the formula gives {sizes}, want {want}"


@pytest.mark.finds("fake-kernel", at="merge")
def test_merge_leaves_open_sizes_open(window):
    windows = window.partition(images(2, 8, 12, 5), 4)[0]
    fixed = burned_in(
        [t[..., 0, 0, :] for t in pretend(window.merge, windows, 2, 8, 12, symbolic=True)],
        [t[..., 0, 0, :] for t in real(window.merge, windows, 2, 8, 12)],
    )
    fixed = [text for text in fixed if not text.startswith("result 0, dimension 0")]
    assert not fixed, f"merge, with the number of channels open: {'; '.join(fixed)}: burned in"


@pytest.mark.finds("fake-kernel", at="occupied")
def test_occupied_leaves_open_sizes_open(window):
    windows = window.partition(images(2, 8, 12, 5), 4)[0]
    fixed = burned_in(pretend(window.occupied, windows, 1.0, symbolic=True), real(window.occupied, windows, 1.0))
    assert not fixed, f"occupied, with all sizes open: {'; '.join(fixed)}: burned in"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.finds("fake-kernel", at=name)) for name in ("partition", "merge")]
)
def test_results_are_on_the_device_of_the_argument(window, name):
    image = images(2, 8, 8, 3)
    args = (image, 4) if name == "partition" else (window.partition(image, 4)[0], 2, 8, 8)
    result = getattr(window, name)(args[0].to("meta"), *args[1:])
    devices = {str(t.device) for t in (result if isinstance(result, tuple) else (result,))}
    assert devices == {"meta"}, f"{name} of a tensor on `meta` promises results on {', '.join(sorted(devices))}"


@settings(max_examples=30, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.integers(1, 4)),
    size=st.integers(1, 6),
    turned=st.booleans(),
)
@pytest.mark.finds("fake-kernel", at="partition")
def test_any_image_in_any_windows(window, shape, size, turned):
    image = images(*shape).transpose(1, 2) if turned else images(*shape)
    agree(window.partition, (image, size), f"{tuple(image.shape)} by {size}")
    windows = window.partition(image, size)[0]
    agree(window.merge, (windows, *image.shape[:3]), f"{tuple(windows.shape)} to {tuple(image.shape)}")


def arguments(window, name):
    image = images(2, 7, 9, 3)
    windows = window.partition(image, 4)[0]
    return {"partition": (image, 4), "merge": (windows, 2, 7, 9), "occupied": (windows, 2.0)}[name]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.finds("fake-kernel", at=name))
        for name in ("partition", "merge", "occupied")
    ],
)
def test_opcheck_agrees(window, name):
    import torch

    operator = getattr(window, name).default
    for test in ("test_faketensor", "test_aot_dispatch_dynamic"):
        try:
            torch.library.opcheck(operator, arguments(window, name), test_utils=test)
        except Exception as error:  # noqa: BLE001 - opcheck has no public exception type
            text = re.sub(r"\s+", " ", str(error))[:300]
            raise AssertionError(f"opcheck {test} of {name}: {text}") from None


@pytest.mark.finds("fake-kernel", at="partition")
def test_one_compiled_graph_serves_every_image(window):
    import torch
    from torch._dynamo.testing import CompileCounterWithBackend

    def model(image):
        windows, used = window.partition(image, 4)
        windows = windows.flatten(2) * used.flatten().numel()  # flatten reads the promised strides
        kept, index = window.occupied(windows.unflatten(2, (4, 4)), 60.0)
        return window.merge(windows.unflatten(2, (4, 4)), *image.shape[:3]), kept.sum((1, 2, 3)), index + 1

    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, backend=counter, fullgraph=True, dynamic=True)
    for number, shape in enumerate([(2, 7, 9, 3), (3, 14, 18, 6), (5, 10, 21, 7)]):
        image = images(*shape, seed=number)
        try:
            got = compiled(image)
        except Exception as error:  # noqa: BLE001 - whatever dynamo raises is the finding
            text = re.sub(r"\s+", " ", str(error))[:300]
            raise AssertionError(f"torch.compile(fullgraph=True, dynamic=True), image {shape}: {text}") from None
        for mine, theirs in zip(got, model(image), strict=True):
            assert mine.shape == theirs.shape, (
                f"compiled, image {shape}: {tuple(mine.shape)}, eager {tuple(theirs.shape)}"
            )
            assert torch.allclose(mine, theirs, atol=1e-4), f"compiled, image {shape}: values differ from eager"
    assert counter.frame_count == 1, f"3 images of different sizes made {counter.frame_count} graphs, want 1"
