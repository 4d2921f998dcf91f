"""Checks of ffi-bench-cuda: cheating and honest kernels on a simulated GPU, some also on a real one."""

from __future__ import annotations

import contextlib
import ctypes
import time
import weakref

import msgspec
import numpy as np
import pytest

from tutor.core.finding import Finding
from tutor.worker.defects import Defects
from tutor.worker.loading import load
from tutor.worker.places import learner_place

PAIRS = 20
LONG = 10_000_000  # cycles: 5 ms on a GPU, 10 ms on the simulated one; a harness flushes L2 in much less
SPANS = {"at once": False, "later": True}


@pytest.fixture
def honest(artifact):
    """The learner's module; what was built are the kernels that a GPU runs."""
    return load(msgspec.structs.replace(artifact, kind="python"))


class World:
    """A device, real or simulated, with the learner's harness on it and a task of random shape."""

    def __init__(self, honest, artifact, rng, cuda, gpu=None, shape=None):
        self.honest, self.artifact, self.rng, self.cuda, self.gpu = honest, artifact, rng, cuda, gpu
        self.shape = shape or (int(rng.integers(4, 9)), int(rng.integers(16, 80)))
        self.harness = honest.Harness(cuda)
        self.start, self.calls, self.late = int(rng.integers(5, 10)), 0, True

    def make(self, generator):
        import torch

        return (torch.from_numpy(generator.uniform(0.5, 3, self.shape).astype("float32")).to("cuda"),)

    def due(self):
        """Counts calls; true in those in which the kernel cheats: all, or the 8 after `start`. A harness makes 20."""
        self.calls += 1
        return not self.late or self.start < self.calls <= self.start + 8

    def exposed(self, kernel, what, why, reference=None, make=None):
        """The harness must raise Dishonest. Whatever the kernel replaced is put back."""
        owners = (self.cuda, self.cuda.Event, self.cuda.Stream, time)
        before, stream = [(o, dict(vars(o))) for o in owners], self.cuda.current_stream()
        try:
            got = self.harness.measure(kernel, reference or rms_norm, make or self.make, pairs=PAIRS)
        except self.honest.Dishonest:
            return
        finally:
            for owner, names in before:
                for name, value in names.items():
                    if callable(value) and vars(owner).get(name) is not value:
                        setattr(owner, name, value)
            self.cuda.set_stream(stream)
        raise AssertionError(f"a kernel that {what} was accepted (speedup {got.speedup:.3g}): {why}")

    def accepted(self, kernel, reference, what, make=None, pairs=PAIRS):
        """The result for an honest kernel; the finding is on the line that refused it."""
        try:
            got = self.harness.measure(kernel, reference, make or self.make, pairs=pairs)
        except self.honest.Dishonest as error:
            place, step = None, error.__traceback__
            while step is not None:
                place = learner_place(self.artifact, step.tb_frame.f_code.co_filename, step.tb_lineno) or place
                step = step.tb_next
            text = f"an honest kernel was refused, {what}: {error}"
            raise Defects(Finding("wrong-result", text, "honest_cuda.py", place.line if place else None)) from error
        speedup, low, high = got
        assert 0 < low <= speedup <= high < float("inf"), f"{what}: {low} to {high} around {speedup}"
        return got


def near(got, want, within, what):
    speedup, low, high = got
    assert abs(speedup / want - 1) <= within, f"{what}: speedup {speedup:.3f} was measured, the true one is {want:.3f}"
    assert low <= speedup <= high, f"{what}: the interval {low:.3f} to {high:.3f} does not contain {speedup:.3f}"


@pytest.fixture
def simulate(honest, artifact, rng):
    """`simulate(l2=...)`: a world on a simulated GPU."""
    import simulated

    with contextlib.ExitStack() as stack:

        def start(l2=256 << 10):
            gpu = stack.enter_context(simulated.Gpu(l2))
            return World(honest, artifact, rng, gpu.cuda, gpu)

        yield start


@pytest.fixture
def world(simulate):
    return simulate()


@pytest.fixture
def real(honest, artifact, rng):
    """A world on the real GPU; `real.rows(kind)` is a kernel of rows.cu."""
    import torch

    torch.cuda.init()
    real = World(honest, artifact, rng, torch.cuda, shape=(256, 4096))
    library = ctypes.CDLL(artifact.path)
    library.rms_norm.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2, ctypes.c_void_p]
    library.rms_norm.restype = ctypes.c_int

    def rows(kind):
        number = ["fused", "slow", "half", "part"].index(kind)

        def kernel(x):
            out = torch.empty_like(x)
            stream = torch.cuda.current_stream().cuda_stream
            error = library.rms_norm(number, x.data_ptr(), out.data_ptr(), *x.shape, stream)
            assert error == 0, f"the launch failed: cudaError {error}"
            return out

        return kernel

    real.rows = rows
    return real


