"""The result of a run as text: build, checks, findings, speed and time, the thing to mend first in front."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tutor.cli.output import Output
from tutor.cli.render.measured import show_measured
from tutor.cli.render.source import show_place
from tutor.cli.render.speed import show_speed
from tutor.core.advice import advice
from tutor.core.exercise import Exercise
from tutor.core.finding import CODES, Finding, Severity
from tutor.core.history import PastRun
from tutor.core.roof import Roof
from tutor.core.verdict import CheckResult, Outcome, Verdict
from tutor.ui.measured import lasting
from tutor.ui.pictures import waterfall

STYLES = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.ERROR: "red", Outcome.SKIPPED: "yellow"}
_WORDS = {Outcome.PASS: "PASS", Outcome.FAIL: "FAIL", Outcome.ERROR: "ERROR", Outcome.SKIPPED: "SKIPPED"}
_WORST_FIRST = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
_SEVERITY_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_OUTPUT_LINES, _GROUPS, _MESSAGES, _CHECKS = 20, 8, 3, 8
_MESSAGE = 240  # letters of a check's message; its findings have the rest
_PRINTED = 400  # letters of one printed line: a loop that prints without an end writes one of a mebibyte


@dataclass(frozen=True, slots=True)
class Report:
    """A verdict with what is needed to show it: the learner's files, where they lie, raw output, the runs so far."""

    exercise: Exercise
    verdict: Verdict
    files: Mapping[str, bytes]
    place: str
    raw: str = ""
    cached: bool = False
    announced: int = 0
    past: tuple[PastRun, ...] = ()
    roof: Roof | None = None

    @property
    def lines(self) -> dict[str, list[str]]:
        """The learner's files as lines; bytes that are not UTF-8 become replacement characters."""
        return {name: content.decode(errors="replace").split("\n") for name, content in self.files.items()}


def show_report(output: Output, report: Report) -> None:
    """Print the whole report."""
    exercise, verdict = report.exercise, report.verdict
    output.text((exercise.id, "bold"), f"  {exercise.title}", (f"  {exercise.number}, {exercise.technology}", "dim"))
    output.raw(f"  {report.place}", "dim")
    _show_build(output, report)
    _show_checks(output, report)
    _show_findings(output, report)
    show_measured(output, verdict.checks)
    if verdict.bench:
        output.blank()
        output.text(("speed", "bold"), _took(verdict.seconds.bench))
        show_speed(output, verdict.bench, report.past, report.roof)
    output.blank()
    _show_seconds(output, report)
    show_verdict_line(output, verdict)


def show_verdict_line(output: Output, verdict: Verdict) -> None:
    """`PASS capi-refs`, or the outcome with why and what to do."""
    style = STYLES[verdict.verdict]
    why = f": {verdict.message}" if verdict.message else ""
    output.text((_WORDS[verdict.verdict], f"bold {style}"), f" {verdict.exercise}{why}")
    if verdict.remedy:
        output.text(verdict.remedy, indent=2)


def headline(output: Output, verdict: Verdict) -> str:
    """All of it in one sentence: the outcome, and what to mend first or how fast it was."""
    said = [_WORDS[verdict.verdict], *([verdict.message.partition("\n")[0]] if verdict.message else [])]
    first = next(iter(worst_first(verdict.findings)), None)
    if verdict.verdict is Outcome.FAIL and first is not None:
        place = f"{first.place}, " if first.place else ""
        said.append(f"mend first: {place}{first.code}: {_cut(output, first.message.partition(chr(10))[0], _MESSAGE)}")
    elif verdict.verdict is Outcome.PASS:
        said.append("1 check" if len(verdict.checks) == 1 else f"{len(verdict.checks)} checks")
        said.extend(f"{b.case} {b.speedup:.2f}{output.glyphs.times} {b.baseline}" for b in verdict.bench)
    return "; ".join(said)


def worst_first(findings: tuple[Finding, ...]) -> list[Finding]:
    """Errors, then warnings, then notes; those with a line before those without; otherwise as reported."""
    unique = list(dict.fromkeys(findings))
    return sorted(unique, key=lambda f: (_WORST_FIRST[f.severity], f.line is None))


def _show_build(output: Output, report: Report) -> None:
    verdict = report.verdict
    errors = [f for f in worst_first(verdict.findings) if f.code == "build"]
    broken = verdict.stage == "build" and verdict.verdict is not Outcome.PASS
    output.blank()
    cached = ", from the cache" if report.cached else ""
    word, style = ("failed", "red") if broken else ("ok", "green")
    if broken and verdict.verdict is Outcome.SKIPPED:
        word, style = "not possible here", "yellow"
    output.text(("build", "bold"), "  ", (word, style), (f"{_took(verdict.seconds.build)}{cached}", "dim"))
    for finding in errors[:_GROUPS]:
        _show_group(output, report, [finding])
    if len(errors) > _GROUPS:
        output.text((f"and {len(errors) - _GROUPS} more; the first is the one to mend", "dim"), indent=2)
    if broken and not errors and report.raw:
        for line in report.raw.strip().split("\n")[-_OUTPUT_LINES:]:
            output.raw(f"  {line}")


