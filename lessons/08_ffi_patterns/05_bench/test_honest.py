"""Checks of ffi-bench: cheating kernels in many disguises, honest ones, and a machine whose clock the checks own."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import threading
import time

import numpy as np
import pytest

from tutor.core.finding import Finding
from tutor.worker.defects import Defects
from tutor.worker.places import learner_place

PAIRS = 40
CLOCKS = ["perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "time", "time_ns"]


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def rms_norm(x):
    return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + np.float32(1e-6))


def log_sum_exp(x):
    top = x.max(axis=1)
    return top + np.log(np.exp(x - top[:, None]).sum(axis=1))


def silu(x):
    return x / (1 + np.exp(-x))


def squares(x):
    return (x * x).sum(axis=1)


OPERATIONS = [softmax, rms_norm, log_sum_exp, silu, squares]


class Task:
    """An operation on inputs of a random shape; everything about it differs from run to run."""

    def __init__(self, rng, operation=None):
        self.reference = operation or OPERATIONS[rng.integers(len(OPERATIONS))]
        self.shape = (int(rng.integers(3, 9)), int(rng.integers(16, 80)))
        self.start = int(rng.integers(8, 20))  # the call from which on a kernel cheats
        self.calls = 0

    def make(self, rng):
        return (rng.uniform(0.5, 3, self.shape).astype(np.float32),)

    def due(self):
        """Counts calls; true in those in which the kernel cheats: the 12 after `start`. A harness makes at least 40."""
        self.calls += 1
        return self.start < self.calls <= self.start + 12


def exposed(built, kernel, task, what, why, **options):
    """The harness must raise Dishonest. Whatever the kernel did to `time` is undone."""
    before = {name: getattr(time, name) for name in CLOCKS}
    try:
        got = built.measure(kernel, task.reference, task.make, pairs=PAIRS, **options)
    except built.Dishonest:
        return
    finally:
        for name, value in before.items():
            setattr(time, name, value)
    raise AssertionError(f"a kernel that {what} was accepted (speedup {got.speedup:.3g}): {why}")


def named(function, rng):
    """The function under a name that tells nothing."""
    function.__name__ = function.__qualname__ = f"kernel_{int(rng.integers(10**6))}"
    return function


ADDRESSES = {
    "the address of its input": lambda x: x.ctypes.data,
    "the array object": id,
    "address and shape": lambda x: (x.__array_interface__["data"], x.shape),
    "the page of its input": lambda x: x.ctypes.data >> 12,
}


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("key", ADDRESSES)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
def test_pointer_cache_is_exposed(built, rng, key, late):
    task, known = Task(rng), {}

    def kernel(x):
        where = ADDRESSES[key](x)
        cheat = task.due() or not late
        if where not in known or not cheat:
            known[where] = task.reference(x)
        return known[where]

    why = "inputs must come with new values in the same memory, as they do in every training loop"
    exposed(built, named(kernel, rng), task, f"remembers outputs by {key}", why)


class Delayed:
    """Computes when NumPy asks for the values."""

    def __init__(self, compute):
        self.compute = compute

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.compute(), dtype)

    @property
    def dtype(self):
        return self.compute().dtype

    @property
    def shape(self):
        return self.compute().shape

    def copy(self):
        return self.compute()

    def __getattr__(self, name):
        return getattr(self.compute(), name)


class Sleeper(np.ndarray):
    """An array that fills itself at its first use."""

    compute = None

    def wake(self):
        plain = self.view(np.ndarray)
        if self.compute is not None:
            plain[...] = self.compute()
            self.compute = None
        return plain

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        inputs = [each.wake() if isinstance(each, Sleeper) else each for each in inputs]
        return getattr(ufunc, method)(*inputs, **options)

    def __array_function__(self, func, types, args, kwargs):
        args = [each.wake() if isinstance(each, Sleeper) else each for each in args]
        return func(*args, **kwargs)

    def __getitem__(self, key):
        return self.wake()[key]

    def copy(self, order="C"):
        return self.wake().copy(order)

    def tobytes(self, order="C"):
        return self.wake().tobytes(order)

    def tolist(self):
        return self.wake().tolist()


def asleep(compute, like):
    made = np.zeros_like(like).view(Sleeper)
    made.compute = compute
    return made


@pytest.mark.finds("wrong-result", at="timed")
@pytest.mark.parametrize("kind", ["an object with __array__", "a subclass of ndarray"])
@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
def test_lazy_output_is_exposed(built, rng, kind, late):
    task = Task(rng)

    def kernel(x):
        if late and not task.due():
            return task.reference(x)
        kept = x.copy()
        if kind == "a subclass of ndarray":
            return asleep(lambda: task.reference(kept), task.reference(x))
        return Delayed(lambda: task.reference(kept))

    exposed(built, named(kernel, rng), task, f"returns {kind}", "it computes when the clock has stopped")


@pytest.mark.finds("wrong-result", at="timed")
def test_output_filled_by_a_thread_is_exposed(built, rng):
    """As a GPU does that nobody waits for."""
    task, threads = Task(rng), []
    make = task.make
    task.make = lambda generator: (time.sleep(0.002), make(generator))[1]  # whoever looks later finds it complete

    def kernel(x):
        want = task.reference(x)
        if not task.due():
            return want
        output = np.zeros_like(want)
        late = threading.Timer(0.001, np.copyto, (output, want))
        late.start()
        threads.append(late)
        return output

    why = "copy an output when the clock stops, and verify the copy"
    try:
        exposed(built, named(kernel, rng), task, "returns at once and has a thread fill the output later", why)
    finally:
        for late in threads:
            late.join()


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("when", ["before the measurement", "in a call", "from one call to the next"])
@pytest.mark.parametrize("clock", CLOCKS)
def test_patched_timer_is_exposed(built, rng, when, clock):
    task, real, slower = Task(rng), getattr(time, clock), int(rng.integers(3, 100))
    kind = type(real())

    def slow():
        return kind(real() / slower)

    def kernel(x):
        setattr(time, clock, real)
        output = task.reference(x)
        if when == "in a call" or (when == "from one call to the next" and task.due()):
            setattr(time, clock, slow)
        return output

    if when == "before the measurement":

        def kernel(x):
            return task.reference(x)

        setattr(time, clock, slow)
    try:
        why = "keep the functions of `time` from the import on, and compare after every call"
        exposed(built, named(kernel, rng), task, f"replaces time.{clock} {when}", why)
    finally:
        setattr(time, clock, real)


def refused(error, artifact, text):
    """The finding for an honest kernel that was refused, on the line that refused it."""
    place, step = None, error.__traceback__
    while step is not None:
        place = learner_place(artifact, step.tb_frame.f_code.co_filename, step.tb_lineno) or place
        step = step.tb_next
    raise Defects(Finding("wrong-result", f"{text}: {error}", "honest.py", place.line if place else None)) from error


def poke(array, rng, how):
    """Change an array behind NumPy's back, as C code does that ignores const."""
    raw = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    view = np.frombuffer(raw, array.dtype)
    if how == "zeros it":
        view[:] = 0
    elif how == "sorts it":
        view.sort()
    elif how == "changes one element":
        view[rng.integers(view.size)] += 1
    elif how == "swaps two elements":
        view[[0, -1]] = view[[-1, 0]]
    else:
        view[rng.integers(view.size)] = np.nan


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("right", [True, False], ids=["right output", "output of the edit"])
@pytest.mark.parametrize(
    "how", ["zeros it", "sorts it", "changes one element", "swaps two elements", "writes a NaN into it"]
)
def test_edited_input_is_exposed(built, rng, how, right):
    """Zeros in, zeros out: a reference that sees the edited input agrees with the kernel."""
    task, edits = Task(rng, silu), np.random.default_rng(int(rng.integers(2**32)))

    def kernel(x):
        output = task.reference(x) if right else None
        if task.due():
            poke(x, edits, how)
        return task.reference(x) if output is None else output

    why = "compare inputs with what they were, and give the reference its own"
    exposed(built, named(kernel, rng), task, f"takes its input and {how}", why)


