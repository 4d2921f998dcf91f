"""Fake kernels of torch.ops.window: what window.cpp gives back, told without looking at any data."""

import torch


def blocks(length, size):
    """How many windows of `size` cover `length`, the last one perhaps in part. Works for symbolic lengths too."""
    # @gap
    return (length + size - 1) // size
    #| return length // size  # TODO: the last one may be covered in part
    # @end


@torch.library.register_fake("window::partition")
def partition(image, size):
    """(windows, used) for an image (batch, height, width, channels)."""
    # @gap
    torch._check(image.dim() == 4, lambda: "partition: image must be (batch, height, width, channels)")
    torch._check(image.dtype == torch.float32, lambda: "partition: image must be float32")
    torch._check(size > 0, lambda: f"partition: size must be positive, it is {size}")
    batch, height, width, channels = image.shape
    count = blocks(height, size) * blocks(width, size)
    windows = image.new_empty(batch * count, size, size, channels).permute(0, 3, 1, 2)
    return windows, image.new_empty(count, size, size, dtype=torch.bool)
    #| # TODO: the right shapes, strides and dtypes, and refuse what window.cpp refuses.
    #| return torch.empty_like(image), torch.empty_like(image)
    # @end


@torch.library.register_fake("window::merge")
def merge(windows, batch, height, width):
    """The image (batch, height, width, channels)."""
    # @gap
    torch._check(windows.dim() == 4, lambda: "merge: windows must be (count, channels, size, size)")
    torch._check(windows.dtype == torch.float32, lambda: "merge: windows must be float32")
    count, channels, size, other = windows.shape
    torch._check(size == other, lambda: "merge: windows must be square")
    torch._check(size > 0, lambda: "merge: windows must not be empty")
    torch._check(
        count == batch * blocks(height, size) * blocks(width, size),
        lambda: f"merge: {count} windows do not make these images",
    )
    return windows.new_empty(batch, height, width, channels)
    #| return torch.empty_like(windows)  # TODO
    # @end


@torch.library.register_fake("window::occupied")
def occupied(windows, threshold):
    """(kept, index); how many are kept depends on the values, and there are none here."""
    # @gap
    torch._check(windows.dim() == 4, lambda: "occupied: windows must be (count, channels, size, size)")
    torch._check(windows.dtype == torch.float32, lambda: "occupied: windows must be float32")
    _, channels, height, width = windows.shape
    kept = torch.library.get_ctx().new_dynamic_size()
    some = windows.new_empty(kept, height, width, channels).permute(0, 3, 1, 2)
    return some, windows.new_empty(kept, dtype=torch.int64)
    #| # TODO: a size that only the values can tell is torch.library.get_ctx().new_dynamic_size().
    #| return torch.empty_like(windows), windows.new_empty(windows.shape[0])
    # @end
