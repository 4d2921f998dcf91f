"""The checks panel: every announced check with its outcome, and why it failed."""

from __future__ import annotations

from textual.content import Content

from tutor.core.state import RunState
from tutor.core.verdict import CheckResult, Outcome
from tutor.ui.glyphs import Glyphs
from tutor.ui.typeset import Part, clean, fit, paragraph, plural, seconds, spread, stack
from tutor.ui.view import View
from tutor.ui.widgets.panel import Panel

STYLES = {Outcome.PASS: "$success", Outcome.FAIL: "bold $error", Outcome.ERROR: "bold $error", Outcome.SKIPPED: "dim"}
_DETAIL = 10
_PRINTED = 4


class ChecksPanel(Panel):
    """Panel 3."""

    TITLE = "Checks"

    def subject(self, view: View) -> object:
        """Announced ids and results so far."""
        run = view.checked()
        return run and (run.announced, run.checks, run.build_ok, run.active)

    def badge(self, view: View) -> Part:
        """Passed of all."""
        run = view.run
        if run is None or not (run.announced or run.checks):
            return (view.glyphs.ellipsis, "dim") if run and run.active and run.build_ok is not False else ("", "")
        good = sum(check.outcome is Outcome.PASS for check in run.checks)
        bad = any(check.outcome in (Outcome.FAIL, Outcome.ERROR) for check in run.checks)
        total = max(len(run.announced), len(run.checks))
        sign = view.glyphs.failed if bad else view.glyphs.passed if good == total else ""
        style = "bold $error" if bad else "$success" if good == total else ""
        return (f"{good}/{total}{sign}", style)

    def draw(self, view: View, width: int) -> Content:
        """Failures carry their message; the rest take a line each."""
        run = view.checked()
        if run is None:
            return Content.styled("no checks have run yet", "dim")
        if run.build_ok is False:
            return Content.styled("not reached: the build failed", "dim")
        lines: list[Content | str | Part] = []
        for check in _in_order(run):
            if isinstance(check, str):
                # Only the sign is dim: when the result comes, that one cell is all that is sent.
                words = fit(name(check), width - 2, view.glyphs.ellipsis)
                lines.append(Content.assemble((f"{view.glyphs.pending} ", "dim"), words))
            else:
                lines.extend(_result(check, width, view.glyphs))
        if not lines:
            lines.append((f"checking {view.glyphs.ellipsis}" if run.active else "no checks have run", "dim"))
        return stack(lines)


def name(identifier: str) -> str:
    """A check's id as a sentence; what stands in its [brackets] is a name of the exercise and stays as it is."""
    words, bracket, case = identifier.removeprefix("test_").partition("[")
    return words.replace("_", " ") + bracket + case


def _in_order(run: RunState) -> list[CheckResult | str]:
    """Results in the order announced, ids where nothing has been reported; failures first once the run is over."""
    done = {check.id: check for check in run.checks}
    ids = (*run.announced, *(one for one in done if one not in run.announced))
    every: list[CheckResult | str] = [done.get(one, one) for one in ids]
    return every if run.active else sorted(every, key=_rank)


def _rank(check: CheckResult | str) -> int:
    if isinstance(check, str):
        return 1
    return {Outcome.FAIL: 0, Outcome.ERROR: 0, Outcome.SKIPPED: 2, Outcome.PASS: 3}[check.outcome]


def _result(check: CheckResult, width: int, glyphs: Glyphs) -> list[Content | str | Part]:
    style = STYLES[check.outcome]
    took = [(seconds(check.seconds, glyphs.micro), "dim")] if check.seconds >= 0.1 else []
    text = "" if check.outcome is Outcome.PASS else style
    lines: list[Content | str | Part] = [
        spread([(f"{glyphs.outcome(check.outcome)} ", style), (name(check.id), text)], took, width, glyphs.ellipsis)
    ]
    if check.outcome is Outcome.PASS:
        return lines
    if check.message:
        lines.extend(paragraph(check.message, width, 2))
    for finding in check.findings:
        if finding.message != check.message:
            lines.extend(paragraph(f"{finding.code}: {finding.message}", width, 2))
        if finding.place:
            place = fit(finding.place, width - 4, glyphs.ellipsis)
            lines.append((f"  {glyphs.arrow} {place}  {finding.code}", "$accent"))
    if not any(finding.place for finding in check.findings):
        # A finding with a line says more than a trace does; `o` has the trace.
        lines.extend(_excerpt(check.detail, _DETAIL, "", width, glyphs))
    lines.extend(_excerpt(check.output, _PRINTED, "it printed:", width, glyphs))
    return lines


def _excerpt(text: str, limit: int, title: str, width: int, glyphs: Glyphs) -> list[Part]:
    """The first lines of a long text, dim, and how many more `o` shows."""
    rows = clean(text[: 400 * limit]).strip("\n").splitlines()
    if not any(row.strip() for row in rows):
        return []
    made: list[Part] = [(f"  {title}", "dim")] if title else []
    made.extend((f"    {fit(row, width - 4, glyphs.ellipsis)}", "dim") for row in rows[:limit])
    rest = text.strip("\n").count("\n") + 1 - limit
    if rest > 0:
        made.append((f"    {plural(rest, 'more line')}: o", "dim"))
    return made
