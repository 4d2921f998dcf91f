"""Commands that change the learner's files: reset and undo. What they replace is always kept."""

from __future__ import annotations

from argparse import Namespace

from tutor.cli import documents
from tutor.cli.context import Context
from tutor.content.snapshots import Snapshot
from tutor.content.sources import starter_files
from tutor.core.errors import UsageError
from tutor.core.exercise import Exercise
from tutor.core.history import from_record
from tutor.core.versions import newest_first
from tutor.store.history import History


def reset(arguments: Namespace) -> int:
    """Put the starter back."""
    context = Context(arguments)
    exercise = context.exercise()
    if context.workspace.read(exercise) == starter_files(exercise):
        return _tell(context, exercise, "reset", None, f"{exercise.id} is the starter already")
    if context.workspace.started(exercise):
        context.confirm(f"put the starter of {exercise.id} back? your version is kept, `mltutor undo` brings it back")
    kept = context.workspace.reset(exercise)
    return _tell(context, exercise, "reset", kept, f"{exercise.id} is the starter again")


def undo(arguments: Namespace) -> int:
    """Bring back what the last reset (or undo) replaced, or any kept version; or list them."""
    context = Context(arguments)
    named = arguments.exercise or arguments.list or arguments.to
    exercise = context.exercise() if named else context.here()
    exercise = exercise or context.workspace.last_reset(context.course.exercises)
    if exercise is None:
        raise UsageError("nothing to undo", "undo takes back a reset; none was made in this workspace")
    if arguments.list:
        return _list(context, exercise)
    if arguments.to:
        context.workspace.bring_back(exercise, arguments.to)
        return _tell(context, exercise, "undo", None, f"{exercise.id} is version {arguments.to}; undo takes that back")
    back = context.workspace.undo(exercise)
    return _tell(context, exercise, "undo", back, f"{exercise.id} is as it was; undo again to go forward")


def _list(context: Context, exercise: Exercise) -> int:
    """The kept versions, newest first."""
    kept, mine = tuple(newest_first(context.workspace.versions(exercise))), context.workspace.read(exercise)
    if context.output.as_json:
        context.output.document(documents.versions_document(exercise, kept, mine))
        return 0
    if not kept:
        context.output.text(f"no other version of {exercise.id} is kept yet: reset, undo and every pass keep one")
        return 0
    from tutor.cli.render.tables import show_versions

    runs = map(from_record, History(context.home.history).recent(exercise.id))
    show_versions(context.output, kept, mine, [run for run in runs if run is not None])
    context.output.blank()
    context.output.text((f"mltutor undo {exercise.id} --to N brings one back; yours is kept", "dim"))
    return 0


def _tell(context: Context, exercise: Exercise, done: str, kept: Snapshot | None, text: str) -> int:
    paths = [str(path) for path in context.workspace.paths(exercise)]
    if context.output.as_json:
        folder = str(kept.folder) if kept else ""
        context.output.document(documents.replaced_document(exercise, done, paths, folder))
        return 0
    context.output.text(text)
    for path in context.workspace.paths(exercise):
        context.output.raw(f"  {context.shown(path)}", "dim")
    return 0
