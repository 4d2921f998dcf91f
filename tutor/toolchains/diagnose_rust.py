"""Reads rustc's and cargo's plain text: errors on the learner's lines, first cause first."""

from __future__ import annotations

import re

from tutor.core.finding import Finding, Severity
from tutor.toolchains.base import BuildRequest
from tutor.toolchains.diagnose_cc import MOST_FINDINGS, learners_name
from tutor.toolchains.explain import enrich

_HEAD = re.compile(r"^(?P<kind>error|warning)(?:\[(?P<code>[EW]\d+)\])?: (?P<text>.+)$")
_ARROW = re.compile(r"^\s*(?:-->|:::) (?P<file>[^:]+):(?P<line>\d+):\d+")
_SUMMARY = re.compile(r"^(?:aborting due to|could not compile|\d+ warnings? emitted|`\S+` \(lib\) generated)")
# Of the warnings, those that are mistakes in most learners' code.
_TELLING = re.compile(
    r"unused (?:result|`?Result)|must be used|unreachable|unconditional recursion|overflow|never read"
)


def cargo_findings(request: BuildRequest, output: str) -> tuple[Finding, ...]:
    """Errors in the order of the output, then telling warnings."""
    found: list[Finding] = []
    lines = output.splitlines()
    for index, line in enumerate(lines):
        head = _HEAD.match(line)
        if head is None or _SUMMARY.match(head["text"]):
            continue
        if head["kind"] == "warning" and not _TELLING.search(head["text"]):
            continue
        file, number = _place(request, lines[index + 1 :])
        severity = Severity.ERROR if head["kind"] == "error" else Severity.WARNING
        code = f" [{head['code']}]" if head["code"] else ""
        message = enrich(f"{head['text']}{code}", _block(lines, index))
        found.append(Finding("build", message, file, number, severity=severity))
    found.sort(key=lambda f: f.severity is not Severity.ERROR)
    return tuple(found)[:MOST_FINDINGS]


def _block(lines: list[str], start: int) -> str:
    """The lines of one message: up to the next head."""
    end = next((i for i in range(start + 1, len(lines)) if _HEAD.match(lines[i])), len(lines))
    return "\n".join(lines[start:end])


def _place(request: BuildRequest, following: list[str]) -> tuple[str, int | None]:
    for line in following:
        if _HEAD.match(line):
            break
        arrow = _ARROW.match(line)
        name = learners_name(request, arrow["file"]) if arrow else ""
        if arrow and name:
            return name, int(arrow["line"])
    return "", None
