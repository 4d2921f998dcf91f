"""Checks of ct-callback: what arrives, what must live how long, what an exception does, and that nobody waits for ever.

Most run in a forked copy of the check's process (`apart`): where threads of C and the GIL wait for each other, or a
callback is gone that C still calls, somebody else must be there to say so.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import functools
import gc
import inspect
import itertools
import mmap
import os
import pickle
import re
import select
import signal
import sys
import threading
import time
import traceback
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tutor.core.finding import Finding
from tutor.worker.defects import Defects
from tutor.worker.places import find_symbol, learner_place

IDLE = 1.0  # seconds in which no thread of the process wanted a core
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE)
PLACE = re.compile(r'File "([^"]+)", line (\d+)')


def apart(check):
    """The check, run in a forked process. A process that hangs or dies is a finding, with the line of the learner."""
    wanted = list(inspect.signature(check).parameters)

    @functools.wraps(check)
    def run(artifact, **fixtures):
        fixtures = {name: artifact if name == "artifact" else fixtures[name] for name in wanted}
        failure, findings = forked(check, fixtures, artifact)
        if findings:
            raise Defects(*findings)
        if failure:
            raise AssertionError(failure)

    names = dict.fromkeys(["artifact", *wanted])
    run.__signature__ = inspect.Signature([inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names])
    return run


def forked(check, fixtures, artifact):
    """(what failed, findings) of the check in a process of its own."""
    beats = mmap.mmap(-1, 8)
    (reader, writer), report = os.pipe(), os.memfd_create("report")
    child = os.fork()
    if child == 0:
        os.close(reader)
        serve(check, fixtures, artifact, writer, report, beats)
    os.close(writer)
    text, stuck = await_text(child, reader, beats)
    status = os.waitpid(child, 0)[1]
    frames = os.pread(report, 1 << 16, 0).decode("utf-8", "replace")
    os.close(reader)
    os.close(report)
    if stuck:
        return "", (stuck_finding(stuck, frames, artifact),)
    return pickle.loads(text) if text else ("", (crash_finding(status, frames, artifact),))


def serve(check, fixtures, artifact, writer, report, beats):
    """In the forked process: run the check, write what came of it, and never return."""
    lost = []
    try:
        for number in CRASHES:  # not the handler of the process we come from: it would report in its name
            signal.signal(number, signal.SIG_DFL)
        faulthandler.enable(report, all_threads=True)
        faulthandler.register(signal.SIGUSR1, report, all_threads=True)
        threading.Thread(target=beat, args=(beats,), daemon=True).start()
        sys.unraisablehook = lambda args: lost.append(lost_finding(args, artifact))
        failure, findings = "", ()
        try:
            check(**fixtures)
        except Defects as error:
            findings = error.findings
        except AssertionError as error:
            failure = str(error).split("\nassert ", 1)[0] or "the check's assertion does not hold"
        except BaseException as error:  # noqa: BLE001 - whatever the learner's code raises
            traceback.print_exc()
            findings = (raised_finding(error, artifact),)
        found = tuple(filter(None, lost))
        os.write(writer, pickle.dumps((failure, (*found[:1], *findings) if found else findings)))
    finally:
        os._exit(0)


def beat(beats):
    """Count on, as long as this thread gets the GIL."""
    for count in range(1 << 40):
        beats[:8] = count.to_bytes(8, "little")
        time.sleep(0.02)


def lost_finding(args, artifact):
    """What ctypes prints and forgets: an exception that left a callback, or a result that it can't convert."""
    if "ctypes callback" not in (args.err_msg or ""):
        return None
    place = innermost(args.exc_traceback, artifact) or defined(args.object, artifact)
    what = "its result can't be converted" if "converting" in args.err_msg else "an exception left it"
    text = f"a callback's end: {what}. ctypes prints it and goes on: {args.exc_type.__name__}: {args.exc_value}"
    return Finding("error-path", text, place.file if place else "", place.line if place else None)


def defined(function, artifact):
    """Where a function, a method or an object with __call__ is defined, if by the learner."""
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return learner_place(artifact, code.co_filename, code.co_firstlineno) if code else None


def raised_finding(error, artifact, what=""):
    """An exception that nobody asked for, on the learner's line that it came from."""
    place = innermost(error.__traceback__, artifact)
    text = f"{what}{type(error).__name__}: {error}"
    return Finding("wrong-result", text, place.file if place else "", place.line if place else None)


