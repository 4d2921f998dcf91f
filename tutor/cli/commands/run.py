"""Commands that run the learner's code once: check, bench, and the hidden build."""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace

from tutor.cli.context import Context
from tutor.cli.engine import bench_against, exit_code, run_once
from tutor.cli.render.verdict import Report, show_report
from tutor.core.errors import UsageError

_SUBJECTS = ("learner", "solution", "starter")


def check(arguments: Namespace) -> int:
    """Build, check, diagnose, benchmark."""
    context = Context(arguments)
    report = run_once(context, context.exercise(), bench=not arguments.no_bench, sanitize=arguments.sanitize)
    return _tell(context, report)


def bench(arguments: Namespace) -> int:
    """Time the learner's code against the baseline or another version."""
    context = Context(arguments)
    exercise = context.exercise()
    if not exercise.bench:
        raise UsageError(f"{exercise.id} has no benchmark", "`mltutor list` shows the others")
    if not context.workspace.started(exercise):
        raise UsageError(f"you have not started {exercise.id}", f"mltutor start {exercise.id}")
    return _tell(context, bench_against(context, exercise, arguments.against))


def _tell(context: Context, report: Report) -> int:
    if context.output.as_json:
        context.output.document(report.verdict.document())
    else:
        show_report(context.output, report)
    return exit_code(report.verdict)


def build(arguments: Namespace) -> int:
    """Build one version of an exercise and print its artifact as JSON; for running checks under plain pytest.

    MLTUTOR_SUBJECT says which: `learner` (the default), `solution` or `starter`.
    """
    from tutor.cli.artifact import build_artifact

    context = Context(arguments)
    subject = os.environ.get("MLTUTOR_SUBJECT", "learner")
    if subject not in _SUBJECTS:
        raise UsageError(f"MLTUTOR_SUBJECT is {subject!r}", f"use one of {', '.join(_SUBJECTS)}")
    exercise = context.exercise()
    outcome, document = asyncio.run(build_artifact(context, exercise, subject))
    if outcome.artifact is None:
        for finding in outcome.findings:
            context.output.text(f"{finding.place}: {finding.message}" if finding.place else finding.message)
        context.output.raw(outcome.raw)
        return 1
    print(document)
    return 0
