"""What a sanitizer wrote into a check's output, as findings on the learner's lines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from tutor.core.finding import Finding, Severity
from tutor.core.protocol import Artifact
from tutor.core.verdict import CheckResult, Outcome
from tutor.worker import kernels
from tutor.worker.child import Child
from tutor.worker.places import Place, learner_place

_ADDRESS = re.compile(r"ERROR: AddressSanitizer: (?:attempting )?([\w-]+)")
_FRAME = re.compile(r"^\s+#(\d+) 0x[0-9a-f]+ in (.+?) (\S+?):(\d+)(?::\d+)?$", re.M)
_THREAD_FRAME = re.compile(r"^\s+#(\d+) (.+?) (\S+?):(\d+)(?::\d+)? \(", re.M)
_UNDEFINED = re.compile(r"^(\S+?):(\d+):\d+: runtime error: (.+)$", re.M)
_ACCESS = re.compile(r"^(READ|WRITE) of size (\d+)", re.M)
_REGION = re.compile(r"is located (\d+) bytes (.+?) (?:of )?(\d+)-byte region")
_ALLOCATED = re.compile(r"^(?:previously )?allocated by thread")
_FREED = re.compile(r"^freed by thread")
_GLOBAL = re.compile(r"Location is global '([^']+)'")
_CODES = {
    "heap-use-after-free": "use-after-free",
    "stack-use-after-return": "use-after-free",
    "stack-use-after-scope": "use-after-free",
    "double-free": "use-after-free",
    "SEGV": "crash",
    "free": "crash",
    "alloc-dealloc-mismatch": "undefined",
    "memcpy-param-overlap": "undefined",
}
# Beyond this many frames the fault lies in a library that the learner called, not in the learner's line.
_NEAR = 8


def active() -> str:
    """Which sanitizer this worker runs under; empty when none."""
    return os.environ.get("MLTUTOR_SANITIZER", "")


def begin() -> None:
    """Before the first check of a run."""
    if log := os.environ.get("MLTUTOR_SANITIZER_LOG"):
        kernels.begin(log)


def result_of(child: Child, artifact: Artifact) -> CheckResult:
    """A check under a sanitizer: only the reports count, as the fixtures that need the probe can't work here."""
    output = child.output.decode("utf-8", errors="replace")
    if log := os.environ.get("MLTUTOR_SANITIZER_LOG"):
        output += kernels.news(log)
    found = reports(output, artifact)
    outcome = Outcome.FAIL if found else Outcome.PASS
    return CheckResult(child.name, outcome, found[0].message if found else "", "", output, found, seconds=child.seconds)


def reports(output: str, artifact: Artifact) -> tuple[Finding, ...]:
    """Findings of all reports in `output` whose stack leads through the learner's files, each once."""
    found = [*_address(output, artifact), *_undefined(output, artifact), *_races(output, artifact)]
    found += kernels.reports(output, artifact)
    return tuple(dict.fromkeys(found))


def _address(output: str, artifact: Artifact) -> Iterator[Finding]:
    for start in _ADDRESS.finditer(output):
        report = output[start.start() :].partition("SUMMARY: AddressSanitizer")[0]
        sections = re.split(r"\n\s*\n", report)
        place = _place(sections[0], artifact)
        if place is None:
            continue
        kind = start.group(1)
        words = [_access(sections[0]) or kind.replace("-", " "), _region(report)]
        for title, pattern in (("allocated", _ALLOCATED), ("freed", _FREED)):
            other = next((_place(text, artifact) for text in _split_stacks(report) if pattern.search(text)), None)
            words.append(f"{title} at {other.file}:{other.line}" if other else "")
        message = ", ".join(word for word in words if word) + f" (AddressSanitizer: {kind})"
        yield Finding(_CODES.get(kind, "out-of-bounds"), message, place.file, place.line)


def _split_stacks(report: str) -> list[str]:
    """Each stack of a report with the line that introduces it."""
    return [part for part in re.split(r"\n(?=\S)", report) if "\n" in part]


def _access(text: str) -> str:
    access = _ACCESS.search(text)
    return f"{access.group(1).lower()}s {access.group(2)} bytes" if access else ""


def _region(report: str) -> str:
    region = _REGION.search(report)
    if region is None:
        return ""
    away, where, size = region.groups()
    side = {"to the right": "past the end of", "after": "past the end of", "inside": "into"}.get(where, "before")
    return f"{away} bytes {side} a block of {size} bytes"


def _undefined(output: str, artifact: Artifact) -> Iterator[Finding]:
    for match in _UNDEFINED.finditer(output):
        file, line, words = match.group(1), int(match.group(2)), match.group(3)
        place = learner_place(artifact, file, line)
        # Cython's own code between the learner's lines counts on wrap-around; the learner can't mend that.
        if place is None or place.file.endswith(".pyx"):
            continue
        code = "out-of-bounds" if "out of bounds" in words else "undefined"
        yield Finding(code, f"{words} (UBSan)", place.file, place.line, severity=Severity.ERROR)


def _races(output: str, artifact: Artifact) -> Iterator[Finding]:
    for report in output.split("WARNING: ThreadSanitizer: data race")[1:]:
        accesses = re.split(r"\n\s*\n", report.partition("SUMMARY: ThreadSanitizer")[0])[:2]
        first, second = ([_place(text, artifact, _THREAD_FRAME) for text in accesses] + [None, None])[:2]
        if first is None or second is None:  # a lock in a library that is not instrumented may order these two
            continue
        name = _GLOBAL.search(report)
        what = f"`{name.group(1)}`" if name and "null" not in name.group(1) else "the same memory"
        lines = sorted({first.line, second.line})
        where = " and ".join(f"line {line}" for line in lines)
        yield Finding("data-race", f"two threads touch {what} without a lock, {where}", first.file, first.line)


def _place(text: str, artifact: Artifact, frame: re.Pattern[str] = _FRAME) -> Place | None:
    """The innermost of the learner's lines near the top of a stack."""
    for match in frame.finditer(text):
        if int(match.group(1)) >= _NEAR:
            return None
        place = learner_place(artifact, match.group(3), int(match.group(4)))
        if place is not None:
            return place
    return None
