"""A few lines of the learner's file round a place, with a caret where the tool gave a column."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tutor.cli.output import Output
from tutor.core.finding import Finding

_TAB = 4


def show_place(
    output: Output, lines: Mapping[str, list[str]], finding: Finding, raw: str = "", indent: int = 6
) -> None:
    """Print the finding's line with the one before it; nothing when the file or the line is not the learner's."""
    text = lines.get(finding.file)
    if text is None or finding.line is None or not 1 <= finding.line <= len(text):
        return
    width = len(str(finding.line))
    rule = output.glyphs.rule
    for number in range(max(1, finding.line - 1), finding.line + 1):
        here = number == finding.line
        style = "bold" if here else "dim"
        room = max(10, output.console.width - indent - width - 3)
        shown = text[number - 1].expandtabs(_TAB)[:room]
        output.text((f"{number:>{width}} {rule} ", "dim"), (shown, style), indent=indent)
    caret = _caret(text[finding.line - 1], column_of(raw, finding))
    if caret:
        output.text((f"{' ' * width} {rule} ", "dim"), (caret, "bold red"), indent=indent)


def column_of(raw: str, finding: Finding) -> int | None:
    """The 1-based column that a tool's output gives for the finding's line; None where it gives none.

    Of several errors on one line it is that of the one with the finding's message.
    """
    place = rf"(?:^|[/\s]){re.escape(finding.file)}:{finding.line}:(\d+)(?::[^:\n]*: )?([^\n]*)"
    found = [(int(column), text.strip()) for column, text in re.findall(place, raw, re.MULTILINE)]
    same = [column for column, text in found if text and text in finding.message]
    return same[0] if same else found[0][0] if found else None


def _caret(line: str, column: int | None) -> str:
    if column is None or column > len(line) + 1:
        return ""
    before = line[: column - 1].expandtabs(_TAB)
    word = re.match(r"\w*", line[column - 1 :])
    return " " * len(before) + "^" + "~" * max(0, len(word[0] if word else "") - 1)
