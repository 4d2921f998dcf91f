"""Past runs of one exercise as the history keeps them: the speed over the saves, and what fails again and again."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from tutor.core.verdict import Outcome, Seconds, Verdict

KEPT = 200


class PastRun(Struct, frozen=True):
    """One run that is over. `code` and `message` are those of its worst finding, `speeds` the speedup by case.

    defects: (code, type) of all its findings.
    """

    at: float
    digest: str
    verdict: Outcome
    code: str = ""
    message: str = ""
    speeds: Mapping[str, float] = field(default_factory=dict)
    seconds: Seconds = field(default_factory=Seconds)
    defects: frozenset[tuple[str, str]] = frozenset()


def past_run(at: float, verdict: Verdict) -> PastRun:
    """What the history keeps of a verdict."""
    worst = verdict.worst
    code, message = (worst.code, worst.message.strip().partition("\n")[0]) if worst else ("", "")
    speeds = {result.case: result.speedup for result in verdict.bench}
    defects = frozenset((one.code, one.type) for one in verdict.findings)
    return PastRun(at, verdict.digest, verdict.verdict, code, message, speeds, verdict.seconds, defects)


def from_record(record: Mapping[str, Any]) -> PastRun | None:
    """A line of the history; None for one that another version wrote in another way."""
    try:
        worst = min(record["findings"], key=_badness, default=None) or {"code": "", "message": ""}
        took = {name: float(record["seconds"].get(name, 0.0)) for name in Seconds.__struct_fields__}
        return PastRun(
            float(record["at"]),
            str(record["digest"]),
            Outcome(record["verdict"]),
            str(worst["code"]),
            str(worst["message"]).strip().partition("\n")[0],
            {str(case["case"]): float(case["speedup"]) for case in record["bench"]},
            Seconds(**took),
            frozenset((str(one["code"]), str(one["type"])) for one in record["findings"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _badness(finding: Mapping[str, Any]) -> tuple[int, bool]:
    return {"error": 0, "warning": 1}.get(finding["severity"], 2), finding["line"] is None


def versions(runs: Iterable[PastRun]) -> tuple[PastRun, ...]:
    """One run a version of the code: of those that follow each other with the same content, the last."""
    kept: list[PastRun] = []
    for run in runs:
        if kept and kept[-1].digest == run.digest:
            kept.pop()
        kept.append(run)
    return tuple(kept)


def since(runs: Iterable[PastRun], code: str, type: str) -> tuple[PastRun, int] | None:
    """The first version of the unbroken row, up to the newest, that has this defect, and how many there are."""
    row = list(itertools.takewhile(lambda run: (code, type) in run.defects, reversed(versions(runs))))
    return (row[-1], len(row)) if row else None


def speeds(runs: Iterable[PastRun], case: str) -> tuple[float, ...]:
    """The speedup of a case in every version that was measured, oldest first."""
    return tuple(run.speeds[case] for run in versions(run for run in runs if case in run.speeds))


def speed_of(runs: Sequence[PastRun], digest: str) -> float | None:
    """The slowest case of the last run that measured this version; None when none did."""
    measured = (run.speeds for run in reversed(runs) if run.digest == digest and run.speeds)
    return min(next(measured, {}).values(), default=None)
