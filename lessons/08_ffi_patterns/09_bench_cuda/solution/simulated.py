"""Given, and nothing to change: a GPU that is not there, for the checks. `Gpu().cuda` stands for `torch.cuda`.

Every operation of PyTorch inside of `with gpu:` becomes a kernel. Queued on the current stream, it begins when the
stream gets there, reads its inputs then, and its results are in memory when it ends: until somebody waits for that,
nobody sees them. Time is in microseconds and passes only where the host works or waits, so nothing here depends on the
real machine.
"""

import contextlib
import heapq
import itertools
import types
from collections import OrderedDict

import torch

from operations import Devices, Operations, copied, poison

KERNEL = 1.5  # microseconds that the shortest kernel takes on the device
LAUNCH = 5.0  # what the host needs to queue one
COLD, WARM = 1000.0, 8000.0  # bytes in a microsecond, from memory and from L2


class Gpu:
    """One device. `factor()` multiplies what a kernel of `launch` takes: a check's way to disturb the machine."""

    def __init__(self, l2=256 << 10):
        self.l2, self.now, self.overhead, self.factor = l2, 0.0, LAUNCH, lambda: 1.0
        self.work, self.numbers, self.cached = [], itertools.count(), OrderedDict()
        self.inside = False  # kernels are running: their own operations are no further kernels
        self.streams, self.launched = [], 0
        self.cuda = module(self)
        self.default = self.current = self.cuda.Stream()
        self.modes = None

    def __enter__(self):
        self.modes = contextlib.ExitStack()
        self.modes.enter_context(Devices(self))
        self.modes.enter_context(Operations(self))
        return self

    def __exit__(self, *error):
        self.modes.close()

    # ---- Time

    def host(self, until):
        """The host is busy, or waits, until then: what the device has done by then is in memory."""
        self.now = max(self.now, until)
        while self.work and self.work[0][0] <= self.now:
            with self.alone():
                heapq.heappop(self.work)[2]()

    @contextlib.contextmanager
    def alone(self):
        before, self.inside = self.inside, True
        try:
            yield
        finally:
            self.inside = before

    def queue(self, microseconds, begin, end, host=LAUNCH):
        """A kernel on the current stream: `begin()` reads, `end()` writes."""
        self.host(self.now + host)
        self.launched += 1
        start = max(self.now, self.current.ready)
        self.current.ready = start + microseconds
        # Where one kernel ends and the next begins at the same time, the first must have written.
        heapq.heappush(self.work, (start, next(self.numbers), begin))
        heapq.heappush(self.work, (self.current.ready, next(self.numbers), end))

    # ---- Kernels

    def launch(self, function, *inputs, cost=None):
        """The result of function(*inputs), by a kernel that takes `cost` microseconds, or what its bytes take."""
        with self.alone():
            output = torch.empty_like(function(*inputs))
            poison(output)
        taken = self.bytes_take([*inputs, output]) if cost is None else cost
        self.defer(lambda: function(*inputs), [output], taken * self.factor())
        return output

    def defer(self, compute, outputs, microseconds):
        kept = []

        def end():
            results = kept[0] if isinstance(kept[0], tuple | list) else [kept[0]]
            for output, result in zip(outputs, results, strict=True):
                output.copy_(result)

        self.queue(microseconds, lambda: kept.append(copied(compute())), end)

    def bytes_take(self, tensors):
        """Microseconds of a kernel that touches each of these once; they are in L2 afterwards."""
        total = KERNEL
        for tensor in {t.data_ptr(): t for t in tensors}.values():
            place, size = tensor.untyped_storage().data_ptr(), tensor.numel() * tensor.element_size()
            there = self.cached.pop(place, 0)
            warm = min(there, size)
            total += warm / WARM + (size - warm) / COLD
            self.cached[place] = max(size, there)
            while sum(self.cached.values()) > self.l2 and len(self.cached) > 1:
                self.cached.popitem(last=False)
            self.cached[place] = min(self.cached[place], self.l2)
        return total


def module(gpu):
    """What stands for `torch.cuda`: the names that a harness and a kernel need, with PyTorch's meaning."""
    cuda = types.ModuleType("cuda")
    cuda.Stream, cuda.Event = stream_class(gpu), event_class(gpu)

    def synchronize(device=None):
        gpu.host(max(stream.ready for stream in gpu.streams))

    def current_stream(device=None):
        return gpu.current

    def default_stream(device=None):
        return gpu.default

    def set_stream(stream):
        gpu.current = stream

    @contextlib.contextmanager
    def stream(stream):
        before, gpu.current = gpu.current, stream or gpu.current
        try:
            yield
        finally:
            gpu.current = before

    def get_device_properties(device=None):
        return types.SimpleNamespace(name="simulated", L2_cache_size=gpu.l2, multi_processor_count=132)

    def _sleep(cycles):
        gpu.queue(cycles / 1000, lambda: None, lambda: None)

    functions = (synchronize, current_stream, default_stream, set_stream, stream, get_device_properties, _sleep)
    for function in functions:
        setattr(cuda, function.__name__, function)
    cuda.is_available, cuda.device_count, cuda.current_device = lambda: True, lambda: 1, lambda: 0
    cuda.empty_cache = lambda: None
    return cuda


def stream_class(gpu):
    """`torch.cuda.Stream` of that device."""

    class Stream:
        """A queue of kernels: `ready` is when the last of them will be done."""

        def __init__(self, device=None, priority=0):
            self.ready = 0.0
            self.cuda_stream = len(gpu.streams)
            gpu.streams.append(self)

        def synchronize(self):
            gpu.host(self.ready)

        def query(self):
            return self.ready <= gpu.now

        def record_event(self, event=None):
            event = event or gpu.cuda.Event()
            event.record(self)
            return event

        def wait_event(self, event):
            self.ready = max(self.ready, event.time or 0.0)

        def wait_stream(self, stream):
            self.ready = max(self.ready, stream.ready)

    return Stream


def event_class(gpu):
    """`torch.cuda.Event` of that device."""

    class Event:
        """A mark in a stream: `time` is when the stream gets there."""

        def __init__(self, enable_timing=False, blocking=False, interprocess=False):
            self.timed, self.time = enable_timing, None

        def record(self, stream=None):
            stream = gpu.current if stream is None else stream
            gpu.host(gpu.now + 1.0)
            self.time = stream.ready = max(gpu.now, stream.ready)

        def wait(self, stream=None):
            (gpu.current if stream is None else stream).wait_event(self)

        def query(self):
            return self.time is None or self.time <= gpu.now

        def synchronize(self):
            gpu.host(self.time or 0.0)

        def elapsed_time(self, end_event):
            if not (self.timed and end_event.timed):
                raise ValueError("both events must be created with argument 'enable_timing=True'")
            if self.time is None or end_event.time is None:
                raise ValueError("both events must be recorded before calculating elapsed time")
            if max(self.time, end_event.time) > gpu.now:
                raise RuntimeError("CUDA error: device not ready")
            return (end_event.time - self.time) / 1000

    return Event
