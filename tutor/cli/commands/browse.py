"""Commands that show the course: list, next, show, hint, progress."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace

from tutor.cli import documents
from tutor.cli.context import Context
from tutor.cli.output import clean
from tutor.content import texts
from tutor.core.errors import UsageError
from tutor.core.events import Event, Notice
from tutor.core.exercise import Exercise


def list_exercises(arguments: Namespace) -> int:
    """All lessons and exercises."""
    context = Context(arguments)
    output = context.output
    if arguments.ids:
        for exercise in context.course.exercises:
            print(exercise.id)
    elif output.as_json:
        output.document(documents.course_document(context.course, context.progress))
    else:
        from tutor.cli.render.tables import show_course

        show_course(output, context.course, context.progress)
    return 0


def next_exercise(arguments: Namespace) -> int:
    """The first exercise that has not passed."""
    context = Context(arguments)
    _ = context.course
    found = context.next()
    if context.output.as_json:
        context.output.document(documents.next_document(found, context.progress))
    elif found is None:
        context.output.text("everything has passed: `mltutor progress` shows how fast")
    else:
        context.output.text((found.id, "bold"), f"  {found.title} ({found.number})")
        context.output.text(found.summary, indent=2)
        context.output.text((f"mltutor start {found.id}", "dim"), indent=2)
    return 0


def show(arguments: Namespace) -> int:
    """The text of an exercise."""
    context = Context(arguments)
    exercise = context.exercise()
    readme = texts.readme(exercise)
    if context.output.as_json:
        context.output.document(documents.show_document(exercise, context.progress, readme))
        return 0
    _print_markdown(context, readme)
    files = ", ".join(context.shown(path) for path in context.workspace.paths(exercise))
    context.output.blank()
    context.output.raw(f"your file: {files}", "dim")
    return 0


def hint(arguments: Namespace) -> int:
    """The next hint, or all up to --level."""
    context = Context(arguments)
    exercise = context.exercise()
    hints = texts.hints(exercise)
    if not hints:
        raise UsageError(f"{exercise.id} has no hints")
    opened = context.progress.of(exercise.id).hints
    level = min(arguments.level or opened + 1, len(hints))
    _record_hint(context, exercise, level)
    if context.output.as_json:
        context.output.document(documents.hint_document(exercise, hints, level))
        return 0
    first = 1 if arguments.level else level
    for number in range(first, level + 1):
        context.output.text((f"Hint {number} of {len(hints)}", "bold"), (f"  {exercise.id}", "dim"))
        _print_markdown(context, hints[number - 1])
        context.output.blank()
    if level < len(hints):
        context.output.text(("`mltutor hint` again opens the next one", "dim"))
    else:
        context.output.text(("that was the last one; `mltutor solution` shows the reference", "dim"))
    return 0


def progress(arguments: Namespace) -> int:
    """What has passed."""
    context = Context(arguments)
    if context.output.as_json:
        context.output.document(documents.progress_document(context.course, context.progress))
        return 0
    from tutor.cli.render.tables import show_progress

    show_progress(context.output, context.course, context.progress)
    return 0


def tell_notice(event: Event) -> None:
    """Print a notice of the engine on stderr; other events are not for this command."""
    if isinstance(event, Notice):
        print(clean(f"mltutor: {event.text}" + (f" ({event.remedy})" if event.remedy else "")), file=sys.stderr)


def _record_hint(context: Context, exercise: Exercise, level: int) -> None:
    from tutor.engine.record import Record

    asyncio.run(Record(context.home, tell_notice).hint(exercise.id, level))


def _print_markdown(context: Context, text: str) -> None:
    """Rendered for a terminal; the Markdown itself where the output is piped or plain."""
    if context.output.console.is_terminal and not context.arguments.plain:
        from rich.markdown import Markdown

        context.output.console.print(Markdown(clean(text)))
    else:
        context.output.raw(text.rstrip("\n"))