def innermost(trace, artifact):
    """The innermost line of the learner in a traceback."""
    places = (learner_place(artifact, frame.filename, frame.lineno) for frame in traceback.extract_tb(trace))
    return next(filter(None, reversed(list(places))), None)


def await_text(child, reader, beats):
    """(what the process wrote, "") or (b"", why it is stuck). It is stuck when nothing in it has wanted to run."""
    parts, since = [], time.monotonic()
    recent = []  # whether a thread was running or ready, in the samples since then
    while True:
        if select.select([reader], [], [], 0.05)[0]:
            part = os.read(reader, 1 << 16)
            parts.append(part)
            if not part:
                return b"".join(parts), ""
            continue
        recent.append(wants_to_run(child))
        if time.monotonic() - since < IDLE:
            continue
        # A thread that waits for the GIL wakes up every few milliseconds; a starved process is ready all the time.
        if len(recent) > 10 and sum(recent) < len(recent) / 4:
            return b"", end(child, beats)
        since, recent = time.monotonic(), []


def wants_to_run(pid):
    states = []
    with contextlib.suppress(OSError):
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            states.append(stat.read_text().rpartition(")")[2].split()[0])
    return any(state in "RD" for state in states)


def end(child, beats):
    """Make the stuck process tell where it stands, end it; returns "gil" or "lock"."""
    first = beats[:8]
    time.sleep(0.3)
    kind = "gil" if beats[:8] == first else "lock"
    os.kill(child, signal.SIGUSR1)
    time.sleep(0.2)
    os.kill(child, signal.SIGKILL)
    return kind


def reported_place(frames, artifact):
    """A line of the learner in what faulthandler wrote; of the main thread, which comes last, when it has one."""
    main = frames.rpartition("hread 0x")[2]
    places = (learner_place(artifact, file, int(line)) for file, line in PLACE.findall(main) + PLACE.findall(frames))
    return next(filter(None, places), None)


def stuck_finding(kind, frames, artifact):
    place = reported_place(frames, artifact)
    code, why = {
        "gil": ("gil-held", "it waits with the GIL, and the library's threads wait for the GIL to call back"),
        "lock": ("timeout", "it waits for a thread that waits for it: is a lock held that a callback wants?"),
    }[kind]
    return Finding(code, f"stuck for ever: {why}", place.file if place else "", place.line if place else None)


def crash_finding(status, frames, artifact):
    place = reported_place(frames, artifact)
    name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit code {status >> 8}"
    text = f"{name}: a callback or memory that is not there (any more) was used, while your code stood here"
    return Finding("crash", text, place.file if place else "", place.line if place else None)


class Recorder:
    """An on_block that writes down what it gets, and the learner's line that called it."""

    def __init__(self, answer=lambda first, losses: False):
        self.answer, self.firsts, self.given, self.copies, self.line = answer, [], [], [], None

    def __call__(self, first, losses):
        self.line = sys._getframe(1).f_lineno
        self.firsts.append(first)
        self.given.append(losses)
        self.copies.append(np.array(losses))
        return self.answer(first, losses)

    @property
    def losses(self):
        return np.concatenate(self.copies) if self.copies else np.empty(0, np.float32)


@pytest.fixture
def library(artifact):
    library = ctypes.CDLL(artifact.extra["sgd"])
    for name in ("sgd_live", "sgd_running", "sgd_bad_frees"):
        getattr(library, name).restype = ctypes.c_long
    return library


def data(rng, count=40, dim=6):
    """Rows of small whole numbers, and targets that a model can reach."""
    rows = rng.integers(-4, 5, (count, dim)).astype(np.float32)
    rows[:, 0] = 1
    return rows, (rows @ rng.integers(-3, 4, dim)).astype(np.float32)


def expected(rows, targets, rate, steps, first=0):
    """The losses of stochastic gradient descent from zero weights, in float64."""
    weights, losses = np.zeros(rows.shape[1]), []
    for step in range(first, first + steps):
        row = rows[step % len(rows)].astype(float)
        error = weights @ row - float(targets[step % len(rows)])
        losses.append(error * error)
        weights -= rate * error * row
    return np.array(losses)


