"""Finds exercises of a course by id, number or path."""

from __future__ import annotations

import re
from pathlib import Path

from tutor.core.errors import UsageError
from tutor.core.exercise import Course, Exercise

_NUMBER = re.compile(r"^0*(\d+)\.0*(\d+)$")


def find_exercise(course: Course, text: str, workspace: Path | None = None) -> Exercise:
    """The exercise that `text` names: an id, a number like 3.1, or a path in the workspace or the lesson tree.

    Raises UsageError with the nearest ids.
    """
    by_id = {exercise.id: exercise for exercise in course.exercises}
    found = by_id.get(text) or by_id.get(text.lower()) or _by_number(course, text) or _by_path(by_id, text, workspace)
    if found is None:
        raise UsageError(f"no exercise {text!r}", did_you_mean(text, list(by_id)) or "`mltutor list` shows them all")
    return found


def _by_number(course: Course, text: str) -> Exercise | None:
    match = _NUMBER.match(text)
    number = f"{match[1]}.{match[2]}" if match else ""
    return next((e for e in course.exercises if e.number == number), None)


def _by_path(by_id: dict[str, Exercise], text: str, workspace: Path | None) -> Exercise | None:
    path = Path(text).absolute()
    for places in (path, path.resolve()):
        for exercise in by_id.values():
            homes = [exercise.folder, exercise.folder.resolve()]
            if workspace is not None:
                homes += [workspace.absolute() / exercise.id, workspace.resolve() / exercise.id]
            if any(places.is_relative_to(home) for home in homes):
                return exercise
    return None


def did_you_mean(text: str, ids: list[str]) -> str:
    """A question with the ids that are nearest to `text`; empty when none is near."""
    import difflib  # only for who has mistyped

    near = difflib.get_close_matches(text.lower(), ids, 3, 0.5)
    near = near or [one for one in ids if text and text.lower() in one][:3]
    return f"did you mean {' or '.join(near)}?" if near else ""