def rms_norm(x):
    return x * (x * x).mean(dim=1, keepdim=True).add(1e-6).rsqrt()


def softmax(x):
    return x.softmax(dim=1)


def squares(x):
    return (x * x).sum(dim=1)


OPERATIONS = [rms_norm, softmax, squares]

# ---- Cheats. Each takes a World and gives a kernel; they use nothing but PyTorch, so they run on both devices.


def unseen_stream(world):
    """Events of the current stream see nothing of it."""
    side = world.cuda.Stream()

    def kernel(x):
        if not world.due():
            return rms_norm(x)
        with world.cuda.stream(side):
            world.cuda._sleep(LONG)
            return rms_norm(x)

    return kernel


def unjoined_stream(world):
    """Waits for its input and has nobody wait for its output."""
    side = world.cuda.Stream()

    def kernel(x):
        if not world.due():
            return rms_norm(x)
        side.wait_stream(world.cuda.current_stream())
        with world.cuda.stream(side):
            world.cuda._sleep(LONG)
            return rms_norm(x)

    return kernel


def early_stream(world):
    """Begins while the device still does what was queued before the first event; at the end all is joined."""
    side = world.cuda.Stream()

    def kernel(x):
        if not world.due():
            return rms_norm(x)
        with world.cuda.stream(side):
            output = rms_norm(x)
        world.cuda.current_stream().wait_stream(side)
        return output

    return kernel


def other_stream_left(world):
    """Whoever asks for the current stream afterwards gets one on which nothing has been waited for."""
    side = world.cuda.Stream()

    def kernel(x):
        if world.due():
            side.wait_stream(world.cuda.current_stream())
            world.cuda.set_stream(side)
            world.cuda._sleep(LONG)
        return rms_norm(x)

    return kernel


def asynchronous_copy(world):
    """The output is on its way from another buffer, on a stream of its own."""
    side = world.cuda.Stream()

    def kernel(x):
        if not world.due():
            return rms_norm(x)
        import torch

        output = torch.empty_like(x)
        side.wait_stream(world.cuda.current_stream())
        with world.cuda.stream(side):
            world.cuda._sleep(LONG)
            output.copy_(rms_norm(x), non_blocking=True)
        return output

    return kernel


STREAMS = {
    "works on a side stream": unseen_stream,
    "waits for its input on a side stream and is waited for by nobody": unjoined_stream,
    "begins early on a side stream": early_stream,
    "leaves another stream current": other_stream_left,
    "returns what is still being copied": asynchronous_copy,
}


def streams_why(name):
    if "early" in name:
        return "its input must not be complete before the first event, else the time before that event is free work"
    return "the stream's next kernel, queued right behind the last event, must find the output: copy it, then wait"


@pytest.mark.finds("cuda-stream", at="timed")
@pytest.mark.parametrize("late", SPANS)
@pytest.mark.parametrize("name", STREAMS)
def test_work_that_events_do_not_see_is_exposed(world, name, late):
    world.late = SPANS[late]
    world.exposed(STREAMS[name](world), name, streams_why(name))


def remembers(key):
    def build(world):
        known = {}

        def kernel(x):
            cheat, where = world.due(), key(x)
            if where not in known or not cheat:
                known[where] = rms_norm(x)
            return known[where].clone()

        return kernel

    return build


def graph_of_old_input(world):
    """As a CUDA graph does that was captured on a buffer which nobody fills again."""
    held = []

    def kernel(x):
        if not held:
            held.append(x.clone())
        return rms_norm(held[0]) if world.due() else rms_norm(x)

    return kernel


def replays(number):
    def build(world):
        outputs = []

        def kernel(x):
            if world.due() and outputs:
                return outputs[min(number, len(outputs) - 1) if number >= 0 else max(number, -len(outputs))].clone()
            outputs.append(rms_norm(x))
            return outputs[-1].clone()

        return kernel

    return build


