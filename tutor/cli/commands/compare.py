"""Commands that compare with, or show, the reference: diff and solution."""

from __future__ import annotations

import asyncio
import difflib
from argparse import Namespace
from typing import Any

from tutor.cli import documents
from tutor.cli.commands.browse import tell_notice
from tutor.cli.context import Context
from tutor.content.sources import solution_files, starter_files
from tutor.core.errors import UsageError
from tutor.core.exercise import Exercise
from tutor.core.verdict import Verdict


def solution(arguments: Namespace) -> int:
    """The reference solution; asks first until the exercise has passed."""
    context = Context(arguments)
    exercise = context.exercise()
    _reveal(context, exercise)
    files = solution_files(exercise)
    if context.output.as_json:
        context.output.document(documents.files_document(exercise, files))
        return 0
    from tutor.cli.render.code import show_code

    for name, content in files.items():
        context.output.text((f"{exercise.id}/{name}", "bold"))
        show_code(context.output, name, content.decode(errors="replace"))
    return 0


def diff(arguments: Namespace) -> int:
    """The learner's files beside the solution, the starter or the last pass; both timed with --bench."""
    context = Context(arguments)
    exercise = context.exercise()
    against = arguments.against
    if against == "solution":
        _reveal(context, exercise)
    mine, others = _texts(context.workspace.read(exercise)), _texts(_other_files(context, exercise, against))
    if not mine:
        raise UsageError(f"you have not started {exercise.id}", f"mltutor start {exercise.id}")
    verdict = _timed(context, exercise, against) if arguments.bench else None
    if context.output.as_json:
        context.output.document(_diff_document(exercise, against, mine, others, verdict))
        return _code(verdict)
    from tutor.cli.render.code import show_side_by_side

    for name, other in others.items():
        context.output.text((f"{exercise.id}/{name}", "bold"), f"  yours | {against}")
        show_side_by_side(context.output, name, mine.get(name, ""), other)
    if verdict is not None:
        from tutor.cli.render.speed import show_speed
        from tutor.cli.render.verdict import show_verdict_line

        show_speed(context.output, verdict.bench)
        show_verdict_line(context.output, verdict)
    return _code(verdict)


def _reveal(context: Context, exercise: Exercise) -> None:
    """Ask before a solution that was not earned; remember that it was seen. Raises UsageError on no."""
    mine = context.progress.of(exercise.id)
    if not mine.passed and not mine.solution_seen:
        context.confirm(f"{exercise.id} has not passed yet; show its solution?")
    from tutor.engine.record import Record

    asyncio.run(Record(context.home, tell_notice).solution_seen(exercise.id))


def _other_files(context: Context, exercise: Exercise, against: str) -> dict[str, bytes]:
    if against == "pass":
        return dict(context.workspace.last_pass(exercise).files)
    return solution_files(exercise) if against == "solution" else starter_files(exercise)


def _texts(files: dict[str, bytes]) -> dict[str, str]:
    return {name: content.decode(errors="replace") for name, content in files.items()}


def _timed(context: Context, exercise: Exercise, against: str) -> Verdict:
    from tutor.cli.engine import bench_against

    return bench_against(context, exercise, against).verdict


def _code(verdict: Verdict | None) -> int:
    from tutor.cli.engine import exit_code

    return exit_code(verdict) if verdict else 0


def _diff_document(
    exercise: Exercise, against: str, mine: dict[str, str], others: dict[str, str], verdict: Verdict | None
) -> dict[str, Any]:
    diffs = {
        name: "".join(
            difflib.unified_diff(
                mine.get(name, "").splitlines(keepends=True),
                other.splitlines(keepends=True),
                f"yours/{name}",
                f"{against}/{name}",
            )
        )
        for name, other in others.items()
    }
    return documents.diff_document(exercise, against, diffs, verdict.document() if verdict else None)
