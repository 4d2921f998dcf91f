"""The benchmark's driver: interleaved pairs from one or two side processes until the interval says enough."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import msgspec

from tutor.core import protocol, stats
from tutor.core.finding import Finding
from tutor.core.verdict import BenchResult, CheckResult, Outcome
from tutor.worker import cuda
from tutor.worker.channel import Channel, Envelope
from tutor.worker.child import Child, Watch
from tutor.worker.context import fresh_seed
from tutor.worker.deaths import explain_death
from tutor.worker.sides import Sample, Timing, serve_side

Send = Callable[[protocol.Reply], None]

Pair = tuple[float, float]

SAMPLE_SECONDS = 1.5e-3
UNTIMED_SECONDS = 0.03
MOST_CALLS = 1000
_TELL_EVERY = 0.1
_CALIBRATIONS = 8
_CLOCK_EXCESS = 3e-3


class Stopped(Exception):
    """A side failed or died; carries the learner's result, or None when the mistake is ours."""

    def __init__(self, result: CheckResult) -> None:
        super().__init__(result.message)
        self.result = result


def run_bench(request: protocol.Bench, send: Send, *, device: bool = False) -> None:
    """Measure every case; a wrong output, a crash or a limit ends the run as `failed`."""
    started = time.monotonic()
    random_order = random.Random(request.seed)
    lock: contextlib.AbstractContextManager[bool] = cuda.locked(cuda.visible_device()) if device else _no_lock()
    with lock as free:
        for wanted in request.cases:
            send(protocol.Started(request.run_id, wanted.case))
            measurement = Measurement(request, wanted, random_order, device=device, contended=not free)
            try:
                send(protocol.Benched(request.run_id, measurement.run(send), True))
            except Stopped as stop:
                outcome: Any = "broken" if stop.result.outcome is Outcome.ERROR else "failed"
                text = stop.result.output if outcome == "broken" else stop.result.message
                send(protocol.Done(request.run_id, outcome, text, time.monotonic() - started, stop.result))
                return
    send(protocol.Done(request.run_id, "ok", seconds=time.monotonic() - started))


@contextlib.contextmanager
def _no_lock() -> Any:
    yield True