REPLAYS = {
    "remembers outputs by data_ptr": remembers(lambda x: x.data_ptr()),
    "remembers outputs by the tensor object": remembers(id),
    "remembers outputs by storage and shape": remembers(lambda x: (x.untyped_storage().data_ptr(), tuple(x.shape))),
    "remembers outputs by shape": remembers(lambda x: tuple(x.shape)),
    "replays a graph of an old input": graph_of_old_input,
    "returns the first output": replays(0),
    "returns the output of the call before": replays(-1),
    "returns the output of two calls ago": replays(-2),
}


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("name", REPLAYS)
def test_replay_is_exposed(world, name):
    why = "every call needs new values, in the same memory as before, and every output of a timed call its check"
    world.exposed(REPLAYS[name](world), name, why)


@pytest.mark.finds("wrong-result", at="measure")
def test_memory_of_the_reference_is_not_freed_for_the_kernel(world):
    """Freed, it is what the caching allocator gives to the kernel next: the right output, and nothing to be done."""
    import torch

    left, found = [], []

    def reference(x):
        output = rms_norm(x)
        left[:] = [weakref.ref(output), output.clone()]
        return output

    def kernel(x):
        output = rms_norm(x)
        found.append(bool(left) and left[0]() is None and torch.allclose(left[1], output))
        return output

    world.accepted(kernel, reference, "it looks at what the reference has left behind")
    text = f"in {sum(found)} calls of the kernel the reference's output for the same input had been freed before"
    assert not any(found), f"{text}: empty_like(x) would have held the right values; keep it until the kernel has run"


class Delayed:
    """Computes when somebody asks for anything."""

    def __init__(self, compute):
        self.__dict__["compute"] = compute

    def __getattr__(self, name):
        return getattr(self.compute(), name)

    @classmethod
    def __torch_function__(cls, func, kinds, args=(), kwargs=None):
        args = tuple(one.compute() if isinstance(one, cls) else one for one in args)
        return func(*args, **(kwargs or {}))


def sleeper(compute, like):
    import torch

    class Sleeper(torch.Tensor):
        """A tensor that fills itself at its first use."""

        @classmethod
        def __torch_function__(cls, func, kinds, args=(), kwargs=None):
            plain = tuple(one.compute() if type(one) is cls and hasattr(one, "compute") else one for one in args)
            with torch._C.DisableTorchFunctionSubclass():
                return func(*plain, **(kwargs or {}))

    made = torch.empty_like(like).as_subclass(Sleeper)
    made.compute = compute
    return made


def lazy(kind):
    def build(world):
        def kernel(x):
            if not world.due():
                return rms_norm(x)
            if kind == "an object":
                return Delayed(lambda: rms_norm(x))
            if kind == "a subclass":
                return sleeper(lambda: rms_norm(x), x)
            if kind == "a method":
                import torch

                output = torch.empty_like(x)
                output.clone = lambda: rms_norm(x)
                return output
            return rms_norm(x).to("cpu", non_blocking=True)

        return kernel

    return build


LAZY = {
    "returns an object that computes when touched": lazy("an object"),
    "returns a subclass of Tensor that computes when touched": lazy("a subclass"),
    "returns a tensor whose clone() computes": lazy("a method"),
    "returns memory of the CPU that is still being filled": lazy("the CPU"),
}


@pytest.mark.finds("wrong-result", at="timed")
@pytest.mark.parametrize("name", LAZY)
def test_lazy_output_is_exposed(world, name):
    world.exposed(LAZY[name](world), name, "an output is a plain tensor on the device of the reference's")


def edits(how, right=True, aside=False):
    def build(world):
        side = world.cuda.Stream()

        def edit(x):
            if how == "zeros":
                x.zero_()
            elif how == "NaN":
                x.view(-1)[-1:].fill_(float("nan"))
            elif how == "negative zero":
                x.view(-1)[:1].copy_(x.view(-1)[:1] * 0.0 * -1)
            elif how == "swap":
                x.view(-1)[[0, -1]] = x.view(-1)[[-1, 0]]
            else:
                x.view(-1)[-1:].add_(1)

        def kernel(x):
            cheat, output = world.due(), rms_norm(x)
            if not cheat:
                return output
            if aside:
                side.wait_stream(world.cuda.current_stream())
                with world.cuda.stream(side):
                    edit(x)
            else:
                edit(x)
            return output if right else rms_norm(x)

        return kernel

    return build


EDITS = {
    "takes its input and zeros it": edits("zeros"),
    "zeros its input and computes with that": edits("zeros", right=False),
    "changes one element of its input": edits("one"),
    "changes one element and computes with that": edits("one", right=False),
    "swaps two elements of its input": edits("swap"),
    "writes a NaN into its input": edits("NaN"),
    "changes its input later, on a side stream": edits("one", aside=True),
}


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("name", EDITS)
def test_edited_input_is_exposed(world, name):
    world.exposed(EDITS[name](world), name, "give the reference memory of its own, and compare inputs afterwards")


