"""Checks of op-quant-cuda: what can be seen without a GPU, then values, streams and devices on one."""

import ctypes

import pytest


@pytest.fixture
def launch(built, artifact):
    """The learner's launcher as a C function; null pointers are never touched because the launch can't succeed."""
    launch = ctypes.CDLL(artifact.path).quantize_rows_launch
    launch.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
    launch.restype = ctypes.c_int
    return launch


def weight(rng, rows, cols, device="cuda"):
    import torch

    scale = 10.0 ** rng.uniform(-3, 2, (rows, 1))
    return torch.from_numpy((rng.standard_normal((rows, cols)) * scale).astype("float32")).to(device)


def same(got, x, what):
    import torch

    q, scale = (part.cpu() for part in got)
    x = x.cpu()
    top = x.abs().amax(dim=1) if x.shape[1] else x.new_zeros(x.shape[0])
    want = torch.where(top > 0, top / 127, torch.ones_like(top))
    assert (q.dtype, scale.dtype) == (torch.int8, torch.float32), f"{what}: dtypes {q.dtype}, {scale.dtype}"
    off = (scale - want).abs() > 1e-6 * want
    assert not off.any(), (
        f"{what}: {int(off.sum())} scales differ from max|row|/127, the first in row {int(off.nonzero()[0])}"
    )
    far = (q.double() - x.double() / scale.double()[:, None]).abs() > 0.5 + 1e-4
    assert not far.any(), (
        f"{what}: {int(far.sum())} values are not the nearest integer, the first at {far.nonzero()[0].tolist()}"
    )


@pytest.mark.finds("build", at="quantize_rows_launch")
def test_operator_is_registered_for_cuda(built):
    import torch

    assert str(built.quantize_rows.default._schema) == "quant_cuda::quantize_rows(Tensor weight) -> (Tensor, Tensor)"
    assert torch._C._dispatch_has_kernel_for_dispatch_key("quant_cuda::quantize_rows", "CUDA"), (
        "no kernel for CUDA tensors"
    )


@pytest.mark.finds("error-path", at="quantize_rows_launch")
def test_failed_launch_is_reported(launch):
    # Without a GPU every launch fails; with one, a grid of 2^31 blocks is more than the hardware takes.
    error = launch(None, None, None, 1 << 31, 1, None)
    assert error != 0, "the launch failed and quantize_rows_launch returned cudaSuccess: ask cudaGetLastError()"


@pytest.mark.finds("layout", at="quantize_rows_launch")
def test_no_rows_is_a_success(launch):
    error = launch(None, None, None, 0, 8, None)
    assert error == 0, f"no rows: cudaError {error}, want 0 and no launch"


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="quantize_rows_kernel")
@pytest.mark.parametrize("shape", [(1, 1), (4, 64), (3, 257), (65, 1000), (2, 5000), (0, 8), (5, 0)])
def test_rows_match_eager(built, rng, shape):
    x = weight(rng, *shape)
    same(built.quantize_rows(x), x, f"{shape[0]} x {shape[1]}")


@pytest.mark.gpu
@pytest.mark.finds("cuda-race", at="block_max")
def test_block_maximum_is_found_in_every_warp(built):
    import torch

    for turn in range(20):
        x = torch.full((4096, 256), 31.75, device="cuda")
        column = torch.arange(4096, device="cuda") * 37 % 256
        x[torch.arange(4096, device="cuda"), column] = -508.0
        scale = built.quantize_rows(x)[1]
        wrong = (scale != 4.0).nonzero()
        assert wrong.numel() == 0, (
            f"turn {turn}: the maximum in column {int(column[wrong[0]])} was missed: a barrier is missing"
        )


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="quantize_rows_kernel")
def test_ties_go_to_even(built):
    import torch

    x = torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5]], device="cuda")
    got = built.quantize_rows(x)[0][0].tolist()
    assert got == [127, 0, 2, 2, 0, -2, -2, 126], f"ties: got {got}, half to even gives [127, 0, 2, 2, 0, -2, -2, 126]"


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="quantize_rows_kernel")
def test_zero_rows_get_scale_one(built):
    import torch

    q, scale = built.quantize_rows(torch.zeros(3, 40, device="cuda"))
    assert scale.tolist() == [1.0, 1.0, 1.0], f"rows of zeros have scales {scale.tolist()}, want 1"
    assert not q.any(), "rows of zeros become something else"


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="<<<")
def test_kernel_runs_on_the_current_stream(built, rng, gpu):
    gpu.stream(built.quantize_rows, weight(rng, 64, 512))


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="<<<")
def test_a_graph_captures_the_launch(built, rng, gpu):
    gpu.graph(built.quantize_rows, weight(rng, 64, 512))


@pytest.mark.gpu
@pytest.mark.finds("memory-leak", at="quantize_rows_launch")
def test_no_memory_of_its_own(built, rng, gpu):
    x = weight(rng, 512, 1024)
    gpu.extra(built.quantize_rows, x, allowed=x.numel() + 4 * 1024)  # the values, and a page for the scales
    gpu.leak(built.quantize_rows, x)


@pytest.mark.gpu
@pytest.mark.finds("cuda-memcheck", at="quantize_rows_kernel")
@pytest.mark.parametrize("cols", [1, 31, 255, 257, 1023])
def test_neighbours_stay_untouched(built, rng, cols):
    import torch

    x = weight(rng, 8, cols)
    q, scale = built.quantize_rows(x)
    again_q, again_scale = built.quantize_rows(torch.cat([x, x * 1000])[:8])
    assert torch.equal(q, again_q), f"{cols} columns: values change with what lies behind the weight"
    assert torch.equal(scale, again_scale), f"{cols} columns: scales change with what lies behind the weight"
