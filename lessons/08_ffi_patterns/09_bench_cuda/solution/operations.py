"""Given, and nothing to change: how an operation of PyTorch becomes a kernel of the simulated device."""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

EMPTY = {"aten::empty", "aten::empty_like", "aten::new_empty", "aten::empty_strided", "aten::new_empty_strided"}
COUNTS = {"aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive"}


class Operations(TorchDispatchMode):
    """Each operation of PyTorch as a kernel of the simulated device."""

    def __init__(self, gpu):
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func, kinds, args=(), kwargs=None):
        gpu, kwargs, schema = self.gpu, kwargs or {}, func._schema
        if gpu.inside:
            return func(*args, **kwargs)
        writes = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        if writes:
            return self.change(func, args, kwargs, schema, set(writes))
        if any(r.alias_info is not None for r in schema.returns):
            return func(*args, **kwargs)  # a view: nothing to do for the device
        if asks(schema, args):
            gpu.host(gpu.now + gpu.overhead)
            gpu.host(gpu.current.ready)  # the host wants a value, so it waits for the current stream
            return func(*args, **kwargs)
        outputs = func(*args, **kwargs)  # for the shapes; the values come when the stream gets there
        flat = tensors_in(outputs)
        with gpu.alone():
            for one in flat:
                poison(one)
        if schema.name not in EMPTY:
            cost = gpu.bytes_take([*tensors_in((args, kwargs)), *flat])
            gpu.defer(lambda: tensors_in(func(*args, **kwargs)), flat, cost)
        return outputs

    def change(self, func, args, kwargs, schema, writes):
        """An operation in place: reads when it begins, writes when it ends."""
        names = [a.name for a in schema.arguments]
        named = {**dict(zip(names, args, strict=False)), **kwargs}
        kept = []
        end = lambda: func(**{**kept[0], **{n: named[n] for n in writes if n in named}})
        begin = lambda: kept.append({n: copied(v) for n, v in named.items() if n not in writes})
        self.gpu.queue(self.gpu.bytes_take(tensors_in((args, kwargs))), begin, end)
        written = [named[name] for name in names if name in writes and name in named]
        return written[0] if len(schema.returns) == 1 else tuple(written) if schema.returns else None


def asks(schema, args):
    """Does the host need values to go on: a number, a truth, how many elements there are?"""
    if schema.name == "aten::index":
        return any(one.dtype in (torch.bool, torch.uint8) for one in tensors_in(args[1:]))
    return schema.name in COUNTS or not any("Tensor" in str(r.type) for r in schema.returns)


def tensors_in(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [tensor for one in value for tensor in tensors_in(one)]


class Devices(TorchFunctionMode):
    """Says `cuda` where memory of the CPU stands for memory of the device, and waits where PyTorch waits."""

    def __init__(self, gpu):
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, func, kinds, args=(), kwargs=None):
        kwargs, gpu = kwargs or {}, self.gpu
        if gpu.inside:
            return func(*args, **kwargs)
        if func == torch.Tensor.device.__get__:
            return torch.device("cpu" if on_host(args[0]) else "cuda:0")
        if func == torch.Tensor.is_cuda.__get__:
            return not on_host(args[0])
        if func in (torch.Tensor.cpu, torch.Tensor.cuda, torch.Tensor.to):
            return self.move(func, args, kwargs)
        if func in (torch.Tensor.numpy, torch.Tensor.tolist):
            gpu.host(gpu.current.ready)
        args = tuple(torch.device("cpu") if is_device(a) else a for a in args)
        result = func(*args, **{n: torch.device("cpu") if is_device(v) else v for n, v in kwargs.items()})
        there = bool(args) and isinstance(args[0], torch.Tensor) and on_host(args[0])
        asked = any(is_device(v) and torch.device(v).type == "cpu" for v in kwargs.values())
        if (there or asked) and isinstance(result, torch.Tensor):
            result.on_host = True
        return result

    def move(self, func, args, kwargs):
        tensor, *others = args
        places = [value for value in (*others, *kwargs.values()) if is_device(value)]
        to_host = func is torch.Tensor.cpu or (places and torch.device(places[0]).type == "cpu")
        kinds = [value for value in (*others, *kwargs.values()) if isinstance(value, torch.dtype)]
        if kinds and tensor.dtype != kinds[0]:
            tensor = tensor.to(kinds[0])
        if not (to_host or places or func is torch.Tensor.cuda) or on_host(tensor) == bool(to_host):
            return tensor
        copy = tensor.clone()
        if to_host and not kwargs.get("non_blocking"):
            self.gpu.host(self.gpu.current.ready)
        copy.on_host = bool(to_host)
        return copy


def on_host(tensor):
    return getattr(tensor, "on_host", False)


def is_device(value):
    return isinstance(value, torch.device) or (isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda"))


def copied(value):
    if isinstance(value, tuple | list):
        return [copied(one) for one in value]
    return value.clone() if isinstance(value, torch.Tensor) else value


def poison(tensor):
    """What memory holds that nobody has written yet."""
    with contextlib.suppress(RuntimeError):
        tensor.fill_(float("nan") if tensor.is_floating_point() or tensor.is_complex() else 77)