@pytest.mark.finds("wrong-result", at="same_bits")
def test_edits_are_seen_to_the_bit(world):
    """Zeros of another sign, and NaN that is there rightly."""
    import torch

    def make(generator):
        x = generator.standard_normal((6, 20)).astype("float32")
        x[:, 3], x[2, 5] = 0.0, np.nan
        return (torch.from_numpy(x).to("cuda"),)

    world.accepted(lambda x: x + 1, lambda x: x + 1, "inputs hold NaN", make)

    def kernel(x):
        output = x + 1
        x.view(-1)[3:4].neg_()
        return output

    world.exposed(kernel, "turns a 0.0 of its input into -0.0", "1 / x tells them apart", lambda x: x + 1, make)


@pytest.mark.finds("wrong-result", at="measure")
def test_edit_of_the_second_input_is_exposed(world):
    import torch

    def make(generator):
        return tuple(torch.from_numpy(generator.random((4, 9), dtype="float32")).to("cuda") for _ in range(2))

    def kernel(x, y):
        output = x * y
        if world.due():
            y.view(-1)[:1].add_(1)
        return output

    world.exposed(kernel, "changes its second input", "compare all inputs", lambda x, y: x * y, make)


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("late", SPANS)
def test_output_that_the_next_call_overwrites_is_exposed(world, late):
    world.late = SPANS[late]
    kept = []

    def kernel(x):
        output = rms_norm(x)
        if not world.due():
            return output
        if not kept:
            kept.append(output)
        return kept[0].copy_(output)

    why = "who keeps an output must find it unchanged after the next call"
    world.exposed(kernel, "returns the same buffer each time", why)


def rounded(x, bits):
    """Floats with that many bits of mantissa."""
    import torch

    mantissa, exponent = torch.frexp(x.double())
    return torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent).to(x.dtype)


def drops(kind):
    def build(world):
        def kernel(x):
            import torch

            output = rms_norm(x)
            if not world.due():
                return output
            if kind == "half":
                return x * (x.half() * x.half()).mean(dim=1, keepdim=True).float().add(1e-6).rsqrt()
            if kind == "bfloat16":
                return x * (x * x).mean(dim=1, keepdim=True).bfloat16().float().add(1e-6).rsqrt()
            if kind == "tf32":
                return x * (rounded(x, 11) * rounded(x, 11)).mean(dim=1, keepdim=True).add(1e-6).rsqrt().mul(1.0002)
            flat = output.view(-1)
            few = torch.randperm(flat.numel())[: 1 if kind == "one" else 5].tolist()
            for at in few:
                flat[at : at + 1].mul_(1.0001)
            return output

        return kernel

    return build


def parts(kind):
    def build(world):
        last = []

        def kernel(x):
            import torch

            output, cheat = rms_norm(x), world.due()
            if not cheat or not last:
                last[:] = [output.clone()]
                return output
            if kind == "rows":
                return torch.cat([output[:-1], last[0][-1:]])
            if kind == "columns":
                return torch.cat([output[:, :-1], last[0][:, -1:]], dim=1)
            return torch.cat([output[:-1], torch.empty_like(output[-1:])])

        return kernel

    return build


VALUES = {
    "adds up in half precision": drops("half"),
    "keeps a sum in bfloat16": drops("bfloat16"),
    "multiplies in TF32": drops("tf32"),
    "is imprecise in five elements": drops("five"),
    "is imprecise in one element": drops("one"),
    "leaves out the last row": parts("rows"),
    "leaves out the last column": parts("columns"),
    "never writes the last row": parts("nothing"),
}


@pytest.mark.finds("numerics", at="check_output")
@pytest.mark.parametrize("name", VALUES)
def test_wrong_values_are_exposed(world, name):
    world.exposed(VALUES[name](world), name, "every element of every output counts, relative to itself")


@pytest.mark.finds("numerics", at="check_output")
@pytest.mark.parametrize("scale", [1e-10, 1e6])
def test_small_values_are_compared_as_well(world, scale):
    import torch

    def make(generator):
        return (torch.from_numpy((generator.uniform(0.5, 1, (5, 40)) * scale).astype("float32")).to("cuda"),)

    def kernel(x):
        return rounded(x * x, 11) if world.due() else x * x

    world.exposed(kernel, f"rounds values of {scale * scale:g}", "errors are relative", lambda x: x * x, make)


