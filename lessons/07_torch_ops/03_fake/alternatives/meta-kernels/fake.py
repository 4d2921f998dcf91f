"""Kernels for the dispatch key Meta, where the sizes can be calculated; a fake kernel for the one where they can't."""

import torch

meta = torch.library.Library("window", "IMPL", "Meta")


def blocks(length, size):
    whole, rest = length // size, length % size
    return whole + (rest + size - 1) // size


def partition(image, size):
    torch._check(image.dim() == 4)
    torch._check(image.dtype == torch.float)
    torch._check(size >= 1)
    n, h, w, c = image.size()
    down, across = blocks(h, size), blocks(w, size)
    # `permute` of a tensor on `meta` would make numbers of open sizes.
    shape, strides = (n * down * across, c, size, size), (size * size * c, 1, size * c, c)
    windows = torch.empty_strided(shape, strides, device=image.device)
    used = torch.empty((down * across, size, size), device=image.device, dtype=torch.bool)
    return windows, used


def merge(windows, batch, height, width):
    torch._check(windows.dim() == 4)
    torch._check(windows.dtype == torch.float)
    size = windows.shape[-1]
    torch._check(windows.shape[-2] == size)
    torch._check(size > 0)
    torch._check(windows.shape[0] == batch * blocks(height, size) * blocks(width, size))
    return windows.new_empty([batch, height, width, windows.shape[1]])


meta.impl("partition", partition)
meta.impl("merge", merge)


@torch.library.register_fake("window::occupied")
def occupied(windows, threshold):
    torch._check(windows.dim() == 4)
    torch._check(windows.dtype == torch.float)
    ctx = torch.library.get_ctx()
    kept = ctx.new_dynamic_size()
    channels_last = windows.permute(0, 2, 3, 1)
    some = torch.empty((kept, *channels_last.shape[1:]), device=windows.device)
    return some.permute(0, 3, 1, 2), torch.empty((kept,), dtype=torch.int64, device=windows.device)
