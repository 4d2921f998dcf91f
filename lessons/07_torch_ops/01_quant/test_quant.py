"""Checks of op-quant: values, rounding, dtypes, layouts, threads, then the operator contract through opcheck."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# what TORCH_CHECK, TORCH_CHECK_TYPE, TORCH_CHECK_VALUE and TORCH_CHECK_NOT_IMPLEMENTED raise
REFUSED = (RuntimeError, TypeError, ValueError)


def reference(weight):
    """What the operator must compute, in eager PyTorch."""
    import torch

    x = weight.to(torch.float32)
    top = x.abs().amax(dim=1) if x.shape[1] else x.new_zeros(x.shape[0])
    scale = torch.where(top > 0, top / 127, torch.ones_like(top))
    return torch.round(x / scale[:, None]).to(torch.int8), scale


def random(rng, rows, cols):
    import torch

    scale = 10.0 ** rng.uniform(-3, 2, (rows, 1))
    return torch.from_numpy((rng.standard_normal((rows, cols)) * scale).astype("float32"))


def same(got, weight, what):
    """Shapes, dtypes, scales to an ulp or two, and every value the nearest integer (a tie may go by the last bit)."""
    import torch

    q, scale = got
    want_q, want_scale = reference(weight)
    assert (q.dtype, scale.dtype) == (torch.int8, torch.float32), (
        f"{what}: dtypes {q.dtype}, {scale.dtype}, want int8, float32"
    )
    assert q.shape == want_q.shape, f"{what}: q has shape {tuple(q.shape)}, want {tuple(want_q.shape)}"
    assert scale.shape == want_scale.shape, (
        f"{what}: scale has shape {tuple(scale.shape)}, want {tuple(want_scale.shape)}"
    )
    off = (scale - want_scale).abs() > 1e-6 * want_scale
    if off.any():
        row = int(off.nonzero()[0])
        raise AssertionError(f"{what}: scale[{row}] is {scale[row]:.8g}, want max|row|/127 = {want_scale[row]:.8g}")
    exact = weight.double() / scale.double()[:, None]
    far = (q.double() - exact).abs() > 0.5 + 1e-4
    if far.any():
        row, col = far.nonzero()[0].tolist()
        raise AssertionError(
            f"{what}: q[{row}, {col}] is {q[row, col]}, want {want_q[row, col]}"
            f" ({weight[row, col]:.6g} / {scale[row]:.6g})"
        )


@pytest.mark.finds("wrong-result", at="quantize_row")
@pytest.mark.parametrize("shape", [(4, 64), (1, 1), (3, 17), (7, 1000), (33, 31), (5, 8)])
def test_rows_match_eager(built, rng, shape):
    weight = random(rng, *shape)
    same(built.quantize_rows(weight), weight, f"{shape[0]} x {shape[1]}")


@pytest.mark.finds("wrong-result", at="quantize_row")
def test_any_small_matrix_matches_eager(built):
    import torch

    @settings(max_examples=60, deadline=None, database=None, derandomize=False)
    @given(st.integers(1, 6), st.integers(1, 40), st.data())
    def matches(rows, cols, data):
        numbers = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
        values = data.draw(st.lists(numbers, min_size=rows * cols, max_size=rows * cols))
        weight = torch.tensor(values).reshape(rows, cols)
        weight[weight.abs() < 1e-20] = 0.0
        same(built.quantize_rows(weight), weight, f"{rows} x {cols}")

    matches()


@pytest.mark.finds("wrong-result", at="quantize_row")
@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("cols", [15, 16, 37])
def test_largest_value_is_found_anywhere(built, where, cols):
    import torch

    weight = torch.full((2, cols), 31.75)
    weight[1, {"first": 0, "middle": cols // 2, "last": cols - 1}[where]] = -508.0
    q, scale = built.quantize_rows(weight)
    assert scale.tolist() == [0.25, 4.0], f"-508 in the {where} column: scales {scale.tolist()}, want [0.25, 4.0]"
    assert int(q.min()) == -127, f"the largest value maps to {int(q.min())}, want -127"


@pytest.mark.finds("numerics", at="quantize_row")
def test_ties_go_to_even(built):
    import torch

    ties = torch.tensor(
        [[127.0, 0.5, 1.5, 2.5, 3.5, -0.5, -1.5, -2.5, -3.5, 100.5, -100.5, 0.0, 0.25, -0.75, 126.5, 125.5]]
    )
    weight = torch.cat([ties, ties * 0.25])  # the scales are 1 and 1/4: the division is exact, the ties are real
    want = [127, 0, 2, 2, 4, 0, -2, -2, -4, 100, -100, 0, 0, -1, 126, 126]
    for row, got in enumerate(built.quantize_rows(weight)[0].tolist()):
        for x, value, expected in zip(ties[0].tolist(), got, want, strict=True):
            assert value == expected, f"{x} rounds to {value} (row {row}), half to even gives {expected}"


@pytest.mark.finds("wrong-result", at="quantize_row")
def test_zero_rows_get_scale_one(built):
    import torch

    weight = torch.tensor([[0.0, -0.0, 0.0], [1.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
    q, scale = built.quantize_rows(weight)
    assert scale[0] == 1, f"a row of zeros has scale {scale[0]}, want 1"
    assert not q[0].any(), f"a row of zeros becomes {q[0].tolist()}"
    same((q, scale), weight, "rows of zeros")


@pytest.mark.finds("numerics", at="quantize_row")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_of_any_magnitude_match_eager(built, rng, dtype):
    """From 1e-30 to 1e38: small is not zero, and a square would overflow or vanish."""
    import torch

    powers = torch.tensor([-30.0, -20.0, -12.0, -8.0, 0.0, 20.0, 30.0, 37.0])
    weight = (random(rng, 8, 33).clamp(-2, 2) * 10.0 ** powers[:, None]).to(getattr(torch, dtype))
    weight[:, 5] = (2 * 10.0**powers).to(weight.dtype)
    same(built.quantize_rows(weight), weight, f"{dtype} rows of magnitude 1e-30 to 1e37")


@pytest.mark.finds("lifetime", at="quantize_rows")
def test_results_stay_as_they_were(built, rng):
    import torch

    weights = [random(rng, 6, 40) for _ in range(3)]
    results = [built.quantize_rows(weights[0])]
    before = [tensor.clone() for tensor in results[0]]
    results += [built.quantize_rows(weight) for weight in weights[1:]]
    for name, tensor, was in zip(("q", "scale"), results[0], before, strict=True):
        assert torch.equal(tensor, was), (
            f"{name} changed when the operator was called again: make new tensors each time"
        )


@pytest.mark.finds("layout", at="quantize_rows")
@pytest.mark.parametrize("shape", [(0, 8), (5, 0), (0, 0)])
def test_empty_weights_are_fine(built, shape):
    import torch

    weight = torch.empty(shape)
    same(built.quantize_rows(weight), weight, f"{shape[0]} x {shape[1]}")


@pytest.mark.finds("layout", at="quantize_rows")
@pytest.mark.parametrize("kind", ["transposed", "columns", "rows", "expanded", "offset"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_views_match_their_copies(built, rng, kind, dtype):
    import torch

    base = random(rng, 24, 24).to(getattr(torch, dtype))
    weight = {
        "transposed": base.t(),
        "columns": base[:, ::3],
        "rows": base[1::2],
        "expanded": base[3].expand(6, 24),
        "offset": base[5:, 7:],
    }[kind]
    dense = weight.clone(memory_format=torch.contiguous_format)
    got, want = built.quantize_rows(weight), built.quantize_rows(dense)
    assert torch.equal(got[1], want[1]), (
        f"{kind} {dtype} view, strides {weight.stride()}: scales differ from those of its copy"
    )
    assert torch.equal(got[0], want[0]), (
        f"{kind} {dtype} view, strides {weight.stride()}: values differ from those of its copy"
    )
    assert got[0].is_contiguous(), f"{kind} view: q has strides {got[0].stride()}, want a contiguous result"


@pytest.mark.finds("dtype", at="quantize_rows")
def test_bfloat16_matches_eager(built, rng):
    import torch

    weight = random(rng, 9, 77).to(torch.bfloat16)
    same(built.quantize_rows(weight), weight, "bfloat16")


@pytest.mark.finds("dtype", at="quantize_rows")
@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "int8", "bool", "complex64"])
def test_other_dtypes_are_refused(built, dtype):
    import torch

    storage = torch.zeros(4096, dtype=torch.uint8)  # room behind: a kernel that misreads the type stays inside it
    weight = storage.view(getattr(torch, dtype))[:32].reshape(4, 8)
    try:
        got = built.quantize_rows(weight)
    except REFUSED:
        return
    raise AssertionError(f"{dtype} was taken (result {got[0].dtype}): its bytes were read as another type")


@pytest.mark.finds("layout", at="quantize_rows")
@pytest.mark.parametrize("shape", [(), (8,), (2, 2, 2)])
def test_other_ranks_are_refused(built, shape):
    import torch

    try:
        built.quantize_rows(torch.zeros(shape))
    except (*REFUSED, IndexError):
        return
    raise AssertionError(f"a tensor with {len(shape)} dimensions was taken, want an exception")


@pytest.mark.finds("data-race", at="quantize(")
def test_threads_do_not_change_the_result(built, rng):
    import torch

    # 8 million elements for each thread: with work of less than a time slice they can run one after the other on a busy
    # machine, and none disturbs another.
    rows = torch.randn(61, 4003, generator=torch.Generator().manual_seed(int(rng.integers(1 << 31))))
    weight = rows.repeat(135, 1)  # 61 is prime: no two threads have the same row at a time
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        want = built.quantize_rows(weight)
        torch.set_num_threads(4)
        for turn in range(5):
            got = built.quantize_rows(weight)
            assert torch.equal(got[0], want[0]), f"with 4 threads q differs from that with one (turn {turn})"
            assert torch.equal(got[1], want[1]), f"with 4 threads the scales differ from those with one (turn {turn})"
    finally:
        torch.set_num_threads(before)


@pytest.mark.finds("out-of-bounds", at="quantize_row")
@pytest.mark.parametrize("side", ["after", "before"])
@pytest.mark.parametrize("shape", [(3, 37), (1, 5), (4, 16)])
def test_reads_stay_inside(built, guard, rng, side, shape):
    import torch

    # One element past either end lies on a page that may not be touched.
    weight = torch.from_numpy(guard.array(random(rng, *shape).numpy(), side=side))
    q, _ = built.quantize_rows(weight)
    assert q.shape == shape, f"q has shape {tuple(q.shape)}, want {shape}"


@pytest.mark.finds("memory-leak", at="quantize_rows")
def test_nothing_leaks(built, memory, rng):
    weight = random(rng, 16, 256)
    memory.leak(lambda: built.quantize_rows(weight) and None)


@pytest.mark.finds("memory-leak", at="quantize_rows")
@pytest.mark.parametrize("what", ["rank", "dtype"])
def test_a_refusal_leaks_nothing(built, memory, what):
    import torch

    weight = torch.zeros(8) if what == "rank" else torch.zeros(4, 8, dtype=torch.float64)

    def use():
        with contextlib.suppress(*REFUSED, IndexError):
            built.quantize_rows(weight)

    memory.leak(use)


@pytest.fixture
def fake(built):
    """The fake kernel of the operator: shapes and dtypes without data. Lesson 7.2 is about writing one."""
    import torch

    @torch.library.register_fake("quant::quantize_rows")
    def quantize_rows(weight):
        return torch.empty(weight.shape, dtype=torch.int8), torch.empty(weight.shape[0], dtype=torch.float32)

    return built.quantize_rows.default


@pytest.mark.finds("schema", at="quantize_rows")
def test_the_operator_keeps_its_contract(fake, operator, rng):
    for weight in (random(rng, 6, 8), random(rng, 6, 8).t(), random(rng, 1, 1)):
        operator.contract(fake, weight)