@pytest.mark.finds("numerics", at="check_output")
@pytest.mark.parametrize("kind", ["float64", "float16", "another shape", "broadcast shape", "integers off by one"])
def test_other_types_and_shapes_are_exposed(world, kind):
    def reference(x):
        return (x * 1e7).long() if kind == "integers off by one" else softmax(x)

    def kernel(x):
        output = reference(x)
        if not world.due():
            return output
        if kind == "integers off by one":
            return output + 1
        if kind in ("float64", "float16"):
            return output.double() if kind == "float64" else output.half()
        return output.reshape(-1) if kind == "another shape" else output[None]

    why = "device, dtype and shape are part of the result, integers are exact"
    world.exposed(kernel, f"returns {kind}", why, reference)


PATCHED = [
    "Event",
    "synchronize",
    "current_stream",
    "stream",
    "Event.elapsed_time",
    "Event.record",
    "Event.synchronize",
]
PATCHED += ["Stream.synchronize", "time.perf_counter", "time.perf_counter_ns", "time.monotonic"]


def owner_of(cuda, name):
    *owner, last = name.split(".")
    return {"": cuda, "time": time, "Event": cuda.Event, "Stream": cuda.Stream}["".join(owner)], last


def replacement(value):
    """Does the same, so that only its being there shows."""
    if isinstance(value, type):
        return type(value.__name__, (value,), {})
    return lambda *args, **options: value(*args, **options)


def patches(name, when):
    def build(world):
        owner, last = owner_of(world.cuda, name)
        value = getattr(owner, last)

        def kernel(x):
            setattr(owner, last, value)
            if when == "in a call" or world.due():
                setattr(owner, last, replacement(value))
            return rms_norm(x)

        if when == "before the measurement":
            setattr(owner, last, replacement(value))
            return rms_norm
        return kernel

    return build


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize(
    ("name", "when"),
    [
        *((name, "in some calls") for name in PATCHED),
        ("Event.elapsed_time", "before the measurement"),
        ("synchronize", "before the measurement"),
        ("Event", "in a call"),
    ],
)
def test_replaced_function_is_exposed(world, name, when):
    owner, last = owner_of(world.cuda, name)
    value = getattr(owner, last)
    try:
        why = "keep what the module had when the harness was made, and compare after every call"
        world.exposed(patches(name, when)(world), f"replaces {name} {when}", why)
    finally:
        setattr(owner, last, value)


@pytest.mark.finds("wrong-result", at="timed")
def test_replacement_that_takes_itself_back_is_exposed(world):
    """It lies once, when the last event is recorded, and is gone before anybody compares."""
    event = world.cuda.Event
    record = event.record

    def kernel(x):
        world.cuda._sleep(LONG)

        def early(self, stream=None):
            event.record = record
            self.time = world.gpu.now  # as if recorded before the kernel: a real one keeps an event from then

        event.record = early
        return rms_norm(x)

    def reference(x):
        world.cuda._sleep(LONG)
        return rms_norm(x)

    with contextlib.suppress(world.honest.Dishonest):
        got = world.harness.measure(kernel, reference, world.make, pairs=PAIRS)
        why = "call the functions that the harness kept from the start, not those that the module has now"
        assert 0.9 < got.speedup < 1.1, f"Event.record lied once a call: speedup {got.speedup:.3g}, want 1; {why}"


# ---- The truth about time


