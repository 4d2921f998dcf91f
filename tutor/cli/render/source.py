"""A few lines of the learner's file round a place, with a caret where the tool gave a column."""

from __future__ import annotations

from collections.abc import Mapping

from tutor.cli.output import Output
from tutor.core.finding import Finding
from tutor.ui.caret import column_of, pointed
from tutor.ui.typeset import fit

_LEAST = 16


def show_place(
    output: Output, lines: Mapping[str, list[str]], finding: Finding, raw: str = "", indent: int = 6
) -> None:
    """Print the finding's line with the one before it; nothing when the file or the line is not the learner's."""
    text = lines.get(finding.file)
    if text is None or finding.line is None or not 1 <= finding.line <= len(text):
        return
    width, rule, glyphs = len(str(finding.line)), output.glyphs.rule, output.glyphs
    room = max(_LEAST, output.console.width - indent - width - 3)
    column = column_of(raw, finding)
    line, caret = pointed(text[finding.line - 1], column, room, glyphs)
    if finding.line > 1:
        before = fit(text[finding.line - 2], room, glyphs.ellipsis)
        output.text((f"{finding.line - 1:>{width}} {rule} ", "dim"), (before, "dim"), indent=indent)
    output.text((f"{finding.line} {rule} ", "dim"), (line, "bold"), indent=indent)
    if column is not None:
        output.text((f"{'':>{width}} {rule} ", "dim"), (caret, "bold red"), indent=indent)
