"""The build panel: every compiler error on the learner's own line, with a caret and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from textual.content import Content

from tutor.core.finding import Finding, Severity
from tutor.core.state import RunState
from tutor.ui.caret import column_of, pointed
from tutor.ui.glyphs import Glyphs
from tutor.ui.typeset import Part, fit, paragraph, seconds, stack
from tutor.ui.view import View
from tutor.ui.widgets.panel import Panel

_SHOWN = 6
_LEAST = 16


class BuildPanel(Panel):
    """Panel 2."""

    TITLE = "Build"

    def subject(self, view: View) -> object:
        """The build's outcome and the lines it points at."""
        run = view.built()
        if run is None:
            return view.exercise and view.exercise.main_file, view.paths
        lines = tuple(_source(view.sources, finding) for finding in run.build_findings[:_SHOWN])
        facts = (run.build_ok, run.build_findings, run.raw, run.build_seconds, run.cached, run.active)
        return (*facts, run.verdict and (run.verdict.message, run.verdict.remedy), lines, view.paths)

    def badge(self, view: View) -> Part:
        """Passed, failed, or under way."""
        run = view.run
        if run is None:
            return ("", "")
        if run.build_ok is None:
            return (view.glyphs.ellipsis, "dim") if run.active else ("", "")
        return (view.glyphs.passed, "$success") if run.build_ok else (view.glyphs.failed, "bold $error")

    def draw(self, view: View, width: int) -> Content:
        """Errors first, else one line that says how long it took."""
        run = view.built()
        if run is None or run.build_ok is None:
            return _waiting(view, run, width)
        lines: list[Content | str | Part] = []
        if run.build_ok:
            how = "from the cache" if run.cached else f"in {seconds(run.build_seconds, view.glyphs.micro)}"
            lines.append(Content.assemble((f"{view.glyphs.passed} ", "$success"), f"built {how}"))
        for finding in run.build_findings[:_SHOWN]:
            lines.extend(_error(finding, run.raw, _source(view.sources, finding), width, view.glyphs))
        hidden = len(run.build_findings) - _SHOWN
        if hidden > 0:
            lines.append((f"{hidden} more, often caused by the first", "dim"))
        if not run.build_ok and not run.build_findings:
            lines.append((f"{view.glyphs.failed} the build failed", "bold $error"))
            lines.extend(paragraph("\n".join(run.raw.splitlines()[-8:]), width, 2))
        if run.raw.strip():
            lines.append(("o shows everything the compiler said", "dim"))
        return stack([*lines, *_places(view, width)])


def _waiting(view: View, run: RunState | None, width: int) -> Content:
    """Nothing has been built: because it is under way, was not asked for, or could not be (then in full why)."""
    if run is not None and run.active:
        return Content.styled(f"building {view.glyphs.ellipsis}", "dim")
    if run is not None and run.verdict is not None and run.verdict.message:
        said = paragraph(run.verdict.message, width)
        return stack([*said, "", *paragraph(run.verdict.remedy, width, 0, "$accent")])
    name = view.exercise.main_file if view.exercise else "a file"
    return stack([(f"nothing built yet: save {name}, or press r", "dim"), *_places(view, width)])


def _places(view: View, width: int) -> list[Part]:
    """Where the files lie, for whoever opens them in an editor of another window; of a long path the end."""
    lead, more = "your file: ", view.glyphs.ellipsis
    room = max(width - len(lead), 8)
    cut = (path if len(path) <= room else more + path[len(more) - room :] for path in view.paths)
    return [(lead + path, "dim") for path in cut]


def _source(sources: Mapping[str, tuple[str, ...]], finding: Finding) -> str | None:
    """The learner's line that a finding names, or None when it is not there."""
    for name, lines in sources.items():
        if finding.line and PurePath(name).name == PurePath(finding.file).name and finding.line <= len(lines):
            return lines[finding.line - 1]
    return None


def _error(finding: Finding, raw: str, source: str | None, width: int, glyphs: Glyphs) -> list[Content | str | Part]:
    """`file:line  message`, the line with its caret, then the explanation."""
    style = "bold $error" if finding.severity is Severity.ERROR else "bold $warning"
    head, _, rest = finding.message.partition("\n")
    lines: list[Content | str | Part] = []
    place = fit(finding.place, width, glyphs.ellipsis)
    if place:
        lines.append(Content.assemble((place, style), "" if finding.severity is Severity.ERROR else "  warning"))
    if source is not None and finding.line:
        lines.extend(_caret(source, finding.line, column_of(raw, finding), width, glyphs))
    lines.extend(paragraph(head, width, 2))
    if rest.strip():
        lines.extend(paragraph(rest.strip(), width, 2, "dim"))
    lines.append("")
    return lines


def _caret(source: str, line: int, at: int | None, width: int, glyphs: Glyphs) -> list[Part]:
    """The source line behind its number, and a caret under the column (or under the first sign)."""
    lead = f"{line:>5} {glyphs.rule} "
    shown, caret = pointed(source, at, max(width - len(lead), _LEAST), glyphs)
    return [(lead + shown, ""), (f"{'':>5} {glyphs.rule} {caret}", "bold $error")]