class Pair:
    """A kernel and a reference that take what they are told to, in microseconds of the simulated device.

    drift: a call takes (1 + drift * progress) times as long; spikes: a share of calls takes 500 times as long;
    noise: standard deviation of the logarithm of a call's time; second: factor for who runs behind the other; cold:
    whose first three calls take 50 times as long.
    """

    def __init__(self, world, drift=0.0, spikes=0.0, noise=0.0, second=1.0, cold=()):
        self.world, self.drift, self.spikes, self.noise, self.second = world, drift, spikes, noise, second
        self.cold, self.calls, self.before = cold, {"kernel": 0, "reference": 0}, ("", False)
        self.addresses = {"kernel": set(), "reference": set()}
        self.seen = {"kernel": [], "reference": []}

    def side(self, name, microseconds, launches=1):
        gpu = self.world.gpu

        def run(x):
            self.addresses[name].add(x.data_ptr())
            self.look(name, x)
            factor = self.factor(name)
            gpu.factor = lambda: factor
            for _ in range(launches - 1):
                gpu.launch(rms_norm, x, cost=microseconds / launches)
            return gpu.launch(rms_norm, x, cost=microseconds / launches)

        return run

    def look(self, name, x):
        """Keep the values that the stream finds at this place; takes no time on the device."""

        def look():
            self.seen[name].append(x.numpy().tobytes())
            return ()

        self.world.gpu.defer(look, [], 0.0)

    def factor(self, name):
        rng, before = self.world.rng, self.before
        is_second = before[0] not in ("", name) and not before[1]
        factor = 1 + self.drift * min(sum(self.calls.values()) / (2 * PAIRS), 1)
        factor *= self.second if is_second else 1
        factor *= 50 if name in self.cold and self.calls[name] < 3 else 1
        factor *= 500 if rng.random() < self.spikes else 1
        self.before, self.calls[name] = (name, is_second), self.calls[name] + 1
        return factor * float(np.exp(self.noise * rng.standard_normal()))

    def run(self, fast, slow, pairs=PAIRS, launches=(1, 1)):
        kernel, reference = self.side("kernel", fast, launches[0]), self.side("reference", slow, launches[1])
        return self.world.accepted(kernel, reference, "its time is known", pairs=pairs)


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize(("ratio", "pairs"), [(7.5, PAIRS), (1.0, 5), (0.25, 6)])
def test_speedup_is_reference_over_kernel(world, pairs, ratio):
    """Two honest kernels in three are no faster than the reference."""
    pair, fast = Pair(world), float(world.rng.integers(20, 60))
    near(pair.run(fast, fast * ratio, pairs), ratio, 0.02, "a quiet machine")
    for name, count in pair.calls.items():
        assert count >= pairs, f"{count} calls of the {name}, {pairs} pairs were asked for"


@pytest.mark.finds("numerics", at="timed")
def test_launches_are_not_device_time(world):
    """The host needs longer to queue a short kernel than the device to run it."""
    few = Pair(world).run(8.0, 16.0, launches=(4, 1))
    near(few, 2.0, 0.05, "four launches of 2 us against one of 16: keep the device busy while the host queues")
    many = Pair(world).run(16.0, 12.0, launches=(1, 6))
    near(many, 0.75, 0.05, "one launch of 16 us against six of 2: keep the device busy while the host queues")


@pytest.mark.finds("numerics", at="timed")
@pytest.mark.parametrize("l2", [64 << 10, 256 << 10, 2 << 20])
def test_inputs_are_cold(simulate, l2):
    """A kernel that is bound by memory, on inputs that were just written: what L2 holds says nothing of a real run."""
    world = simulate(l2=l2)
    world.shape = (16, 1024)
    size, gpu = 16 * 1024 * 4, world.gpu
    cold = 1.5 + 2 * size / 1000  # reads and writes `size` bytes, 1000 a microsecond

    def kernel(x):
        return gpu.launch(rms_norm, x)

    def reference(x):
        return gpu.launch(rms_norm, x, cost=100.0)

    got = world.accepted(kernel, reference, "it is bound by memory")
    near(got, 100.0 / cold, 0.1, f"64 KiB in, 64 KiB out, L2 of {l2 >> 10} KiB: empty it before every timed call")


@pytest.mark.finds("cuda-stream", at="timed")
def test_events_are_on_the_callers_stream(world):
    """Who measures inside of `with cuda.stream(...)` measures that stream."""
    with world.cuda.stream(world.cuda.Stream()):
        near(Pair(world).run(30.0, 90.0), 3.0, 0.05, "the current stream is not the default stream")


@pytest.mark.finds("numerics", at="measure")
@pytest.mark.parametrize("drift", [3.0, -0.7])
def test_a_machine_that_drifts_does_not_decide(world, drift):
    got = Pair(world, drift=drift).run(40, 80)
    near(got, 2.0, 0.1, f"a device that gets {1 + drift:g} times as slow during the run (interleave)")


@pytest.mark.finds("numerics", at="measure")
@pytest.mark.parametrize("second", [0.7, 1.4])
@pytest.mark.parametrize("pairs", [PAIRS, PAIRS + 1])
def test_who_goes_second_has_no_advantage(world, second, pairs):
    got = Pair(world, second=second).run(40, 80, pairs)
    near(got, 2.0, 0.1, f"who goes second takes {second} times as long (both orders, and let both count alike)")


@pytest.mark.finds("numerics", at="measure")
def test_interrupted_calls_do_not_decide(world):
    got = Pair(world, spikes=0.02, noise=0.01).run(40, 80)
    near(got, 2.0, 0.1, "2 % of the calls take 500 times as long")