def train(artifact, sweep, steps, first=0):
    """start() and wait(); an exception out of it is named with the learner's line that it came through."""
    try:
        sweep.start(steps, first)
        return sweep.wait()
    except BaseException as error:  # noqa: BLE001 - any kind may come out
        raise Defects(raised_finding(error, artifact, "start() and wait() raised ")) from None


def same(got, want, what):
    assert got.shape == want.shape, f"{what}: {got.size} losses, want {want.size}"
    wrong = np.flatnonzero(~np.isclose(got, want, rtol=1e-3, atol=1e-6))
    if wrong.size:
        i = wrong[0]
        raise AssertionError(f"{what}: loss {i} is {got[i]:.6g}, want {want[i]:.6g} ({wrong.size} of {got.size} wrong)")


@pytest.mark.finds("dtype", at="FUNCTYPE(")
@pytest.mark.parametrize("first", [0, 3, (1 << 31) + 5, (1 << 40) + 7, (1 << 63) + 11])
@apart
def test_the_callback_gets_what_c_passes(built, artifact, rng, first):
    rows, targets = data(rng)
    sweep, told = built.Sweep(rows, targets, 8), Recorder()
    sweep.add(0.01, told)
    train(artifact, sweep, 21, first)
    assert told.firsts == [first, first + 8, first + 16], f"blocks began at {told.firsts}, want {first} and on by 8"
    sizes = [block.size for block in told.given]
    assert sizes == [8, 8, 5], f"21 steps in blocks of 8 came as blocks of {sizes}"
    kinds = {(type(block).__name__, str(getattr(block, "dtype", ""))) for block in told.given}
    assert kinds == {("ndarray", "float32")}, f"losses came as {kinds}, want float32 arrays"
    same(told.losses, expected(rows, targets, 0.01, 21, first), f"steps from {first} on")


@pytest.mark.finds("wrong-result", at="def add(self, rate")
@pytest.mark.parametrize("models", [1, 2, 6])
@apart
def test_each_model_calls_its_own_function(built, artifact, rng, models):
    rows, targets = data(rng)
    rates = [0.002 * (i + 1) for i in range(models)]
    for together in (False, True):
        sweeps = [built.Sweep(rows, targets, block) for block in (5, 16)]
        told = [[Recorder() for _ in rates] for _ in sweeps]
        for sweep, recorders in zip(sweeps, told, strict=True):
            numbers = [sweep.add(rate, one) for rate, one in zip(rates, recorders, strict=True)]
            assert numbers == list(range(models)), f"add() returned {numbers}, want {list(range(models))}"
            if together:
                sweep.start(70)
        for sweep, recorders in zip(sweeps, told, strict=True):
            if not together:
                sweep.start(70)
            assert sweep.wait() == [70] * models, "wait() doesn't return the steps that each model has done"
            for i, (rate, one) in enumerate(zip(rates, recorders, strict=True)):
                want = expected(rows, targets, rate, 70)
                same(one.losses, want, f"on_block of model {i} (rate {rate:g}) of {models}, two sweeps")


@pytest.mark.finds("layout", at="def __init__(self, rows")
@pytest.mark.parametrize("kind", ["float64", "int32", "big-endian", "list", "fortran", "every second", "reversed"])
@apart
def test_rows_of_any_type_and_layout(built, artifact, rng, kind):
    rows, targets = data(rng)
    wide, long = np.full((80, 12), np.nan, np.float32), np.full(80, np.nan, np.float32)
    wide[::2, ::2], long[::2] = rows, targets
    given = {
        "list": (rows.tolist(), targets.tolist()),
        "fortran": (np.asfortranarray(rows), targets),
        "every second": (wide[::2, ::2], long[::2]),
        "reversed": (rows[::-1, ::-1].copy()[::-1, ::-1], targets[::-1].copy()[::-1]),
    }
    if kind not in given:
        kind = {"big-endian": ">f4"}.get(kind, kind)
        given[kind] = rows.astype(kind), targets.astype(kind)
    sweep, told = built.Sweep(*given[kind], 16), Recorder()
    sweep.add(0.01, told)
    train(artifact, sweep, 60)
    same(told.losses, expected(rows, targets, 0.01, 60), f"rows and targets given as {kind}")


SHAPES = [
    *[((4, 3), (3,), 8), ((4, 3), (5,), 8), ((4, 3), (4, 1), 8), ((4,), (4,), 8), ((2, 2, 3), (2,), 8)],
    *[((0, 3), (0,), 8), ((4, 0), (4,), 8), ((4, 3), (4,), 0)],
]


