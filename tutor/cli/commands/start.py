"""The command start: the full-screen app, or the plain watch mode where a screen can't be drawn."""

from __future__ import annotations

import gc
import os
from argparse import Namespace

from tutor.cli import waiting
from tutor.cli.context import Context
from tutor.cli.output import interactive


def start(arguments: Namespace) -> int:
    """Watch the learner's file until he leaves."""
    context = Context(arguments)
    exercise = context.exercise()
    context.workspace.start(exercise)  # what stands in the way is told before the screen is taken
    reason = plain_reason(arguments.plain)
    if reason is None:
        from tutor.ui.app import run

        waiting.clear()
        mouse = not arguments.no_mouse
        root, home = context.workspace.root, context.home
        return run(
            context.course,
            root,
            home,
            exercise=exercise.id,
            launcher=context.launcher,
            mouse=mouse,
            edit_command=arguments.edit_cmd,
        )
    from tutor.cli.plain import run_plain

    gc.enable()
    waiting.clear()
    return run_plain(context, exercise, reason)


def plain_reason(asked: bool) -> str | None:
    """Why the app can't (or shall not) draw a screen; None when it can."""
    if asked:
        return "--plain"
    if not interactive():
        return "no terminal"
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        return f"TERM={os.environ.get('TERM', '')}"
    return None