@pytest.mark.finds("wrong-result", at="measure")
def test_edit_of_the_second_input_is_exposed(built, rng):
    task = Task(rng, lambda x, y: x * y)
    task.make = lambda generator: (generator.random((4, 9)), generator.random((4, 9)))

    def kernel(x, y):
        output = x * y
        if task.due():
            poke(y, rng, "changes one element")
        return output

    exposed(built, named(kernel, rng), task, "changes its second input", "compare all inputs")


def rounded(values, bits):
    """Floats with that many bits of mantissa."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    return np.ldexp(np.round(mantissa * 2**bits) / 2**bits, exponent).astype(values.dtype)


@pytest.mark.finds("numerics", at="check_output")
@pytest.mark.parametrize("kind", ["float16 inside", "bfloat16 inside", "14 bits", "float16 in a few", "wrong in one"])
@pytest.mark.parametrize("operation", [softmax, rms_norm, silu], ids=lambda f: f.__name__)
def test_precision_drop_is_exposed(built, rng, kind, operation):
    task = Task(rng, operation)
    task.shape = (int(rng.integers(10, 20)), int(rng.integers(200, 300)))
    few = rng.choice(task.shape[0] * task.shape[1], 1 if kind == "wrong in one" else 5, replace=False)

    def kernel(x):
        output = operation(x)
        if not task.due():
            return output
        if kind in ("float16 inside", "bfloat16 inside", "14 bits"):
            return rounded(output, {"float16 inside": 11, "bfloat16 inside": 8, "14 bits": 14}[kind])
        flat = output.reshape(-1)
        flat[few] = flat[few] * np.float32(1.00005) if kind == "wrong in one" else rounded(flat[few] * 1.0003, 11)
        return output

    exposed(built, named(kernel, rng), task, f"drops precision ({kind})", "every element of every output counts")


@pytest.mark.finds("numerics", at="check_output")
@pytest.mark.parametrize("scale", [1e-12, 1e6])
def test_small_values_are_compared_as_well(built, rng, scale):
    """Relative to each element: an absolute tolerance lets all through that is small."""
    task = Task(rng, lambda x: x * x)
    task.make = lambda generator: ((generator.uniform(0.5, 1, (5, 40)) * scale).astype(np.float32),)
    kernel = named(lambda x: rounded(x * x, 11) if task.due() else x * x, rng)
    exposed(built, kernel, task, f"drops precision in values of about {scale * scale:g}", "errors are relative")


@pytest.mark.finds("numerics", at="check_output")
@pytest.mark.parametrize("kind", ["float64 for float32", "float16", "another shape", "broadcast shape", "float32 ids"])
def test_other_types_and_shapes_are_exposed(built, rng, kind):
    task = Task(rng, softmax)
    if kind == "float32 ids":
        task.reference = lambda x: (x * 1e7).astype(np.int64)

    def kernel(x):
        output = task.reference(x)
        if not task.due():
            return output
        return {
            "float64 for float32": lambda: output.astype(np.float64),
            "float16": lambda: output.astype(np.float16),
            "another shape": lambda: output.reshape(-1),
            "broadcast shape": lambda: output[None],
            "float32 ids": lambda: output + 1,
        }[kind]()

    what = "returns integers that are off by one" if kind == "float32 ids" else f"returns {kind}"
    exposed(built, named(kernel, rng), task, what, "dtype and shape are part of the result, integers are exact")


REPLAYS = ["the first output", "the last output", "the output of two calls ago", "memory that it never wrote", "a key"]


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("how", REPLAYS)
def test_replay_is_exposed(built, rng, how):
    task, outputs, answers = Task(rng), [], {}

    def kernel(x):
        cheat = task.due()
        if cheat and how == "memory that it never wrote":
            return np.empty_like(outputs[-1])  # where the allocator may have put the reference's output before
        if cheat and how == "a key":
            return answers.setdefault((x.shape, x.dtype), outputs[-1]).copy()
        if cheat:
            return outputs[{"the first output": 0, "the last output": -1}.get(how, -2)].copy()
        outputs.append(task.reference(x))
        return outputs[-1].copy()

    why = "verify every timed output against the reference, on inputs that were not there before"
    exposed(built, named(kernel, rng), task, f"returns {how}", why)


class Machine:
    """A machine whose time the check owns: calls take what they are told to take.

    drift: a call takes (1 + drift * progress) times as long; spikes: a share of calls takes 500 times as long;
    noise: standard deviation of the logarithm of a call's time; second: factor for who sees an input second.
    """

    def __init__(self, rng, drift=0.0, spikes=0.0, noise=0.0, second=1.0, cold=0):
        self.rng, self.drift, self.spikes, self.noise, self.second, self.cold = rng, drift, spikes, noise, second, cold
        self.now, self.calls, self.last = 0.0, 0, None
        self.inputs = {"kernel": [], "reference": []}
        self.arrays = {"kernel": [], "reference": []}

    def clock(self):
        return round(self.now)

    def make(self, rng):
        self.now += 5e6
        return (rng.random((3, 20)),)

    def side(self, name, cost):
        """A function that computes honestly and takes `cost` nanoseconds, or cost(digest of the input)."""

        def run(x):
            digest = hashlib.sha1(x.tobytes()).digest()
            self.now += (cost(digest) if callable(cost) else cost) * self.factor(name, digest)
            self.inputs[name].append(digest)
            self.arrays[name].append(x)
            self.calls += 1
            return squares(x)

        return run

    def factor(self, name, digest):
        factor = 1 + self.drift * min(self.calls / (2 * PAIRS), 1)
        if self.last is not None and self.last != (name, digest) and self.last[1] == digest:
            factor *= self.second
        self.last = (name, digest)
        if len(self.inputs[name]) < self.cold:
            factor *= 50
        if self.rng.random() < self.spikes:
            factor *= 500
        return factor * float(np.exp(self.noise * self.rng.standard_normal()))

    def run(self, built, fast, slow, pairs=PAIRS):
        """The harness's result for a kernel and a reference of these costs."""
        kernel, reference = self.side("kernel", fast), self.side("reference", slow)
        return built.measure(named(kernel, self.rng), reference, self.make, pairs=pairs, clock=self.clock)


