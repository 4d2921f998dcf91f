"""The texts of an exercise: its README and its ladder of hints."""

from __future__ import annotations

import re

from tutor.content.manifest import read_text
from tutor.core.errors import ContentError
from tutor.core.exercise import Exercise

_HINT = re.compile(r"^## +Hint +(\d+)[^\n]*\n", re.MULTILINE)


def readme(exercise: Exercise) -> str:
    """The task in Markdown. Raises ContentError."""
    return read_text(exercise.folder / "README.md")


def hints(exercise: Exercise) -> tuple[str, ...]:
    """The hints in Markdown, each opening more than the one before. Raises ContentError when they are misnumbered."""
    file = exercise.folder / "hints.md"
    text = read_text(file)
    headings = list(_HINT.finditer(text))
    if not headings:
        return ()
    for expected, heading in enumerate(headings, 1):
        if int(heading[1]) != expected:
            line = text.count("\n", 0, heading.start()) + 1
            raise ContentError(file, f"Hint {heading[1]} stands where Hint {expected} is due", line=line)
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return tuple(text[heading.end() : end].strip() for heading, end in zip(headings, ends, strict=True))
