"""How a check's process died without a report, as a result that names the cause and the line."""

from __future__ import annotations

import os

from tutor.core.finding import Finding
from tutor.core.protocol import Artifact, Limits
from tutor.core.verdict import CheckResult, Outcome
from tutor.worker.child import BROKEN_EXIT, Child
from tutor.worker.crash import crash_finding, crash_place, describe_stack


def explain_death(child: Child, artifact: Artifact, limits: Limits) -> CheckResult:
    """A failed result for a child that was killed, crashed, or ended without reporting."""
    finding = _finding(child, artifact, limits)
    output = child.output.decode("utf-8", errors="replace")
    outcome = Outcome.FAIL
    if not child.killed and os.WIFEXITED(child.status or 0) and os.WEXITSTATUS(child.status or 0) == BROKEN_EXIT:
        outcome = Outcome.FAIL if child.inbox.strangers else _broken_outcome(output)
    stack = describe_stack(child.inbox.crash, artifact)
    detail = f"{finding.message}\n{stack}" if stack else ""
    return CheckResult(child.name, outcome, finding.message, detail, output, findings=(finding,), seconds=child.seconds)


def _broken_outcome(output: str) -> Outcome:
    # The traceback of the worker itself is the last thing printed; a closed descriptor is the learner's doing.
    return Outcome.FAIL if "Bad file descriptor" in output or not output.strip() else Outcome.ERROR


def _finding(child: Child, artifact: Artifact, limits: Limits) -> Finding:
    if child.killed:
        return _limit_finding(child, artifact, limits)
    status = child.status or 0
    if os.WIFSIGNALED(status):
        return crash_finding(os.WTERMSIG(status), child.inbox.crash, artifact)
    code = os.WEXITSTATUS(status)
    if code == BROKEN_EXIT:
        return Finding("forbidden", "the check could not report: were descriptors closed that are not yours?")
    return Finding(
        "forbidden", f"the check ended without reporting (exit code {code}): sys.exit or os._exit called in your code?"
    )


def _limit_finding(child: Child, artifact: Artifact, limits: Limits) -> Finding:
    text = {
        "timeout": f"{'the import is ' if child.loading else ''}still running after {limits.seconds:g} s",
        "out-of-memory": f"more than {limits.rss_bytes / 2**20:,.0f} MiB of memory in use",
        "output-flood": f"more than {limits.output_bytes / 2**10:,.0f} KiB printed",
    }[child.killed]
    place, function = crash_place(child.inbox.crash, artifact)
    if place is None:
        return Finding(child.killed, text)
    where = f" in {function}" if function and function != "??" else ""
    return Finding(child.killed, f"{text}{where}, {place.file}:{place.line}", place.file, place.line)