@pytest.mark.finds("out-of-bounds", at="def __init__(self, rows")
@pytest.mark.parametrize(("rows", "targets", "block"), SHAPES)
@apart
def test_shapes_that_do_not_fit_are_refused(built, rows, targets, block):
    try:
        built.Sweep(np.zeros(rows, np.float32), np.zeros(targets, np.float32), block)
    except ValueError:
        return
    raise AssertionError(f"rows of shape {rows}, targets of shape {targets}, block {block}: want a ValueError")


ANSWERS = {
    "True": (True, True),
    "numpy True": (np.True_, True),
    "256": (256, True),
    "2**32": (1 << 32, True),
    "0.5": (0.5, True),
    "a text": ("patience is over", True),
    "None": (None, False),
    "False": (False, False),
    "numpy False": (np.False_, False),
    "an empty list": ([], False),
}


def blame(told, code, message):
    """A finding on the learner's line that calls on_block."""
    raise Defects(Finding(code, message, file="progress.py", line=told.line))


@pytest.mark.finds("wrong-result", at="FUNCTYPE(")
@pytest.mark.parametrize("answer", ANSWERS)
@apart
def test_a_true_result_ends_the_model(built, artifact, rng, answer):
    result, ends = ANSWERS[answer]
    sweep, told, other = built.Sweep(*data(rng), 10), Recorder(lambda first, losses: result), Recorder()
    sweep.add(0.01, told)
    sweep.add(0.01, other)
    steps, want = train(artifact, sweep, 50), [10 if ends else 50, 50]
    if steps == want:
        return
    kind = getattr(getattr(built, "ON_BLOCK", None), "_restype_", ctypes.c_int)
    assert kind is not None, f"the callback has no result type: C reads what is in the register, and did {steps} steps"
    blame(told, "wrong-result", f"on_block returned {result!r}: models did {steps} steps of 50, want {want}")


@apart
def test_losses_may_be_kept(built, artifact, rng):
    sweep, told = built.Sweep(*data(rng), 10), Recorder()
    sweep.add(0.01, told)
    train(artifact, sweep, 35)
    sweep.close()
    for first, kept, copy in zip(told.firsts, told.given, told.copies, strict=True):
        if not np.array_equal(kept, copy):
            text = f"the losses from step {first} on were {copy[:3]}, after the call they are {kept[:3]}"
            blame(told, "lifetime", f"{text}: the array is C's own memory, which C writes over")


def ballast(artifact, log, count=100):
    """New callbacks, so that the place of one that is gone is taken: they note down that C called them."""
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_float), ctypes.c_size_t
    )

    def called(user, first, losses, count):
        log.append(first)
        return 1

    return [kind(called) for _ in range(count)]


GONE = "C called a function that was made later, at the address of a callback that is gone"


@pytest.mark.finds("lifetime", at="sgd_new(")
@pytest.mark.parametrize("when", ["before start", "while it runs"])
@apart
def test_callbacks_live_as_long_as_c_calls_them(built, artifact, rng, when):
    log, kept = [], []

    def work(first, losses):
        if first and not kept:
            gc.collect()
            kept.extend(ballast(artifact, log))

    sweep, told = built.Sweep(*data(rng), 10), Recorder(work if when == "while it runs" else lambda *_: None)
    sweep.add(0.01, told)
    if when == "before start":
        gc.collect()
        kept.extend(ballast(artifact, log))
    sweep.start(50)
    gc.collect()
    steps = sweep.wait()
    assert not log, GONE
    assert steps == [50], f"the model did {steps} steps, want 50"


@pytest.mark.finds("lifetime", at="sgd_new(")
@pytest.mark.parametrize("count", [4, 40, 400])
@apart
def test_rows_live_as_long_as_c_reads_them(built, artifact, rng, count):
    rows, targets = data(rng, count)
    sweep, told = built.Sweep(rows.tolist(), targets.tolist(), 16), Recorder()
    sweep.add(0.002, told)
    gc.collect()
    sizes = (rows.size, targets.size)
    kept = [[np.full(size, np.nan, kind) for size in sizes for kind in ("f4", "f8")] for _ in range(200)]
    train(artifact, sweep, 100)
    same(told.losses, expected(rows, targets, 0.002, 100), "rows and targets whose caller has let go of them")
    del kept