def _show_checks(output: Output, report: Report) -> None:
    checks = report.verdict.checks
    if not checks:
        return
    passed = sum(c.outcome is Outcome.PASS for c in checks)
    output.blank()
    count = f"  {passed} of {max(len(checks), report.announced)} pass"
    output.text(("checks", "bold"), count, (_took(report.verdict.seconds.check), "dim"))
    good = Counter(c.id.partition(" [")[0] for c in checks if c.outcome is Outcome.PASS)
    for name, number in good.items():
        times = (f"  {number}{output.glyphs.times}", "dim") if number > 1 else ""
        output.text((output.glyphs.passed, "green"), f" {name}", times, indent=2)
    bad = [check for check in checks if check.outcome is not Outcome.PASS]
    for check in bad[:_CHECKS]:
        _show_check(output, check)
    if len(bad) > _CHECKS:
        # Their findings, grouped, follow: forty lines of one cause would push the first to mend off the screen.
        output.text((f"and {len(bad) - _CHECKS} more that fail; --json has them all", "dim"), indent=2)


def _show_check(output: Output, check: CheckResult) -> None:
    sign = output.glyphs.outcome(check.outcome)
    output.text((sign, STYLES[check.outcome]), f" {check.id}", indent=2)
    if check.message:
        output.text(_cut(output, check.message, _MESSAGE), indent=6)
    printed = check.output.strip("\n").split("\n") if check.output.strip() else []
    if printed:
        more = f", the last {_OUTPUT_LINES} of {len(printed)} lines" if len(printed) > _OUTPUT_LINES else ""
        output.text((f"it printed{more}:", "dim"), indent=6)
        for line in printed[-_OUTPUT_LINES:]:
            output.raw(f"        {_cut(output, line, _PRINTED)}")


def _cut(output: Output, text: str, letters: int) -> str:
    return text if len(text) <= letters else text[:letters] + output.glyphs.ellipsis


def _show_findings(output: Output, report: Report) -> None:
    """Findings in groups of one code at one place; after `_GROUPS` groups only their number."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in worst_first(report.verdict.findings):
        if finding.code != "build":
            groups.setdefault((finding.code, finding.place), []).append(finding)
    if not groups:
        return
    output.blank()
    output.text(("findings", "bold"))
    explained: set[str] = set()
    for group in list(groups.values())[:_GROUPS]:
        _show_group(output, report, group)
        if group[0].code not in explained:
            explained.add(group[0].code)
            output.text((advice(group[0].code).text, "dim"), indent=6)
    if len(groups) > _GROUPS:
        output.text((f"and {len(groups) - _GROUPS} more; --json has them all", "dim"), indent=2)


def _show_group(output: Output, report: Report, group: list[Finding]) -> None:
    finding = group[0]
    style = _SEVERITY_STYLES[finding.severity]
    place = (f"  {finding.place}", "bold") if finding.place else ""
    meaning = CODES.get(finding.code, "") if finding.code != "build" else ""
    output.text((finding.code, f"bold {style}"), place, (f"  {meaning}", "dim"), indent=2)
    lasts = lasting(finding, report.past) if finding.code != "build" else ""
    if lasts:
        output.text((lasts, "dim"), indent=6)
    messages = list(dict.fromkeys(f"{f.message}{_gain(f)}" for f in group))
    for message in messages[:_MESSAGES]:
        output.text(message, indent=6)
    if len(messages) > _MESSAGES:
        output.text((f"and {len(messages) - _MESSAGES} more like these", "dim"), indent=6)
    show_place(output, report.lines, finding, report.raw)


def _gain(finding: Finding) -> str:
    if finding.per_call is None:
        return ""
    what = f" of {finding.type}" if finding.type else ""
    return f" ({finding.per_call:+g} a call{what})"


def _show_seconds(output: Output, report: Report) -> None:
    """Where the time from the save (or the request) to the verdict went."""
    spent = report.verdict.seconds
    output.text((f"{spent.total:.2f} s from save to verdict", "dim"))
    for words, drawn in waterfall(spent, output.glyphs, min(output.console.width, 76) - 2):
        output.raw(f"  {words}  {drawn}", "dim")


def _took(seconds: float) -> str:
    return f"  {seconds:.2f} s" if seconds else ""
