"""The verdict of a run: what was built, checked and measured, and the `--json` document made of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from tutor.core.exercise import Stage
from tutor.core.finding import Finding, Severity

SCHEMA = 1


class Outcome(StrEnum):
    """What became of a check or a whole run."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    SKIPPED = "skipped"


class CallReport(Struct, frozen=True):
    """One row of the references table: how many references of an object a call gains. `per_call` may be 0."""

    what: str
    type: str
    per_call: float
    place: str = ""
    series: tuple[float, ...] = ()


class GilReport(Struct, frozen=True):
    """When one call held the GIL. Seconds; `strip` is the share (0 to 1) of each equal part of the call without it."""

    what: str
    seconds: float
    released: float
    longest_held: float
    strip: tuple[float, ...] = ()


class MemoryReport(Struct, frozen=True):
    """What one call keeps for good, and how much more it needed while it ran: bytes, None where not measured."""

    what: str
    leaked: float | None = None
    peak: int | None = None


class CheckResult(Struct, frozen=True):
    """One check: `message` is a short explanation, `detail` the long one, `output` what the learner printed."""

    id: str
    outcome: Outcome
    message: str = ""
    detail: str = ""
    output: str = ""
    findings: tuple[Finding, ...] = ()
    references: tuple[CallReport, ...] = ()
    gil: tuple[GilReport, ...] = ()
    memory: tuple[MemoryReport, ...] = ()
    seconds: float = 0.0


class BenchResult(Struct, frozen=True):
    """One benchmark case. Times are medians in seconds per call; `speedup` = baseline / learner with its interval.

    bytes, flops: what a call must move and compute at least, where the case declares it. gpu: it was timed there.
    note: what makes the figure worth less than others (noise, other work, a shared GPU).
    """

    case: str
    baseline: str
    speedup: float
    low: float
    high: float
    target: float
    met: bool | None
    gold: float | None = None
    gated: bool = True
    seconds: float = 0.0
    baseline_seconds: float = 0.0
    against: str = "baseline"
    pairs: int = 0
    note: str = ""
    bytes: int = 0
    flops: int = 0
    gpu: bool = False

    @property
    def conclusive(self) -> bool:
        """False when the machine was too noisy to say whether the target is met."""
        return self.met is not None


class Seconds(Struct, frozen=True):
    """Wall seconds by stage; `total` runs from the save (or the request) to the last event."""

    build: float = 0.0
    check: float = 0.0
    diagnose: float = 0.0
    bench: float = 0.0
    total: float = 0.0


class Verdict(Struct, frozen=True):
    """The result of one run over one digest of the learner's files. `stage` is the last stage that ran."""

    exercise: str
    digest: str
    verdict: Outcome
    stage: Stage
    checks: tuple[CheckResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    bench: tuple[BenchResult, ...] = ()
    seconds: Seconds = field(default_factory=Seconds)
    message: str = ""
    remedy: str = ""

    @property
    def passed(self) -> bool:
        """True only when everything announced has passed."""
        return self.verdict is Outcome.PASS

    @property
    def worst(self) -> Finding | None:
        """The finding to show first: errors before warnings, those with a line before those without."""
        order = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
        return min(self.findings, key=lambda f: (order[f.severity], f.line is None), default=None)

    def joined(self, found: tuple[Finding, ...], seconds: float = 0.0) -> Verdict:
        """The same verdict with what the second wave found: an error there fails a run that had passed."""
        if not found and not seconds:
            return self
        errors = [one for one in found if one.severity is Severity.ERROR]
        fails = self.verdict is Outcome.PASS and bool(errors)
        return replace(
            self,
            verdict=Outcome.FAIL if fails else self.verdict,
            stage="diagnose" if fails else self.stage,
            message=errors[0].message if fails else self.message,
            findings=self.findings + found,
            seconds=replace(self.seconds, diagnose=self.seconds.diagnose + seconds, total=self.seconds.total + seconds),
        )

    def document(self) -> dict[str, Any]:
        """The `--json` document: exactly the keys that the command line promises, plus `message` and `remedy`."""
        return {
            "schema": SCHEMA,
            "exercise": self.exercise,
            "digest": self.digest,
            "verdict": str(self.verdict),
            "stage": self.stage,
            "message": self.message,
            "remedy": self.remedy,
            "checks": [{"id": c.id, "outcome": str(c.outcome), "message": c.message} for c in self.checks],
            "findings": [finding_document(f) for f in self.findings],
            "bench": [bench_document(b) for b in self.bench],
            "seconds": {name: round(getattr(self.seconds, name), 4) for name in Seconds.__struct_fields__},
        }


def finding_document(finding: Finding) -> dict[str, Any]:
    """One entry of `findings[]`."""
    return {
        "code": finding.code,
        "message": finding.message,
        "file": finding.file,
        "line": finding.line,
        "type": finding.type,
        "per_call": finding.per_call,
        "severity": str(finding.severity),
    }


def bench_document(bench: BenchResult) -> dict[str, Any]:
    """One entry of `bench[]`."""
    return {
        "case": bench.case,
        "baseline": bench.baseline,
        "speedup": round(bench.speedup, 3),
        "low": round(bench.low, 3),
        "high": round(bench.high, 3),
        "target": bench.target,
        "met": bench.met,
    }