def near(got, want, within, what):
    speedup, low, high = got
    assert abs(speedup / want - 1) <= within, f"{what}: speedup {speedup:.3f} was measured, the true one is {want:.3f}"
    assert low <= speedup <= high, f"{what}: the interval {low:.3f} to {high:.3f} does not contain {speedup:.3f}"


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("pairs", [5, 6, PAIRS])
def test_speedup_is_reference_over_kernel(built, rng, pairs):
    fast = float(rng.integers(10_000, 50_000))
    for ratio in (7.5, 1.0, 0.25):
        machine = Machine(rng)
        near(machine.run(built, fast, fast * ratio, pairs), ratio, 0.01, "a quiet machine")
        for name, inputs in machine.inputs.items():
            assert len(inputs) >= pairs, f"{len(inputs)} calls of the {name}, {pairs} pairs were asked for"


@pytest.mark.finds("numerics", at="measure")
@pytest.mark.parametrize("drift", [3.0, -0.7])
def test_a_machine_that_drifts_does_not_decide(built, rng, drift):
    got = Machine(rng, drift=drift).run(built, 30_000, 60_000)
    near(got, 2.0, 0.08, f"a machine that gets {1 + drift:g} times as slow during the run (interleave)")


@pytest.mark.finds("numerics", at="measure")
@pytest.mark.parametrize("second", [0.7, 1.4])
def test_who_goes_second_has_no_advantage(built, rng, second):
    for pairs in (PAIRS, PAIRS + 1):
        got = Machine(rng, second=second).run(built, 30_000, 60_000, pairs)
        what = (
            f"who sees an input second takes {second} times as long (change the order, and let both orders count alike)"
        )
        near(got, 2.0, 0.1, what)