@pytest.mark.finds("lifetime", at="def close")
@apart
def test_close_keeps_the_callback_until_the_threads_end(built, artifact, rng):
    inside, log, kept, main = threading.Event(), [], [], threading.get_ident()

    def slow(first, losses):
        inside.set()
        while "progress.py" not in sys._current_frames()[main].f_code.co_filename:
            time.sleep(0.01)  # until close() has begun
        time.sleep(0.05)
        gc.collect()
        kept.extend(ballast(artifact, log))

    sweep = built.Sweep(*data(rng), 10)
    for _ in range(2):
        sweep.add(0.01, slow)
    sweep.start(1 << 40)
    inside.wait()
    sweep.close()
    assert not log, f"during close(): {GONE}"


def gone(library, what):
    """Collect until no sweep is alive. A thread may be about to end: that takes its time, and no more."""
    until = time.monotonic() + 2
    while time.monotonic() < until:  # without a rest: a process that sleeps is taken for one that is stuck
        gc.collect()
        if not library.sgd_live() and not library.sgd_running():
            return
        time.sleep(0)
    left, threads = library.sgd_live(), library.sgd_running()
    raise AssertionError(f"{what}: {left} sweeps are still alive and {threads} of their threads run")


@pytest.mark.finds("memory-leak", at="class Sweep")
@pytest.mark.parametrize("state", ["new", "running", "finished", "failed"])
@apart
def test_a_dropped_sweep_ends_and_is_freed(built, library, rng, state):
    def on_block(first, losses):
        if state == "failed":
            raise LookupError("no such model")

    for _ in range(10):
        sweep = built.Sweep(*data(rng), 100)
        for _ in range(2):
            sweep.add(0.001, on_block)
        if state != "new":
            sweep.start(1 << 40 if state == "running" else 500)
        if state in ("finished", "failed"):
            with contextlib.suppress(LookupError):
                sweep.wait()
        del sweep
    gone(library, f"10 sweeps ({state}) were dropped")
    assert library.sgd_bad_frees() == 0, "a sweep was freed twice"


@pytest.mark.finds("memory-leak", at="def add(self, rate")
@pytest.mark.parametrize("started", [True, False])
@apart
def test_functions_are_let_go(built, library, rng, started):
    def callbacks():
        gc.collect()
        return sum(isinstance(one, ctypes._CFuncPtr) for one in gc.get_objects())

    before, functions = callbacks(), []
    for _ in range(10):
        sweep = built.Sweep(*data(rng), 100)
        for _ in range(3):
            told = Recorder()
            functions.append(weakref.ref(told))
            sweep.add(0.001, told)
        if started:
            sweep.start(200)
            sweep.wait()
        sweep.close()
        del sweep, told
    left = callbacks() - before
    alive = sum(one() is not None for one in functions)
    assert alive == 0, f"all sweeps are closed and gone, {alive} of their 30 on_block functions are still referenced"
    assert left < 10, f"all sweeps are closed and gone, {left} of their callbacks are still referenced"


class Enough(BaseException):
    """Nobody catches this one by accident."""


@pytest.mark.finds("error-path", at="def wait")
@pytest.mark.parametrize("kind", [ValueError, StopIteration, KeyboardInterrupt, SystemExit, Enough])
@apart
def test_an_exception_comes_out_of_wait(built, library, rng, kind):
    error, raised, calls, blocks = kind("block 2 is bad"), threading.Event(), [], []

    def bad(first, losses):
        calls.append(first)
        if first == 10:
            raised.set()
            raise error

    def other(first, losses):
        raised.wait()
        time.sleep(0.001)
        blocks.append(first)

    sweep = built.Sweep(*data(rng), 10)
    for on_block in (other, bad, other):
        sweep.add(0.001, on_block)
    sweep.start(10_000)
    try:
        steps = sweep.wait()
    except BaseException as got:  # noqa: BLE001 - any kind may come out
        came, steps = got, None
    else:
        came = None
    assert came is not None, f"on_block raised {error!r} and wait() returned {steps}: the exception is lost"
    assert came is error, f"on_block raised {error!r}, wait() raised {came!r}"
    assert calls == [0, 10], f"on_block was called again after its exception, for the blocks at {calls[2:6]}"
    assert library.sgd_running() == 0, "wait() raised while threads of the library still ran"
    assert len(blocks) < 2000, "one model's on_block raised, and the others trained on to their last step"


