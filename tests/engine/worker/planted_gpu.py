"""Calls with CUDA tensors that break one rule each, and right ones beside them."""

import torch

_kept = []


def right(x):
    return x * 2 + 1


def right_(x):
    return x.mul_(2)


def with_backward(x):
    with torch.enable_grad():
        return torch.autograd.grad((x * x).sum(), x)


def on_the_default_stream(x):
    with torch.cuda.stream(torch.cuda.default_stream()):
        return x * 2


def waits(x):
    torch.cuda.synchronize()
    return x * 2


def asks_for_a_value(x):
    return x * x.amax().item()


def copies_(x):
    return x.copy_(x.clone() * 2)


def keeps(x):
    _kept.append(x.clone())
    return x


def keeps_driver_memory(x):
    _kept.append(torch.cuda.caching_allocator_alloc(1 << 20))
    return x
