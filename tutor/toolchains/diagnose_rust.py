"""Reads rustc's and cargo's plain text: errors on the learner's lines, first cause first."""

from __future__ import annotations

import re

from tutor.core.finding import Finding, Severity
from tutor.toolchains.base import BuildRequest
from tutor.toolchains.diagnose_cc import MOST_FINDINGS, learners_name
from tutor.toolchains.explain import enrich
from tutor.toolchains.explain_rust import explain_rust, origin
from tutor.toolchains.rustc_message import read_message

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
    seen: set[tuple[str, str, int]] = set()
    lines = output.splitlines()
    for index, line in enumerate(lines):
        head = _HEAD.match(line)
        if head is None or _SUMMARY.match(head["text"]):
            continue
        if head["kind"] == "warning" and not _TELLING.search(head["text"]):
            continue
        file, number = _place(request, lines[index + 1 :])
        severity = Severity.ERROR if head["kind"] == "error" else Severity.WARNING
        # One borrow that lasts too long is refused at each of the lines that it is in the way of.
        cause = origin(head["code"] or "", read_message(head["text"], _block(lines, index)[1:]))
        if cause is not None and (file, *cause) in seen:
            continue
        if cause is not None:
            seen.add((file, *cause))
        found.append(Finding("build", _told(head, _block(lines, index)), file, number, severity=severity))
    found.sort(key=lambda f: f.severity is not Severity.ERROR)
    return tuple(found)[:MOST_FINDINGS]


def _told(head: re.Match[str], block: list[str]) -> str:
    """rustc's sentence, with what it means in front."""
    text = f"{head['text']} [{head['code']}]" if head["code"] else head["text"]
    meaning = explain_rust(head["code"] or "", read_message(head["text"], block[1:]))
    return f"{meaning} ({text})" if meaning else enrich(text, "\n".join(block))


def _block(lines: list[str], start: int) -> list[str]:
    """The lines of one message: up to the next head."""
    end = next((i for i in range(start + 1, len(lines)) if _HEAD.match(lines[i])), len(lines))
    return lines[start:end]


def _place(request: BuildRequest, following: list[str]) -> tuple[str, int | None]:
    for line in following:
        if _HEAD.match(line):
            break
        arrow = _ARROW.match(line)
        name = learners_name(request, arrow["file"]) if arrow else ""
        if arrow and name:
            return name, int(arrow["line"])
    return "", None
