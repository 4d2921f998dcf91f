"""A learner's line with a caret under the place that a tool named, for both faces."""

from __future__ import annotations

import re
from pathlib import PurePath

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

from tutor.core.finding import Finding
from tutor.ui.glyphs import Glyphs
from tutor.ui.typeset import clean, fit

# What stays in sight to the right of the caret, of a line that is longer than its room.
_AFTER = 16


def column_of(raw: str, finding: Finding) -> int | None:
    """The 1-based column, in bytes, that a tool's output gives for the finding's line; None where it gives none.

    Of several errors on one line it is that of the one with the finding's message.
    """
    name = re.escape(PurePath(finding.file).name)
    place = rf"(?:^|[/\s]){name}:{finding.line}:(\d+)(?::[^:\n]*: )?([^\n]*)"
    found = [(int(column), text.strip()) for column, text in re.findall(place, raw, re.MULTILINE)]
    same = [column for column, text in found if text and text in finding.message]
    return same[0] if same else found[0][0] if found else None


def pointed(source: str, column: int | None, room: int, glyphs: Glyphs) -> tuple[str, str]:
    """The line, and the line below it with the caret; both at most `room` cells, moved so that the caret is in sight.

    Without a column the caret stands under the first sign.
    """
    text, more = clean(source).rstrip(), glyphs.ellipsis
    before, word = _parted(source, column)
    spot = cell_len(before)
    shift = spot + min(max(cell_len(text) - spot, 1), _AFTER) - room
    if shift > 0:
        shift = min(shift + len(more), spot)  # the ellipsis takes cells of its own
        text = more + Strip([Segment(text)]).crop(shift).text
        spot += len(more) - shift
    return fit(text, room, more), " " * spot + "^" + "~" * max(min(len(word) - 1, room - spot - 1), 0)


def _parted(source: str, column: int | None) -> tuple[str, str]:
    """What stands before the column, and the word that begins there."""
    data = source.encode()
    at = len(source) - len(source.lstrip()) if column is None else column - 1
    word = re.match(r"\w*", data[at:].decode(errors="replace"))
    return clean(data[:at].decode(errors="replace")), word[0] if word and column is not None else ""
