"""Benchmarks of ffi-dlpack-cuda: borrowing and one kernel, against eager PyTorch and a copy of the same bytes."""

from __future__ import annotations

from tutor.worker.case import Case

COUNT = 1 << 25  # 128 MB: more than the L2 cache of any GPU today
SCALE, SHIFT = 2.0, 3.0  # exact on whole numbers, rounded once or twice


def make(rng):
    import torch

    return (torch.from_numpy(rng.integers(-999, 1000, COUNT).astype("float32")).cuda(),)


def borrowed(built, tensor):
    """All of it is timed: two calls of Python's protocol, a capsule, a launch."""
    import torch

    stream = torch.cuda.current_stream().cuda_stream
    built.from_dlpack(tensor, stream).affine_(SCALE, SHIFT, stream)
    return tensor


def eager(tensor):
    """In place, and each of the two kernels reads and writes everything."""
    return tensor.mul_(SCALE).add_(SHIFT)


def with_space(inputs):
    import torch

    return (inputs[0], torch.empty_like(inputs[0]))


def copied(tensor, space):
    """A copy on the device moves the same bytes: 128 MB are read, 128 MB written."""
    space.copy_(tensor)
    return space


def same(inputs, got, want):
    import torch

    assert torch.equal(got, want), "other values than eager PyTorch's"


def scaled(inputs, got, want):
    import torch

    assert torch.equal(got, want * SCALE + SHIFT), "other values than eager PyTorch's"


BYTES = 2 * 4 * COUNT

CASES = {
    "borrowed-128MB": Case(
        make=make, learner=borrowed, baseline=eager, verify=same, mutates=True, bytes=BYTES, flops=2 * COUNT
    ),
    "bandwidth": Case(
        make=make,
        learner=borrowed,
        prepare_baseline=with_space,
        baseline=copied,
        verify=scaled,
        mutates=True,
        bytes=BYTES,
        flops=2 * COUNT,
    ),
}