@pytest.mark.finds("numerics", at="measure")
@pytest.mark.parametrize("cold", [("kernel", "reference"), ("kernel",)], ids=["both", "the kernel's"])
def test_cold_calls_do_not_count(world, cold):
    got = Pair(world, cold=cold).run(40, 120, pairs=6)
    near(got, 3.0, 0.05, f"the first three calls of {' and '.join(cold)} take 50 times as long")


@pytest.mark.finds("wrong-result", at="measure")
def test_kernels_that_skip_known_inputs_gain_nothing(world):
    """It is always right, and fast where an input comes again."""
    import torch

    seen, gpu = [], world.gpu

    def kernel(x):
        known = any(torch.equal(x, one) for one in seen)
        seen.append(x.clone())
        return gpu.launch(rms_norm, x, cost=3.0 if known else 300.0)

    with contextlib.suppress(world.honest.Dishonest):
        got = world.harness.measure(kernel, lambda x: gpu.launch(rms_norm, x, cost=300.0), world.make, pairs=PAIRS)
        assert got.speedup < 1.2, (
            f"speedup {got.speedup:.3g} for who skips an input it has seen: each call needs its own"
        )


@pytest.mark.finds("wrong-result", at="measure")
def test_every_call_gets_new_values_in_the_same_memory(world):
    runs = []
    for _ in range(2):
        pair = Pair(world)
        pair.run(30.0, 60.0)
        runs.append({name: set(seen) for name, seen in pair.seen.items()})
        for name, digests in runs[-1].items():
            again = pair.calls[name] - len(digests)
            assert again == 0, f"{again} of {pair.calls[name]} inputs of the {name} were there before"
        assert len(pair.addresses["kernel"]) == 1, (
            "the kernel's inputs came in different memory: no cache by data_ptr shows"
        )
        shared = pair.addresses["kernel"] & pair.addresses["reference"]
        assert not shared, "the reference reads the memory that the kernel may have written to"
    common = runs[0]["kernel"] & runs[1]["kernel"]
    assert not common, f"{len(common)} inputs came in both of two runs: with a fixed seed answers can be prepared"


# ---- Honest kernels


def plain(operation, world):
    return operation


def joined(operation, world):
    """Works on a side stream, and both streams wait as they should."""
    side = world.cuda.Stream()

    def kernel(x):
        current = world.cuda.current_stream()
        side.wait_stream(current)
        with world.cuda.stream(side):
            output = operation(x)
        current.wait_stream(side)
        return output

    return kernel


def graph(operation, world):
    """As a CUDA graph does: reads its input where it was at the capture, copies its output out."""
    captured = {}

    def kernel(x):
        held = captured.setdefault(x.data_ptr(), x)
        return operation(held).clone()

    return kernel


def with_scratch(operation, world):
    import torch

    scratch = {}

    def kernel(x):
        own = scratch.setdefault((x.data_ptr(), x.shape), torch.empty_like(x))
        own.copy_(x)
        return operation(own)

    return kernel


def in_double(operation, world):
    return lambda x: operation(x.double()).to(x.dtype)


def in_rows(operation, world):
    import torch

    def kernel(x):
        rows = [operation(x[i : i + 1]) for i in range(len(x))]
        return torch.cat([*rows, rows[0]])[: len(x)]

    return kernel


def waits(operation, world):
    """Asks for a value in the middle: slow, and its own fault."""

    def kernel(x):
        assert float(x.sum()) > 0
        return operation(x)

    return kernel


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize(
    ("style", "operation"),
    [
        *((plain, operation) for operation in OPERATIONS),
        *((style, rms_norm) for style in (joined, graph, with_scratch, in_double, in_rows, waits)),
    ],
    ids=lambda f: f.__name__,
)
def test_honest_kernels_pass(world, style, operation):
    world.accepted(style(operation, world), operation, f"{operation.__name__}, {style.__name__}")


@pytest.mark.finds("wrong-result", at="check_output")
@pytest.mark.parametrize("value", ["NaN", "inf", "zero", "nothing", "integers", "booleans"])
def test_special_values_are_no_cheat(world, value):
    import torch

    def make(generator):
        x = generator.random((6, 30))
        if value == "nothing":
            return (torch.from_numpy(x[:0]).to("cuda"),)
        if value in ("integers", "booleans"):
            kind = {"integers": np.int64, "booleans": np.bool_}[value]
            return (torch.from_numpy((x * 1e9).astype(kind)).to("cuda"),)
        x[generator.random(x.shape) < 0.3] = {"NaN": np.nan, "inf": -np.inf, "zero": 0}[value]
        return (torch.from_numpy(x).to("cuda"),)

    world.accepted(lambda x: x + x, lambda x: x + x, f"inputs with {value}", make, pairs=6)