@pytest.mark.finds("numerics", at="summary")
def test_interrupted_calls_do_not_decide(built, rng):
    for _ in range(5):
        got = Machine(rng, spikes=0.04, noise=0.01).run(built, 30_000, 60_000)
        near(got, 2.0, 0.1, "4 % of the calls take 500 times as long")


@pytest.mark.finds("numerics", at="measure")
def test_cold_calls_do_not_count(built, rng):
    got = Machine(rng, cold=3).run(built, 30_000, 90_000, pairs=6)
    near(got, 3.0, 0.05, "the first three calls of each side take 50 times as long")
    machine = Machine(rng)
    got = machine.run(built, lambda digest: 30_000 * (50 if len(machine.inputs["kernel"]) < 3 else 1), 90_000, pairs=6)
    near(got, 3.0, 0.05, "the kernel's first three calls take 50 times as long")


@pytest.mark.finds("numerics", at="summary")
def test_interval_holds_the_truth(built, rng):
    held = 0
    for _ in range(50):
        _, low, high = Machine(rng, noise=0.05).run(built, 30_000, 60_000)
        held += low <= 2.0 <= high
    assert held >= 38, f"of 50 intervals of 95 % only {held} contain the true speedup: they are too narrow"


@pytest.mark.finds("numerics", at="summary")
def test_interval_narrows_with_more_pairs(built, rng):
    def width(pairs):
        results = [Machine(rng, noise=0.05).run(built, 30_000, 60_000, pairs) for _ in range(6)]
        return float(np.mean([(high - low) / speedup for speedup, low, high in results]))

    few, many = width(PAIRS), width(10 * PAIRS)
    assert few < 0.2, f"noise of 5 %, {PAIRS} pairs: intervals are {few:.0%} wide, half of that is possible"
    text = (
        f"{few:.1%} wide with {PAIRS} pairs, {many:.1%} with {10 * PAIRS}: it tells of the calls, not of their median"
    )
    assert many < 0.6 * few, text


