"""Timing by device events, on a GPU that only counts: what is queued when, and what is taken for the calls' time."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tutor.worker import sides  # noqa: E402 - after the skip


class FakeGpu:
    """A queue with a clock: a sleep takes a millisecond for a million cycles, a kernel two milliseconds."""

    def __init__(self) -> None:
        self.now, self.said = 0.0, []

    def synchronize(self) -> None:
        self.said.append("synchronize")

    def sleep(self, cycles: int) -> None:
        self.now += cycles / 1e6
        self.said.append("sleep")

    def kernel(self, x: int) -> int:
        self.now += 2.0
        self.said.append("kernel")
        return -x


def fake_event(gpu: FakeGpu) -> type:
    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = gpu.now
            gpu.said.append("event")

        def elapsed_time(self, later: Event) -> float:
            return later.at - self.at

    return Event


def test_the_calls_are_queued_behind_a_wait_that_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu()
    monkeypatch.setattr(torch.cuda, "Event", fake_event(gpu))
    monkeypatch.setattr(torch.cuda, "synchronize", gpu.synchronize)
    monkeypatch.setattr(torch.cuda, "_sleep", gpu.sleep)
    outputs, seconds, held = sides._time_on_device(gpu.kernel, [(1,), (2,), (3,)])
    assert outputs == [-1, -2, -3]
    assert seconds == pytest.approx(0.006)
    assert held == pytest.approx(0.0012)
    assert gpu.said == ["synchronize", "event", "sleep", "event", *["kernel"] * 3, "event", "synchronize"]


def test_on_the_cpu_nothing_is_held_back() -> None:
    outputs, seconds, held = sides._time_calls(abs, [(-1,), (-2,)])
    assert (outputs, held) == ([1, 2], 0.0)
    assert seconds > 0


def test_what_settles_before_each_call_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = 0, []

    def settle(each: tuple[int]) -> None:
        nonlocal now
        now += 5_000_000
        said.append(f"settle {each[0]}")

    def call(number: int) -> int:
        nonlocal now
        now += 1_000
        said.append(f"call {number}")
        return -number

    monkeypatch.setattr(sides, "_clock", lambda: now)
    outputs, seconds, held = sides._time_settled(call, [(1,), (2,)], settle)
    assert outputs == [-1, -2]
    assert said == ["settle 1", "call 1", "settle 2", "call 2"]
    assert (seconds, held) == (pytest.approx(2e-6), pytest.approx(0.01))
