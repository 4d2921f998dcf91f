"""What the checks measured, as text: references that a call gains, when it held the GIL, what it kept in memory."""

from __future__ import annotations

from collections.abc import Sequence

from tutor.cli.output import Output
from tutor.core.verdict import CheckResult
from tutor.ui.measured import gil_lines, gil_reports, memory_lines, memory_reports, timeline_key
from tutor.ui.typeset import fit

_WIDTH = 78


def show_measured(output: Output, checks: Sequence[CheckResult]) -> None:
    """Three short tables, those that have rows; of the references only what changed, and how many did not."""
    _show_references(output, checks)
    width = min(output.console.width, _WIDTH) - 2
    reports = gil_reports(checks)
    if reports:
        output.blank()
        output.text(("GIL", "bold"), (f"  {timeline_key(output.glyphs)}", "dim"))
        for name, strip, words in gil_lines(reports, output.glyphs, width):
            apart = "  " if len(name + strip + words) + 2 <= width else "\n    "
            output.raw(f"  {name}{strip}{apart if strip else ''}{words}")
    rows = memory_reports(checks)
    if rows:
        output.blank()
        output.text(("memory", "bold"))
        for name, words in memory_lines(rows, output.glyphs):
            output.raw(f"  {name}{words}")


def _show_references(output: Output, checks: Sequence[CheckResult]) -> None:
    rows = list(dict.fromkeys(row for check in checks for row in check.references))
    if not rows:
        return
    changed = [row for row in rows if row.per_call]
    output.blank()
    same = len(rows) - len(changed)
    output.text(("references", "bold"), (f"  {same} of {len(rows)} watched objects keep their count", "dim"))
    for row in changed:
        place = f"  {row.place}" if row.place else ""
        what = fit(row.what, 34, output.glyphs.ellipsis)
        output.text(f"{what} ({row.type})", (f"  {row.per_call:+g} a call", "red"), place, indent=2)
