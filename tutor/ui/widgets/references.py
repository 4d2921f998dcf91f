"""The references panel: what each call gains or loses, and every finding with its code and line."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content

from tutor.core.advice import advice
from tutor.core.events import Examined
from tutor.core.finding import Finding, Severity
from tutor.core.state import RunState
from tutor.core.verdict import CallReport
from tutor.ui.glyphs import Glyphs
from tutor.ui.measured import gil_lines, gil_reports, lasting, memory_lines, memory_reports, timeline_key
from tutor.ui.typeset import Part, fit, pad, paragraph, stack
from tutor.ui.view import View
from tutor.ui.widgets.panel import Panel


class ReferencesPanel(Panel):
    """Panel 5."""

    TITLE = "References"

    def subject(self, view: View) -> object:
        """Rows and findings."""
        run = view.checked()
        measured = run and (rows(run), gil_reports(run.checks), memory_reports(run.checks))
        return run and (measured, findings(run), run.examined, view.state.past)

    def badge(self, view: View) -> Part:
        """How many entries the panel has: findings of one code at one place are one thing to mend."""
        run = view.run
        if run is None or not (run.checks or run.verdict):
            return ("", "")
        count = len(grouped(findings(run)))
        return (f"{count}{view.glyphs.failed}", "bold $error") if count else ("", "")

    def draw(self, view: View, width: int) -> Content:
        """The findings, the table, and for each code the rule and how to mend it."""
        run = view.checked()
        lines: list[Content | str | Part] = []
        if run is not None:
            groups = grouped(findings(run))
            for alike in groups:
                lines.extend(_finding(alike[0], width, view.glyphs, lasting(alike[0], view.state.past)))
                if len(alike) > 1:
                    lines.append((f"  and {len(alike) - 1} more of this kind here", "dim"))
            lines.extend(table(rows(run), width, view.glyphs))
            lines.extend(_measured(run, width, view.glyphs))
            lines.extend(_second_wave(look, view.glyphs) for look in run.examined)
            for code in dict.fromkeys(alike[0].code for alike in groups):
                lines.extend(["", *paragraph(f"{code}: {advice(code).text}", width, 2, "dim")])
        return stack(lines or [("nothing is counted yet: checks that use `refs` report here", "dim")])


def rows(run: RunState) -> tuple[CallReport, ...]:
    """All rows the checks sent, those that changed first; the same row of two checks once."""
    seen = dict.fromkeys(row for check in run.checks for row in check.references)
    return tuple(sorted(seen, key=lambda row: row.per_call == 0))


def findings(run: RunState) -> tuple[Finding, ...]:
    """Findings other than compiler errors, which the build panel shows."""
    return tuple(dict.fromkeys(f for f in run.findings if f.code != "build"))


def grouped(every: tuple[Finding, ...]) -> list[list[Finding]]:
    """Findings of one code, type and line together, in the order of the first of each."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in every:
        groups.setdefault((finding.code, finding.type, finding.place), []).append(finding)
    return list(groups.values())


def _measured(run: RunState, width: int, glyphs: Glyphs) -> list[Content | str | Part]:
    """The GIL of each call that was measured, from begin to end, and its memory."""
    lines: list[Content | str | Part] = []
    reports = gil_reports(run.checks)
    if reports:
        lines.append((pad("GIL, a call from begin to end", width).rstrip(), "dim underline"))
        for name, strip, words in gil_lines(reports, glyphs, width):
            if cell_len(name + strip + words) + 2 <= width or not strip:
                lines.append(Content.assemble(name, (f"{strip}  " if strip else "", "$warning"), (words, "$success")))
            else:
                lines.extend([Content.assemble(name, (strip, "$warning")), ("  " + words, "$success")])
        lines.append((fit(timeline_key(glyphs), width, glyphs.ellipsis), "dim"))
    kept = memory_reports(run.checks)
    if kept:
        lines.append((pad("memory", width).rstrip(), "dim underline"))
    for row, (name, words) in zip(kept, memory_lines(kept, glyphs), strict=True):
        lines.append(
            Content.assemble(
                name, (fit(words, width - len(name), glyphs.ellipsis), "bold $error" if row.leaked else "$success")
            )
        )
    return lines


def _second_wave(look: Examined, glyphs: Glyphs) -> Part:
    """One line a sanitizer: what it is, how it stands, why it does not look."""
    sign = {"clean": glyphs.passed, "found": glyphs.failed}.get(look.state, glyphs.pending)
    style = {"clean": "$success", "found": "bold $error"}.get(look.state, "dim")
    took = f", {look.seconds:.1f} s" if look.seconds else ""
    return (f"{sign} {look.title}: {look.message or look.state}{took}", style)


def _finding(finding: Finding, width: int, glyphs: Glyphs, lasts: str) -> list[Content | str | Part]:
    loud = finding.severity is Severity.ERROR
    sign = glyphs.failed if loud else glyphs.error if finding.severity is Severity.WARNING else glyphs.pending
    style = "bold $error" if loud else "$warning" if finding.severity is Severity.WARNING else "dim"
    facts = [finding.place, finding.type, amount(finding.per_call) + " a call" if finding.per_call is not None else ""]
    facts.append(lasts)
    words = f"  {glyphs.dot} ".join(fact for fact in facts if fact)
    lines: list[Content | str | Part] = [
        Content.assemble(
            (f"{sign} {finding.code}", style),
            (fit(f"  {words}" if words else "", width - 2, glyphs.ellipsis), "$accent"),
        )
    ]
    lines.extend(paragraph(finding.message, width, 2))
    return lines


def amount(value: float | None) -> str:
    """A change per call with its sign: `+1`, `-0.5`, `0`."""
    if not value:
        return "0"
    return f"{value:+.0f}" if float(value).is_integer() else f"{value:+.2f}"


def spark(series: tuple[float, ...], glyphs: Glyphs) -> str:
    """The last eight values as one sign each; empty for less than two."""
    last = series[-8:]
    if len(last) < 2:
        return ""
    low, high = min(last), max(last)
    top = len(glyphs.spark) - 1
    return "".join(glyphs.spark[round((v - low) / (high - low) * top) if high > low else 0] for v in last)


def table(reports: tuple[CallReport, ...], width: int, glyphs: Glyphs) -> list[Content | str | Part]:
    """Columns: object, type, per call, trend, place. The object gets what the others leave."""
    if not reports:
        return []
    kind = min(max(cell_len(row.type) for row in reports) + 2, max(width // 4, 6))
    trend = 10 if any(len(row.series) > 1 for row in reports) and width >= 60 else 0
    longest = max(cell_len(row.place) for row in reports)
    place = min(longest + 1, width // 3) if longest and width >= 40 else 0
    what = max(width - kind - trend - place - 12, 8)
    head = pad("object", what) + pad("type", kind) + pad("   per call", 12)
    lines: list[Content | str | Part] = [
        (pad(head + " " * trend + pad("where", place), width).rstrip(), "dim underline")
    ]
    for row in reports:
        sign = glyphs.failed if row.per_call else glyphs.passed
        style = "bold $error" if row.per_call else ""
        cells = pad(fit(row.what, what - 1, glyphs.ellipsis), what) + pad(
            fit(row.type, kind - 1, glyphs.ellipsis), kind
        )
        tail = (
            f"{amount(row.per_call):>8} {sign}  "
            + pad(spark(row.series, glyphs), trend)
            + fit(row.place, place, glyphs.ellipsis)
        )
        lines.append(Content.assemble((cells, style), (tail, style or "$success")))
    return lines
