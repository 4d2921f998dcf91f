"""The verdict: two lines that always say where the learner stands and what to do first."""

from __future__ import annotations

from pathlib import PurePath

from textual.content import Content
from textual.widgets import Static

from tutor.core.finding import Finding
from tutor.core.state import RunState
from tutor.core.verdict import Outcome, Verdict
from tutor.ui.framework import line_width
from tutor.ui.typeset import Part, fit, plural, ratio, seconds, stack
from tutor.ui.view import View
from tutor.ui.widgets.references import grouped

_MEANS = {
    Outcome.PASS: ("PASS", "$success"),
    Outcome.FAIL: ("FAIL", "$error"),
    Outcome.ERROR: ("ERROR", "$error"),
    Outcome.SKIPPED: ("SKIPPED", "$warning"),
}
_DOING = {"build": "building", "check": "checking", "diagnose": "diagnosing", "bench": "measuring"}


class VerdictBanner(Static):
    """Always on screen."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._view: View | None = None
        self._lines: tuple[tuple[Part, ...], ...] = ()
        self._width = 0

    def show(self, view: View) -> None:
        """Draw when the words or the width differ."""
        self._view = view
        self._draw()

    def on_resize(self) -> None:
        """Cut for the new width."""
        self._draw()

    def _draw(self) -> None:
        width = line_width(self)
        if self._view is None or width <= 0:
            return
        lines = banner(self._view)
        if lines == self._lines and width == self._width:
            return
        self._lines, self._width = lines, width
        self.update(stack(_cut(line, width, self._view.glyphs.ellipsis) for line in lines), layout=False)


def _cut(line: tuple[Part, ...], width: int, ellipsis: str) -> Content:
    parts: list[Part] = []
    for text, style in line:
        text = fit(text, width, ellipsis)
        width -= len(text)
        parts.append((text, style))
    return Content.assemble(*parts)


def banner(view: View) -> tuple[tuple[Part, ...], ...]:
    """The two lines, each as parts with styles."""
    run = view.run
    if view.state.missing:
        name = PurePath(view.state.missing).name
        if view.state.unreadable:
            head: tuple[Part, ...] = (("UNREADABLE", "bold $warning"), (f"  {name} is there and can't be read", ""))
            return (head, (("look at its owner and permissions, then save", "dim"),))
        head = (("MISSING", "bold $warning"), (f"  {name} is gone", ""))
        return (head, (("save it again, or press v (kept versions) or x (starter)", "dim"),))
    if run is None:
        words = "save the file, or press r to run" if view.connected else "starting the engine"
        return ((("READY", "bold"), (f"  {words}", "")), (("", ""),))
    if run.cancelled:
        return ((("STOPPED", "bold $warning"), ("  this run was ended", "")), (("press r to run again", "dim"),))
    if run.verdict is None:
        return _running(run, view)
    return _verdict(run.judged or run.verdict, view)


def _running(run: RunState, view: View) -> tuple[tuple[Part, ...], ...]:
    done, total = len(run.checks), max(len(run.announced), len(run.checks))
    count = f"  {done} of {plural(total, 'check')}" if run.stage in ("check", "diagnose") and total else ""
    head: tuple[Part, ...] = (("RUNNING", "bold $accent"), (f"  {_DOING[run.stage]}{count}", ""))
    bad = next((check for check in run.checks if check.outcome in (Outcome.FAIL, Outcome.ERROR)), None)
    if bad is not None:
        return (head, ((f"{view.glyphs.failed} ", "bold $error"), (bad.message or bad.id, "")))
    if run.detail.startswith("waiting") or (run.stage == "check" and run.detail and not run.announced):
        # For a place, for a quiet machine, for the worker: whoever waits is told what for.
        return (head, ((run.detail, ""), ("   k stops, q leaves", "dim")))
    previous = view.previous.verdict if view.previous else None
    return (head, ((f"before this: {_MEANS[previous.verdict][0].lower()}" if previous else "", "dim"),))


def _verdict(verdict: Verdict, view: View) -> tuple[tuple[Part, ...], ...]:
    word, style = _MEANS[verdict.verdict]
    sign: Part = (f"{view.glyphs.outcome(verdict.verdict)} {word}", f"bold {style}")
    if verdict.verdict is Outcome.PASS:
        return _passed(sign, verdict, view)
    if verdict.verdict is Outcome.FAIL:
        head, advice = _failed(sign, verdict, view)
        return head, _nudged(view, verdict.worst) or advice
    said = verdict.message or ("this exercise can't run here" if word == "SKIPPED" else "something outside your code")
    return ((sign, (f"  {said}", "")), ((verdict.remedy or "? and `mltutor doctor` say more", "$accent"),))


def _passed(sign: Part, verdict: Verdict, view: View) -> tuple[tuple[Part, ...], ...]:
    facts = [plural(len(verdict.checks), "check")]
    if verdict.bench:
        slowest = min(verdict.bench, key=lambda b: (not b.gated, b.speedup / b.target if b.target else b.speedup))
        facts.append(f"{ratio(slowest.speedup, view.glyphs.times)} against {slowest.baseline}")
        if slowest.gold and slowest.low >= slowest.gold:
            facts.append(f"{view.glyphs.gold} gold")
        elif any(bench.met is None for bench in verdict.bench):
            facts.append("speed inconclusive")
    facts.append(f"in {seconds(verdict.seconds.total, view.glyphs.micro)}")
    onward = view.neighbour(1)
    then: tuple[Part, ...] = (("that was the last one: well done. ", ""), ("l", "bold $accent"), (" lists all", ""))
    if onward is not None:
        then = (
            ("n", "bold $accent"),
            (f" goes on to {onward.number} {onward.title}", ""),
            (f"  {onward.summary}", "dim"),
        )
    dot = f" {view.glyphs.dot} "
    return ((sign, ("  " + dot.join(facts), "")), then)


def _failed(sign: Part, verdict: Verdict, view: View) -> tuple[tuple[Part, ...], ...]:
    worst = verdict.worst
    first: tuple[Part, ...] = (sign,)
    if worst is None:
        bad = next((check for check in verdict.checks if check.outcome is not Outcome.PASS), None)
        said = verdict.message or (bad.message or bad.id if bad else "not everything that was announced has passed")
        return ((sign, (f"  {_first_line(said)}", "")), (("h hint   d diff", "dim"),))
    first = (
        sign,
        (f"  {worst.place}" if worst.place else "", "bold"),
        (f"  {worst.code}: {_first_line(worst.message)}", ""),
    )
    return (first, ((_advice(worst, verdict, view), "dim"),))


def _nudged(view: View, worst: Finding | None) -> tuple[Part, ...]:
    """The second line once the same thing has failed in several versions; empty before."""
    offer = view.nudge
    if offer is None:
        return ()
    own = view.editable(worst)
    place = f"   e opens line {own[1]}" if own and own[1] else ""
    return ((f"{offer.failing}: ", ""), (offer.offer, "$accent"), (place, "dim"))


def _advice(worst: Finding, verdict: Verdict, view: View) -> str:
    """What comes after the worst finding: other findings, checks that fail without one, or checks that have not run."""
    name, line = view.editable(worst) or (view.exercise.main_file if view.exercise else "the file", None)
    go = f"e opens line {line}" if line else f"e opens {name}"
    others = len(grouped(verdict.findings)) - 1
    unsaid = sum(check.outcome is Outcome.FAIL and not check.findings for check in verdict.checks)
    if others > 0:
        more = f"fix this first, then {plural(others, 'other')}"
    elif verdict.stage == "build":
        more = "fix this first, then the checks run"
    elif unsaid and any(check.findings for check in verdict.checks):
        more = f"fix this first; {plural(unsaid, 'more check')} may fail of it"
    else:
        more = "this is all that is left"
    return f"{more}   {go}   h hint"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