@pytest.mark.finds("error-path", at="def wait")
@apart
def test_an_exception_of_every_model_at_once(built, rng):
    barrier, errors = threading.Barrier(4), []

    def bad(first, losses):
        barrier.wait()
        errors.append(ValueError(f"model {len(errors)}"))
        raise errors[-1]

    sweep = built.Sweep(*data(rng), 10)
    for _ in range(4):
        sweep.add(0.001, bad)
    sweep.start(1000)
    with pytest.raises(ValueError, match="model") as caught:
        sweep.wait()
    assert any(caught.value is one for one in errors), f"wait() raised {caught.value!r}, which no on_block has raised"


@pytest.mark.finds("error-path", at="def wait")
@apart
def test_the_first_exception_is_the_one_that_is_raised(built, library, rng):
    """What follows is often a consequence of it."""
    entered = threading.Event()

    def first(first, losses):
        entered.wait()
        raise LookupError("the first")

    def second(first, losses):
        entered.set()
        while library.sgd_running() > 1:  # until the other model has ended, by its exception
            time.sleep(0)
        raise ValueError("the second")

    sweep = built.Sweep(*data(rng), 10)
    for on_block in (first, second):
        sweep.add(0.001, on_block)
    sweep.start(1000)
    try:
        sweep.wait()
    except (LookupError, ValueError) as error:
        got = repr(error)
    else:
        got = "nothing"
    want = repr(LookupError("the first"))
    assert got == want, f"one on_block raised {want}, another one later: wait() raised {got}"


@pytest.mark.parametrize("call", ["wait", "close"])
@apart
def test_no_model_waits_for_itself(built, library, artifact, rng, call):
    got = []

    def on_block(first, losses):
        try:
            getattr(sweep, call)()
            got.append("returned")
        except BaseException as error:  # noqa: BLE001 - any kind may come out
            got.append(type(error).__name__)
        return True

    sweep = built.Sweep(*data(rng), 10)
    sweep.add(0.001, on_block)
    sweep.start(100)
    assert sweep.wait() == [10], "wait() doesn't return the steps that each model has done"
    if got != ["RuntimeError"]:
        place = find_symbol(artifact, call)
        text = f"{call}() in an on_block would wait for itself and the library refuses: got {got}, want a RuntimeError"
        raise Defects(Finding("error-path", text, "progress.py", place and place.line))
    sweep.close()
    assert library.sgd_live() == 0, f"after {call}() in an on_block the sweep can't be closed any more"


@pytest.mark.finds("error-path", at="def add(self, rate")
@apart
def test_a_started_sweep_takes_no_more_models(built, rng):
    sweep, told, late = built.Sweep(*data(rng), 10), Recorder(), Recorder()
    sweep.add(0.001, told)
    sweep.start(100)
    try:
        sweep.add(0.001, late)
    except RuntimeError:
        pass
    else:
        raise AssertionError("sgd_add refused a model (the sweep has been started), and add() said nothing")
    assert sweep.wait() == [100], "after a refused add(), wait() must return the steps of the models that are there"
    late = weakref.ref(late)
    gc.collect()
    assert late() is None, "the on_block of a model that was refused is kept"


@pytest.mark.finds("use-after-free", at="def close")
@apart
def test_close_ends_and_frees_once(built, library, rng):
    sweep, told = built.Sweep(*data(rng), 10), Recorder()
    sweep.add(0.001, told)
    sweep.start(1 << 40)
    sweep.close()
    assert library.sgd_running() == 0, "close() came back while threads of the library still ran"
    assert library.sgd_live() == 0, "close() left the sweep alive"
    sweep.close()
    for name, args in (("wait", ()), ("stop", ()), ("start", (5,)), ("add", (0.1, told))):
        try:
            getattr(sweep, name)(*args)
        except ValueError:
            continue
        raise AssertionError(f"{name}() of a closed sweep went through to the library: want a ValueError")
    del sweep
    gc.collect()
    assert library.sgd_bad_frees() == 0, "the sweep was freed by close() and once more when the object died"


