import torch
from torch.library import get_ctx, register_fake


def blocks(length, size):
    return -(-length // size)


def refuse(wrong, text):
    if wrong:
        raise RuntimeError(text)


def windows_like(tensor, count, channels, height, width):
    """New windows, seen with the channels first, stored with the channels last."""
    strides = (height * width * channels, 1, width * channels, channels)
    return tensor.new_empty_strided((count, channels, height, width), strides)


def check_four_floats(tensor):
    refuse(tensor.ndim != 4, f"want 4 dimensions, not {tensor.ndim}")
    refuse(tensor.dtype is not torch.float32, f"want float32, not {tensor.dtype}")


def fake_occupied(windows, threshold):
    check_four_floats(windows)
    number = get_ctx().new_dynamic_size(min=0)
    index = torch.empty(number, dtype=torch.long, device=windows.device)
    return windows_like(windows, number, *windows.shape[1:]), index


def fake_merge(windows, batch, height, width):
    check_four_floats(windows)
    count, channels, size = windows.size(0), windows.size(1), windows.size(2)
    refuse(windows.size(3) != size, "windows are not square")
    refuse(size <= 0, "windows without a pixel")
    refuse(count != batch * blocks(height, size) * blocks(width, size), "the number of windows is wrong")
    return torch.empty((batch, height, width, channels), dtype=windows.dtype, device=windows.device)


def fake_partition(image, size):
    check_four_floats(image)
    refuse(size < 1, "size must be at least 1")
    each = blocks(image.size(1), size) * blocks(image.size(2), size)
    used = torch.empty((each, size, size), dtype=torch.bool, device=image.device)
    return windows_like(image, image.size(0) * each, image.size(3), size, size), used


register_fake("window::partition", fake_partition)
register_fake("window::merge", fake_merge)
register_fake("window::occupied", fake_occupied)
