"""The rules that turn what checks and benchmarks reported into an outcome: nothing unreported ever passes.

An undecided benchmark (the target lies inside a wide interval) is measured once more for twice as long; then the point
estimate decides, and the message and a note finding say that the machine was too noisy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tutor.core import protocol as p
from tutor.core.exercise import Exercise
from tutor.core.finding import Finding, Severity
from tutor.core.verdict import BenchResult, CheckResult, Outcome

NOISY = "inconclusive: machine too noisy"


def judge_checks(
    announced: tuple[str, ...], reported: Mapping[str, CheckResult], done: p.Done
) -> tuple[Outcome, str, tuple[CheckResult, ...]]:
    """Outcome, message, and a failed result for every announced check that never reported."""
    silent = tuple(_silent(name) for name in announced if name not in reported)
    results = (*reported.values(), *silent)
    if not results:
        return Outcome.ERROR, done.message or "no checks were found for this exercise", ()
    count = Counter(result.outcome for result in results)
    bad = next((r for r in results if r.outcome in (Outcome.FAIL, Outcome.ERROR)), None)
    if bad is not None:
        outcome = Outcome.FAIL if count[Outcome.FAIL] else Outcome.ERROR
        message = f"{count[Outcome.FAIL] + count[Outcome.ERROR]} of {len(results)} checks fail"
        return outcome, message, silent
    if done.outcome != "ok":
        return Outcome.FAIL, done.message or "the checks did not end well", silent
    if count[Outcome.SKIPPED] == len(results):
        return Outcome.SKIPPED, results[0].message or "every check was skipped", silent
    if count[Outcome.SKIPPED]:
        return Outcome.PASS, f"{count[Outcome.SKIPPED]} of {len(results)} checks skipped", silent
    return Outcome.PASS, "", silent


def _silent(name: str) -> CheckResult:
    message = "this check never reported: its process ended too early"
    return CheckResult(name, Outcome.FAIL, message, findings=(Finding("forbidden", message),))


def undecided(bench: Mapping[str, BenchResult]) -> frozenset[str]:
    """The gated cases whose interval does not tell whether the target is met."""
    return frozenset(name for name, result in bench.items() if result.gated and not result.conclusive)


def judge_bench(
    exercise: Exercise, bench: Mapping[str, BenchResult], against: str = "baseline"
) -> tuple[Outcome, str, tuple[Finding, ...]]:
    """Outcome, message and findings. Against another version of the code targets do not apply and all is a pass."""
    if against != "baseline":
        return Outcome.PASS, "", ()
    findings = tuple(f for result in bench.values() if result.gated for f in _judge_case(exercise, result))
    slow = [f for f in findings if f.severity is Severity.ERROR]
    if slow:
        return Outcome.FAIL, slow[0].message, findings
    return Outcome.PASS, findings[0].message if findings else "", findings


def _judge_case(exercise: Exercise, result: BenchResult) -> tuple[Finding, ...]:
    if result.met:
        return ()
    measured = f"{result.case}: {result.speedup:.2f}x {result.baseline}, the target is {result.target:g}x"
    noisy = f" ({NOISY}, {result.low:.2f}x to {result.high:.2f}x)" if not result.conclusive else ""
    if not result.conclusive and result.speedup >= result.target:
        return (Finding("slow", measured + noisy, exercise.main_file, severity=Severity.NOTE),)
    return (Finding("slow", measured + noisy, exercise.main_file),)
