"""The benchmark: ratios of known work, and outputs, inputs and clocks that don't hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from worker_harness import Planted, ZygoteClient, outcome

from tutor.core import protocol
from tutor.core.verdict import BenchResult

KNOWN = """
from tutor.worker.case import Case

def spend(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total

def make(rng):
    return (int(rng.integers(2000, 2004)),)

def settled(inputs, got, want):
    assert (got, want) == ([False], [True]), f"settled before the calls: {got}, {want}"

CASES = {
    "known": Case(make=make, learner=lambda built, n: spend(n), baseline=lambda n: (spend(n), spend(n), spend(n))[0]),
    "mine": Case(make=lambda rng: (rng.random(50),), learner=lambda built, x: built.f(x), baseline=lambda x: x * 2.0,
                 bytes=800, flops=50),
    "in place": Case(make=lambda rng: (rng.random(50),), learner=lambda built, x: built.g(x),
                     baseline=lambda x: x.__imul__(2.0) is None or None, mutates=True),
    "prepared": Case(make=lambda rng: (float(rng.random()),), prepare=lambda built, inputs: (inputs[0] * 2,),
                     learner=lambda built, x: x * 2, baseline=lambda x: x * 4),
    "settled": Case(make=lambda rng: ([],), settle=lambda built, inputs: inputs[0].append(built is None), mutates=True,
                    learner=lambda built, x: list(x), baseline=lambda x: list(x), verify=settled),
}
"""


@pytest.fixture
def bench(zygote: ZygoteClient, lesson: Callable[..., Path], planted: Planted, tmp_path: Path):
    """Benchmark one case with a Python module of the given text."""

    def measure(case: str, text: str = "", target: float = 1.0, against: str | None = None, **options: object):
        artifacts = []
        for name, body in (("mine", text), ("theirs", against)):
            folder = tmp_path / name
            folder.mkdir()
            source = folder / "mine.py"
            source.write_text(body or "")
            artifact = protocol.Artifact("python", "mine", sys_path=(str(folder),), sources={"mine.py": str(source)})
            artifacts.append(artifact if body is not None else None)
        wanted = protocol.BenchCaseRequest(case, "a baseline", target)
        options.setdefault("budget_seconds", 1.5)
        request = protocol.Bench(
            zygote.run_id(), "t", str(lesson("", KNOWN)), artifacts[0], (wanted,), artifacts[1], **options
        )
        return zygote.finish(request)

    return measure


def final(replies: list[protocol.Reply]) -> BenchResult:
    (result,) = [r.result for r in replies if isinstance(r, protocol.Benched) and r.final]
    return result


def test_three_times_the_work_measures_as_three(bench) -> None:
    replies = bench("known", target=2.0)
    result = final(replies)
    assert outcome(replies).done.outcome == "ok"
    assert result.pairs >= 7
    assert result.low <= result.speedup <= result.high
    assert 2.0 < result.speedup < 4.5
    assert result.met in (True, None)


def test_both_sides_are_settled_right_before_their_calls(bench) -> None:
    assert final(bench("settled")).pairs >= 7


def test_target_out_of_reach_is_not_met(bench) -> None:
    assert final(bench("known", target=30.0)).met is False


def test_two_builds_are_compared(bench) -> None:
    slow = "def f(x):\n    for _ in range(40):\n        y = x * 2.0\n    return y\n"
    fast = "def f(x):\n    return x * 2.0\n"
    result = final(bench("mine", slow, against=fast, against_name="solution"))
    assert result.against == "solution"
    assert result.speedup < 0.5


def test_prepared_inputs_reach_the_learner(bench) -> None:
    assert final(bench("prepared")).pairs >= 1


def test_in_place_work_is_verified(bench) -> None:
    assert final(bench("in place", "def g(x):\n    x *= 2.0\n")).pairs >= 1


WRONG = {
    "wrong value": ("mine", "def f(x):\n    return x * 2.0 + 1e-3\n", "wrong-result"),
    "wrong after a while": (
        "mine",
        "n = 0\ndef f(x):\n    global n\n    n += 1\n    return x * 2.0 if n < 40 else x\n",
        "wrong-result",
    ),
    "lazy": (
        "mine",
        "class Lazy:\n    def __init__(self, x): self.x = x\n    def __array__(self, *a, **k): return self.x * 2.0\n"
        "    def __eq__(self, other): return True\n\ndef f(x):\n    return Lazy(x)\n",
        "wrong-result",
    ),
    "cached": ("mine", "kept = []\ndef f(x):\n    kept.append(x * 2.0)\n    return kept[0]\n", "wrong-result"),
    "input changed": ("mine", "def f(x):\n    y = x * 2.0\n    x[0] = 9\n    return y\n", "wrong-result"),
    "not done in place": ("in place", "def g(x):\n    x = x * 2.0\n", "wrong-result"),
    "raises": ("mine", "def f(x):\n    raise ValueError('no')\n", "wrong-result"),
    "clock": ("mine", "import time\ntime.perf_counter_ns = lambda: 0\ndef f(x):\n    return x * 2.0\n", "forbidden"),
    "baseline slowed": (
        "mine",
        "import sys, time\ndef f(x):\n    m = sys.modules['mltutor_bench']\n    m.spend = None\n    return x * 2.0\n",
        "forbidden",
    ),
    "exits": ("mine", "import os\ndef f(x):\n    os._exit(0)\n", "forbidden"),
    "hangs": ("mine", "def f(x):\n    while True: pass\n", "timeout"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_benchmark_fails(bench, name: str) -> None:
    case, text, code = WRONG[name]
    limits = protocol.Limits(seconds=1.0 if name == "hangs" else 30.0)
    replies = bench(case, text, limits=limits)
    done = outcome(replies).done
    assert done.outcome == "failed", done
    assert done.result is not None
    assert done.result.findings[0].code == code
    assert not any(isinstance(r, protocol.Benched) and r.final for r in replies)


def test_unknown_case_is_our_mistake(bench) -> None:
    done = outcome(bench("no such case")).done
    assert done.outcome == "broken"
    assert "no such case" in done.message


def test_what_a_case_moves_and_computes_is_told_with_its_times(bench) -> None:
    replies = bench("mine", "def f(x): return x * 2.0")
    final = next(r.result for r in replies if isinstance(r, protocol.Benched) and r.final)
    assert (final.bytes, final.flops) == (800, 50)


def test_a_case_that_says_nothing_moves_nothing(bench) -> None:
    final = next(r.result for r in bench("known") if isinstance(r, protocol.Benched) and r.final)
    assert (final.bytes, final.flops) == (0, 0)
