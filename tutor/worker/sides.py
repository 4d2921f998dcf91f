"""One side of a benchmark, in a process of its own: makes inputs, times calls, verifies every output."""

from __future__ import annotations

import gc
import importlib.util
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.core.verdict import CheckResult, Outcome
from tutor.worker.case import Case
from tutor.worker.channel import Channel
from tutor.worker.context import prepare_process
from tutor.worker.defects import Defects
from tutor.worker.fixtures.calls import called_place
from tutor.worker.integrity import take
from tutor.worker.loading import load
from tutor.worker.sameness import assert_same

# Bound before learner code loads: replacing time.perf_counter_ns later changes nothing here.
_clock = time.perf_counter_ns
_monotonic = time.monotonic


def _switches(usage: Callable[[int], Any] = resource.getrusage, who: int = resource.RUSAGE_THREAD) -> int:
    """How often this thread has been made to give up its core."""
    return int(usage(who).ru_nivcsw)


class Sample(msgspec.Struct, frozen=True):
    """Time `count` calls of the learner's side and `baseline_count` of the baseline, each on inputs of its own."""

    seed: int
    count: int
    baseline_count: int
    learner_first: bool = True


class Timing(msgspec.Struct, frozen=True):
    """Seconds a call of both sides, and seconds that making an input and verifying all outputs took.

    disturbed: the kernel took the core away during the timed part, so the times say more about others than about it.
    """

    learner: float
    baseline: float
    make: float
    verify: float
    disturbed: bool = False


Timed = tuple[list[Any], float]
# For each call the GPU waits so many clock cycles, about 0.2 ms: longer than Python takes to launch it.
_HELD_CYCLES = 400_000


class WrongOutput(Exception):
    """A learner's output or input that is not what it must be."""