@pytest.mark.finds("wrong-result", at="measure")
def test_remembering_inputs_gains_nothing(built, rng):
    """A kernel that keys its memory by all of the input is right, always; it is fast when inputs come again."""
    seen = set()

    def cost(digest):
        known = digest in seen
        seen.add(digest)
        return 300 if known else 30_000

    machine = Machine(rng)
    with contextlib.suppress(built.Dishonest):
        got = machine.run(built, cost, 30_000)
        near(got, 1.0, 0.05, "a kernel that is fast on inputs it has seen (every call needs its own)")


@pytest.mark.finds("wrong-result", at="measure")
def test_every_call_gets_new_values(built, rng):
    runs = []
    for _ in range(2):
        machine = Machine(rng)
        machine.run(built, 30_000, 60_000)
        runs.append(machine.inputs)
    for inputs in runs:
        for name, digests in inputs.items():
            again = len(digests) - len(set(digests))
            assert again == 0, f"{again} of {len(digests)} inputs of the {name} were there before"
        assert set(inputs["kernel"]) == set(inputs["reference"]), "kernel and reference got different values"
    common = set(runs[0]["kernel"]) & set(runs[1]["kernel"])
    assert not common, f"{len(common)} inputs came in both of two runs: with a fixed seed answers can be prepared"


@pytest.mark.finds("wrong-result", at="measure")
def test_the_reference_has_its_own_memory(built, rng):
    machine = Machine(rng)
    machine.run(built, 30_000, 60_000)
    mine = {x.ctypes.data for x in machine.arrays["kernel"]}
    shared = sum(x.ctypes.data in mine for x in machine.arrays["reference"])
    assert shared == 0, f"in {shared} calls the reference read the memory that the kernel may have written to"


def own_buffer(operation):
    """Writes into the same memory in each call, as many libraries do."""
    kept = {}

    def kernel(x):
        output = operation(x)
        if "out" not in kept:
            kept["out"] = np.empty_like(output)
        kept["out"][...] = output
        return kept["out"]

    return kernel


def in_pieces(operation):
    """Rows one by one; the output is a view of a larger array."""

    def kernel(x):
        rows = [operation(x[i : i + 1]) for i in range(len(x))]
        return np.concatenate([*rows, rows[0]])[: len(x)]

    return kernel


def with_plan(operation):
    """Prepares once for a shape, and keeps scratch memory by the address of the input: a cache that is no cheat."""
    plans = {}

    def kernel(x):
        scratch = plans.setdefault((x.shape, x.ctypes.data), np.empty_like(x))
        scratch[...] = x
        return operation(scratch)

    return kernel


def in_double(operation):
    def kernel(x):
        return operation(x.astype(np.float64)).astype(np.float32)

    return kernel


@pytest.mark.finds("wrong-result", at="measure")
@pytest.mark.parametrize("style", [own_buffer, in_pieces, with_plan, in_double], ids=lambda f: f.__name__)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda f: f.__name__)
def test_honest_kernels_pass(built, artifact, rng, operation, style):
    task = Task(rng, operation)
    try:
        speedup, low, high = built.measure(named(style(operation), rng), operation, task.make, pairs=PAIRS)
    except built.Dishonest as error:
        refused(error, artifact, f"an honest kernel ({operation.__name__}, {style.__name__}) was refused")
    assert 0 < low <= speedup <= high < float("inf"), f"{low} to {high} around {speedup}"


@pytest.mark.finds("wrong-result", at="check_output")
@pytest.mark.parametrize("value", ["NaN", "inf", "zero", "nothing", "integers", "booleans"])
def test_special_values_are_no_cheat(built, artifact, rng, value):
    task = Task(rng, lambda x: x + x)

    def make(generator):
        x = generator.random((6, 30))
        if value == "nothing":
            return (x[:0],)
        if value in ("integers", "booleans"):
            return ((x * 1e9).astype({"integers": np.int64, "booleans": np.bool_}[value]),)
        x[generator.random(x.shape) < 0.3] = {"NaN": np.nan, "inf": -np.inf, "zero": 0}[value]
        return (x,)

    try:
        built.measure(named(lambda x: x + x, rng), task.reference, make, pairs=8)
    except built.Dishonest as error:
        refused(error, artifact, f"an honest kernel was refused, inputs with {value}")


@pytest.mark.finds("error-path", at="measure")
def test_errors_of_the_kernel_come_through(built, rng):
    task = Task(rng)

    class Broken(Exception):
        pass

    def kernel(x):
        if task.due():
            raise Broken
        return task.reference(x)

    with pytest.raises(Broken):
        built.measure(kernel, task.reference, task.make, pairs=PAIRS)