@pytest.mark.finds("error-path", at="def wait")
@apart
def test_stop_ends_all_models(built, rng):
    sweep, begun = built.Sweep(*data(rng), 10), threading.Event()
    for _ in range(3):
        sweep.add(0.001, lambda first, losses: begun.set())
    sweep.start(1 << 40)
    begun.wait()
    sweep.stop()
    steps = sweep.wait()
    assert [step % 10 for step in steps] == [0, 0, 0], f"wait() returned {steps} after stop(): no whole blocks"
    assert sweep.wait() == steps, "a second wait() returns something else"


class Plain:
    """Early stopping, loss by loss."""

    def __init__(self, patience):
        self.patience, self.best, self.best_step, self.stopped_at = patience, float("inf"), None, None

    def __call__(self, first, losses):
        for step, loss in enumerate(losses.tolist(), first):
            if self.stopped_at is not None:
                return True
            if self.best_step is None:
                self.best_step = step
            if loss < self.best:
                self.best, self.best_step = loss, step
            elif step - self.best_step >= self.patience:
                self.stopped_at = step
        return self.stopped_at is not None


def compare(built, patience, first, blocks):
    mine, plain = built.EarlyStopping(patience), Plain(patience)
    for block in blocks:
        losses = np.array(block, np.float32)
        got, want = mine(first, losses.copy()), plain(first, losses)
        said = f"patience {patience}, losses {block} from step {first} on (of {blocks})"
        assert bool(got) == want, f"{said}: returned {got}, want {want}"
        for name in ("stopped_at", "best_step", "best"):
            a, b = getattr(mine, name), getattr(plain, name)
            assert a == b, f"{said}: {name} is {a}, want {b}"
        first += len(block)


PHASES = (Phase.generate, Phase.shrink)
LOSSES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=12)
STARTS = st.sampled_from([0, 1, 1000, (1 << 53) + 1, (1 << 63) + 5])


@pytest.mark.finds("wrong-result", at="class EarlyStopping")
@settings(max_examples=150, deadline=None, database=None, phases=PHASES)
@given(patience=st.integers(1, 9), first=STARTS, blocks=st.lists(LOSSES, min_size=1, max_size=6))
def test_stops_at_the_very_step(built, patience, first, blocks):
    compare(built, patience, first, blocks)


@pytest.mark.finds("wrong-result", at="class EarlyStopping")
def test_every_short_run(built):
    for losses in itertools.product((0.0, 1.0, 2.0), repeat=5):
        for patience in (1, 2, 3):
            compare(built, patience, 0, [losses])
            compare(built, patience, 0, [losses[:2], losses[2:]])


WILD = st.sampled_from([0.0, 1.0, 2.0, float("inf"), float("nan")])


@pytest.mark.finds("numerics", at="class EarlyStopping")
@settings(max_examples=150, deadline=None, database=None, phases=PHASES)
@given(
    patience=st.integers(1, 9),
    first=STARTS,
    blocks=st.lists(st.lists(WILD, min_size=1, max_size=8), min_size=1, max_size=5),
)
def test_losses_that_are_no_numbers(built, patience, first, blocks):
    compare(built, patience, first, blocks)


@pytest.mark.finds("wrong-result", at="class EarlyStopping")
@apart
def test_early_stopping_in_the_sweep(built, artifact, rng):
    rows, targets = data(rng)
    rates, block = (0.0, 0.001, 0.01, 10.0), 16  # one learns nothing, one diverges to infinity and NaN
    sweep, mine = built.Sweep(rows, targets, block), [built.EarlyStopping(60) for _ in rates]
    plain, told = [Plain(60) for _ in rates], []
    for rate, stopping in zip(rates, mine, strict=True):
        told.append(Recorder(stopping))
        sweep.add(rate, told[-1])
    steps = train(artifact, sweep, 5000)
    for i, (one, want) in enumerate(zip(told, plain, strict=True)):
        want(0, one.losses)
        got = (mine[i].best, mine[i].best_step, mine[i].stopped_at)
        asked = (want.best, want.best_step, want.stopped_at)
        assert got == asked, f"model {i} (rate {rates[i]:g}): (best, best_step, stopped_at) is {got}, want {asked}"
        last = steps[i] if want.stopped_at is None else (want.stopped_at // block + 1) * block
        assert steps[i] == last, f"model {i} should have ended at step {want.stopped_at}, and did {steps[i]} steps"