@pytest.mark.finds("error-path", at="measure")
def test_errors_of_the_kernel_come_through(world):
    class Broken(Exception):
        pass

    def kernel(x):
        if world.due():
            raise Broken
        return rms_norm(x)

    with pytest.raises(Broken):
        world.harness.measure(kernel, rms_norm, world.make, pairs=PAIRS)


# ---- On a real GPU: the same cheats, fewer of them, and kernels of rows.cu

ON_A_GPU = {
    **STREAMS,
    **{name: REPLAYS[name] for name in ("remembers outputs by data_ptr", "returns the output of the call before")},
    **LAZY,
    **{name: EDITS[name] for name in ("takes its input and zeros it", "changes its input later, on a side stream")},
    **{
        name: VALUES[name]
        for name in ("keeps a sum in bfloat16", "leaves out the last row", "never writes the last row")
    },
}


@pytest.mark.gpu
@pytest.mark.finds("cuda-stream", at="timed")
@pytest.mark.parametrize("name", ON_A_GPU)
def test_cheats_are_exposed_on_a_gpu(real, name):
    real.exposed(ON_A_GPU[name](real), name, streams_why(name) if name in STREAMS else "see the check without a GPU")


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="check_output")
@pytest.mark.parametrize("kind", ["half", "part"])
def test_cheating_kernels_of_rows_are_exposed(real, kind):
    """One adds up in half precision; one leaves an eighth of the rows as the allocator gave them."""
    what = "adds up in half precision" if kind == "half" else "leaves out an eighth of the rows"
    real.exposed(real.rows(kind), what, "every element of every output counts, relative to itself")


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("name", ["Event.elapsed_time", "Event", "synchronize", "current_stream"])
def test_replaced_function_is_exposed_on_a_gpu(real, name):
    owner, last = owner_of(real.cuda, name)
    value = getattr(owner, last)
    try:
        why = "keep what the module had when the harness was made, and compare after every call"
        real.exposed(patches(name, "in some calls")(real), f"replaces {name}", why)
    finally:
        setattr(owner, last, value)


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="measure")
def test_graph_of_an_old_input_is_exposed_on_a_gpu(real):
    import torch

    captured = []

    def kernel(x):
        if not captured:
            held, taken = x.clone(), torch.cuda.CUDAGraph()
            rms_norm(held)
            torch.cuda.synchronize()
            with torch.cuda.graph(taken):
                output = rms_norm(held)
            captured.extend((taken, output, held))
        captured[0].replay()
        return captured[1].clone()

    real.exposed(kernel, "replays a CUDA graph without copying its input", "new values in the same memory")


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("kind", ["fused", "slow"])
def test_honest_kernels_of_rows_pass(real, kind):
    got = real.accepted(real.rows(kind), rms_norm, f"a kernel of rows.cu, {kind}")
    if kind == "slow":
        fused = real.accepted(real.rows("fused"), rms_norm, "a kernel of rows.cu, fused")
        text = f"{got.speedup:.2f} for a thread a row, {fused.speedup:.2f} for a block a row"
        assert got.high < fused.low, f"{text}: the device time of the first is many times as long"


@pytest.mark.gpu
@pytest.mark.finds("numerics", at="timed")
@pytest.mark.parametrize("ratio", [4.0, 1.0, 0.25])
def test_true_ratio_is_found_on_a_gpu(real, ratio):
    """The device waits a known number of its cycles; what is computed beside that is short."""
    cycles = LONG / min(ratio, 1)

    def taking(count):
        def call(x):
            real.cuda._sleep(int(count))
            return rms_norm(x)

        return call

    got = real.accepted(taking(cycles), taking(cycles * ratio), f"a ratio of {ratio}")
    assert abs(got.speedup / ratio - 1) < 0.2, f"speedup {got.speedup:.3f} was measured, the true one is {ratio}"


@pytest.mark.gpu
@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("style", [joined, with_scratch, waits], ids=lambda f: f.__name__)
def test_honest_kernels_pass_on_a_gpu(real, style):
    real.accepted(style(rms_norm, real), rms_norm, style.__name__)


@pytest.mark.finds("build", at="")
def test_kernels_are_built(artifact):
    library = ctypes.CDLL(artifact.path)
    error = library.rms_norm(0, None, None, ctypes.c_int64(1 << 31), ctypes.c_int64(1), None)
    assert error != 0, "a launch that can't succeed must say so"