class Side:
    """Serves samples of one case for one artifact."""

    def __init__(self, channel: Channel, case: Case, artifact: Artifact, device: bool) -> None:
        if device and case.settle is not None:
            raise ValueError("a case on a GPU is timed as one queue: nothing can settle between its calls")
        self._channel, self._case, self._artifact = channel, case, artifact
        self._built = load(artifact)
        self._timed = _time_on_device if device else _time_calls

    def sample(self, wanted: Sample) -> Timing:
        """One interleaved pair; raises WrongOutput, or whatever the learner's code raises."""
        case, both = self._case, max(wanted.count, wanted.baseline_count)
        start = _clock()
        # In turn, so that the caches hold as much of the one side's inputs as of the other's.
        pairs = [(_make(case, wanted.seed, i), _make(case, wanted.seed, i)) for i in range(both)]
        raw, others = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        made = (_clock() - start) / 1e9 / both
        mine = [case.prepare(self._built, inputs) for inputs in raw] if case.prepare else raw
        theirs = self._baseline_inputs(others)
        learner = self._runner(case.learner, [(self._built, *inputs) for inputs in mine[: wanted.count]], self._built)
        baseline = self._runner(case.baseline, theirs[: wanted.baseline_count], None)
        order = (learner, baseline) if wanted.learner_first else (baseline, learner)
        with _quiet_collector():
            switches = _switches()
            timed = {run: run() for run in order}
            disturbed = _switches() > switches
        got, learner_seconds = timed[learner]
        want, baseline_seconds = timed[baseline]
        start = _clock()
        want += [case.baseline(*inputs) for inputs in theirs[wanted.baseline_count :]]
        for i, output in enumerate(got):
            self._verify(raw[i], others[i], output, want[i])
        verified = (_clock() - start) / 1e9
        mine_each, theirs_each = learner_seconds / len(got), baseline_seconds / wanted.baseline_count
        return Timing(mine_each, theirs_each, made, verified, disturbed)

    def _baseline_inputs(self, inputs: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        case, built = self._case, self._built
        if case.baseline_built:
            return [(built, *(case.prepare(built, each) if case.prepare else each)) for each in inputs]
        return [case.prepare_baseline(each) for each in inputs] if case.prepare_baseline else inputs

    def _runner(self, call: Callable[..., Any], arguments: list[tuple[Any, ...]], built: Any) -> Callable[[], Timed]:
        """Both sides tell the supervisor alike when they begin and end: what that disturbs, it disturbs in both."""
        settle, skip = self._case.settle, 0 if built is None else 1

        def run() -> Timed:
            self._channel.send("begin", None)
            if settle is None:
                outputs, seconds, held = self._timed(call, arguments)
            else:
                outputs, seconds, held = _time_settled(call, arguments, lambda each: settle(built, each[skip:]))
            self._channel.send("end", seconds + held)
            return outputs, seconds

        return run

    def _verify(self, inputs: tuple[Any, ...], others: tuple[Any, ...], got: Any, want: Any) -> None:
        case = self._case
        try:
            if case.verify is not None:
                case.verify(inputs, got, want)
            else:
                assert_same(got, want)
                if case.mutates:
                    assert_same(inputs, others, "the array changed in place")
            if not case.mutates:
                assert_same(inputs, others, "an input was changed by the call; inputs")
        except AssertionError as error:
            text = str(error).split("\nassert ", 1)[0].strip() or "the output of a timed call is wrong"
            raise WrongOutput("; ".join(line.strip() for line in text.splitlines()[:4] if line.strip())) from error

    def failure(self, name: str, error: BaseException) -> CheckResult:
        """The result of a sample that failed, on the line of the function that the case calls."""
        wrong = isinstance(error, WrongOutput)
        text = str(error) if wrong else f"{type(error).__name__}: {error}"
        return _failed(name, Finding("wrong-result", text), self._place())

    def _place(self) -> Any:
        return called_place(self._artifact, self._case.learner)


def _failed(name: str, finding: Finding, place: Any = None) -> CheckResult:
    placed = finding.at(place.file, place.line) if place and finding.line is None else finding
    return CheckResult(f"benchmark {name}", Outcome.FAIL, finding.message, findings=(placed,))


def _make(case: Case, seed: int, index: int) -> tuple[Any, ...]:
    import numpy as np

    made = case.make(np.random.default_rng([seed, index]))
    return made if isinstance(made, tuple) else (made,)


@contextmanager
def _quiet_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _time_calls(call: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> tuple[list[Any], float, float]:
    """All outputs, the seconds that all calls took together, and 0: nothing was held back."""
    outputs: list[Any] = [None] * len(arguments)
    start = _clock()
    for index, each in enumerate(arguments):
        outputs[index] = call(*each)
    return outputs, (_clock() - start) / 1e9, 0.0


def _time_settled(
    call: Callable[..., Any], arguments: list[tuple[Any, ...]], settle: Callable[[tuple[Any, ...]], None]
) -> tuple[list[Any], float, float]:
    """All outputs, the seconds of the calls alone, and those of settling, which comes right before each.

    Not before all of them: the inputs of ten calls are more than a core's caches hold.
    """
    outputs: list[Any] = [None] * len(arguments)
    timed, begun = 0, _clock()
    for index, each in enumerate(arguments):
        settle(each)
        start = _clock()
        outputs[index] = call(*each)
        timed += _clock() - start
    return outputs, timed / 1e9, (_clock() - begun - timed) / 1e9


def _time_on_device(call: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> tuple[list[Any], float, float]:
    """The same by device events: what the GPU took for all kernels, and the seconds that it was held back before.

    Until the calls are queued it waits: a kernel of 50 us would else be timed as the 100 us that Python takes to
    launch the next one. A call that waits for the GPU gets no such help.
    """
    import torch

    begin, first, last = (torch.cuda.Event(enable_timing=True) for _ in range(3))
    torch.cuda.synchronize()
    begin.record()
    torch.cuda._sleep(_HELD_CYCLES * len(arguments))
    first.record()
    outputs = [call(*each) for each in arguments]
    last.record()
    torch.cuda.synchronize()
    return outputs, float(first.elapsed_time(last)) / 1e3, float(begin.elapsed_time(first)) / 1e3


def load_case(folder: str, name: str) -> Case:
    """`CASES[name]` of the folder's bench.py; raises KeyError with the names there are."""
    spec = importlib.util.spec_from_file_location("mltutor_bench", Path(folder, "bench.py"))
    if spec is None or spec.loader is None:
        raise KeyError(f"{folder} has no bench.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mltutor_bench"] = module
    spec.loader.exec_module(module)
    cases: dict[str, Case] = module.CASES
    if name not in cases:
        raise KeyError(f"bench.py has no case {name!r}; it has {', '.join(cases)}")
    return cases[name]


def serve_side(channel: Channel, folder: str, name: str, artifact: Artifact, device: bool) -> None:
    """The body of a side's process: `ready` with bytes and flops, a `timing` a sample, or one `failed`; `touched`."""
    prepare_process(artifact)
    case = load_case(folder, name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    judge = sys.modules["mltutor_bench"]
    snapshot = take((judge,))
    try:
        side = Side(channel, case, artifact, device)
    except Defects as error:
        channel.send("failed", _failed(name, error.findings[0]))
        return
    channel.send("ready", (int(case.bytes), int(case.flops)))
    while line := channel.receive():
        try:
            timing = side.sample(msgspec.json.decode(line, type=Sample))
        except Exception as error:  # noqa: BLE001 - whatever the learner's code raises is its result
            channel.send("failed", side.failure(name, error))
            return
        touched = snapshot.replaced() + (["descriptors of the checker"] if channel.tampered() else [])
        if touched:
            finding = Finding("forbidden", f"your code replaced {', '.join(touched[:5])}")
            channel.send("failed", _failed(name, finding))
            return
        channel.send("timing", timing)
