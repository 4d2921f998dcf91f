"""The command diagnose: what is wrong in the compiled code that a statement calls."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace

from tutor.cli.context import Context
from tutor.cli.output import Output
from tutor.core.diagnosis import Diagnosis, NativeFinding
from tutor.core.finding import CODES, Severity
from tutor.engine.diagnose import Question, sorted_findings
from tutor.engine.diagnose import diagnose as ask

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def diagnose(arguments: Namespace) -> int:
    """0 nothing found, 1 something."""
    context = Context(arguments)
    question = Question(
        "\n".join(arguments.statement),
        "\n".join(arguments.setup),
        arguments.seconds,
        arguments.memory,
        arguments.faults,
    )
    diagnosis = asyncio.run(ask(question, context.home, context.launcher))
    if context.output.as_json:
        context.output.document(diagnosis.document())
    else:
        _show(context.output, diagnosis)
    return 1 if diagnosis.found else 0


def _show(output: Output, diagnosis: Diagnosis) -> None:
    for line in diagnosis.statement.splitlines():
        output.raw(line, "bold")
    output.text(
        (f"Python {diagnosis.python or sys.version.partition(' ')[0]}, {diagnosis.seconds:.2f} s", "dim"), indent=2
    )
    for path in diagnosis.libraries:
        output.raw(f"  {path}", "dim")
    for number in sorted_findings(diagnosis):
        _show_finding(output, diagnosis.findings[number], diagnosis.statement)
    unknown = {f"{p.name}: not checked here, {p.unknown}" for p in diagnosis.passes if p.unknown}
    if unknown:
        output.blank()
        for text in sorted(unknown):
            output.text((text, "yellow"), indent=2)
    output.blank()
    number = len(diagnosis.findings)
    text, style = (f"{number} finding{'s' * (number != 1)}", "red") if diagnosis.found else ("nothing found", "green")
    notes = "" if diagnosis.found or not number else f", {number} note{'s' * (number != 1)}"
    output.text((text, f"bold {style}"), notes)


def _show_finding(output: Output, found: NativeFinding, statement: str) -> None:
    finding = found.finding
    output.blank()
    place = (f"  {found.place.text}", "bold") if found.place else ""
    output.text(
        (finding.code, f"bold {_STYLES[finding.severity]}"), place, (f"  {CODES[finding.code]}", "dim"), indent=2
    )
    output.text(finding.message, indent=6)
    if found.subject != statement:
        output.text((f"in {found.subject}", "dim"), indent=6)
    for frame in found.stack[1:]:
        output.text((f"called by {frame.text}", "dim"), indent=8)