class Measurement:
    """One case: its side processes and the samples so far."""

    def __init__(
        self,
        request: protocol.Bench,
        wanted: protocol.BenchCaseRequest,
        order: random.Random,
        *,
        device: bool,
        contended: bool,
    ) -> None:
        self._request, self._wanted, self._order, self._device = request, wanted, order, device
        self._contended = contended
        self._watch = Watch()
        self._seed = request.seed or fresh_seed()
        self._pairs: list[Pair] = []
        self._disturbed: list[Pair] = []
        self._windows: list[tuple[float, float]] = []
        self._opened = 0.0
        self._work = (0, 0)

    def run(self, send: Send) -> BenchResult:
        """Calibrate, then take pairs until the stop rule or the budget ends it. Raises Stopped."""
        learner = self._fork(self._request.artifact)
        rival = self._fork(self._request.against) if self._request.against else None
        try:
            for side in filter(None, (learner, rival)):
                self._work = msgspec.json.decode(self._await(side, "ready").body, type=tuple[int, int])
            counts = self._calibrate(learner, rival)
            result = self._take_pairs(learner, rival, counts, send)
        finally:
            for side in list(self._watch.children.values()):
                self._watch.end(side)
        self._check_clock()
        return result

    def _fork(self, artifact: protocol.Artifact) -> Child:
        folder, case, device = self._request.folder, self._wanted.case, self._device

        def body(channel: Channel) -> None:
            serve_side(channel, folder, case, artifact, device)

        return self._watch.fork(f"benchmark {case}", body, self._request.limits)

    def _await(self, child: Child, kind: str) -> Envelope:
        while True:
            while child.messages:
                message = child.messages.pop(0)
                self._note_window(message)
                if message.kind == kind:
                    return message
                if message.kind == "failed":
                    raise Stopped(msgspec.json.decode(message.body, type=CheckResult))
            if child.status is not None:
                raise Stopped(explain_death(child, self._request.artifact, self._request.limits))
            self._watch.step()

    def _note_window(self, message: Envelope) -> None:
        """The supervisor's own clock between `begin` and `end`, beside what the side says it took."""
        if message.kind == "begin":
            self._opened = time.monotonic()
        elif message.kind == "end":
            self._windows.append((time.monotonic() - self._opened, msgspec.json.decode(message.body, type=float)))

    def _check_clock(self) -> None:
        """A side whose clock runs slower than the supervisor's has tampered with it."""
        # The least excess of all samples: a busy machine delays some of them, a slow clock makes every one short.
        excess = min((window - said for window, said in self._windows), default=0.0)
        usual = median(said for _, said in self._windows) if self._windows else 0.0
        if len(self._windows) >= stats.MIN_PAIRS and excess > max(_CLOCK_EXCESS, usual):
            text = "the times that the benchmark measured are shorter than the time that passed"
            name = f"benchmark {self._wanted.case}"
            raise Stopped(CheckResult(name, Outcome.FAIL, text, findings=(Finding("forbidden", text),)))

    def _sample(self, child: Child, count: int, baseline_count: int) -> Timing:
        self._seed += 1
        sample = Sample(self._seed, count, baseline_count, self._order.random() < 0.5)
        child.inbox.send(msgspec.json.encode(sample))
        return msgspec.json.decode(self._await(child, "timing").body, type=Timing)

    def _calibrate(self, learner: Child, rival: Child | None) -> tuple[int, int]:
        """Calls a sample of each side: about SAMPLE_SECONDS, less where making or verifying so many is slow.

        Also the warm-up: nothing measured here counts.
        """
        count = other = 1
        for attempt in range(_CALIBRATIONS):
            timing = self._sample(learner, count, 1 if rival else other)
            theirs = self._sample(rival, other, 1).learner if rival else timing.baseline
            # An untimed baseline call goes with every learner's call beyond the timed ones: it says what is right.
            untimed = timing.make * 2 + timing.verify / count
            most = max(1, min(MOST_CALLS, int(UNTIMED_SECONDS / max(untimed, 1e-6))))
            new = min(most, count * 16, _calls_for(timing.learner)), min(most, other * 16, _calls_for(theirs))
            # The first samples are cold: they may only end this when one call fills a sample anyway.
            settled = all(old / 2 <= wanted <= old * 2 for old, wanted in zip((count, other), new, strict=True))
            if settled and (attempt >= 2 or min(timing.learner, theirs) > SAMPLE_SECONDS):
                break
            count, other = new
        return count, other

    def _pair(self, learner: Child, rival: Child | None, counts: tuple[int, int]) -> tuple[Pair, bool]:
        """Seconds a call of both sides, and whether the kernel interrupted one of them."""
        count, other = counts
        if rival is None:
            timing = self._sample(learner, count, other)
            return (timing.learner, timing.baseline), timing.disturbed
        sides = [(learner, count), (rival, other)]
        first = int(self._order.random() < 0.5)
        timings = {}
        for index in (first, 1 - first):
            child, calls = sides[index]
            timings[index] = self._sample(child, calls, 1)
        return (timings[0].learner, timings[1].learner), timings[0].disturbed or timings[1].disturbed

    def _take_pairs(self, learner: Child, rival: Child | None, counts: tuple[int, int], send: Send) -> BenchResult:
        wanted, budget = self._wanted, self._request.budget_seconds
        started = told = time.monotonic()
        while True:
            pair, disturbed = self._pair(learner, rival, counts)
            (self._disturbed if disturbed else self._pairs).append(pair)
            now = time.monotonic()
            late = now - started > budget
            very_late = now - started > 3 * budget
            if late and (very_late or len(self._pairs) + len(self._disturbed) >= stats.MIN_PAIRS):
                break
            if len(self._pairs) < 3:
                continue
            if stats.enough(_ratio(self._pairs), wanted.target, wanted.gold):
                break
            if now - told >= _TELL_EVERY:
                told = now
                send(protocol.Benched(self._request.run_id, self._result(final=False), False))
        if len(self._pairs) < stats.MIN_PAIRS:
            # Calls too long, or a machine too busy, to ever get a core undisturbed: the interval shows it.
            self._pairs += self._disturbed
        return self._result(final=True)

    def _result(self, *, final: bool) -> BenchResult:
        wanted, ratio = self._wanted, _ratio(self._pairs)
        met = stats.meets(ratio, wanted.target) if final and ratio.pairs >= stats.MIN_PAIRS else None
        return BenchResult(
            wanted.case,
            wanted.baseline,
            ratio.value,
            ratio.low,
            ratio.high,
            wanted.target,
            met,
            wanted.gold,
            wanted.gated,
            median(mine for mine, _ in self._pairs),
            median(theirs for _, theirs in self._pairs),
            self._request.against_name if self._request.against else "baseline",
            ratio.pairs,
            self._note(ratio, met) if final else "",
            *self._work,
            self._device,
        )

    def _note(self, ratio: stats.Ratio, met: bool | None) -> str:
        """What makes this figure worth less than others; empty for one that was taken undisturbed."""
        parts = []
        if met is None:
            parts.append(f"too noisy to say: 95 % between {ratio.low:.2f} and {ratio.high:.2f}")
        if len(self._disturbed) > len(self._pairs) / 4:
            parts.append(f"{len(self._disturbed)} pairs were interrupted by other work on this machine")
        if self._contended:
            parts.append("contended: another benchmark held this GPU")
        return ", ".join(parts)


def _ratio(pairs: list[Pair]) -> stats.Ratio:
    return stats.paired_ratio([mine for mine, _ in pairs], [theirs for _, theirs in pairs])


def _calls_for(seconds: float) -> int:
    return max(1, math.ceil(SAMPLE_SECONDS / max(seconds, 1e-8)))
