"""The speed panel: each case as a bar against baseline, target and gold and over the saves; where the time went."""

from __future__ import annotations

from textual.content import Content

from tutor.core import history
from tutor.core.exercise import BenchSpec
from tutor.core.roof import owner
from tutor.core.roof import standing as standing_under
from tutor.core.verdict import BenchResult, Seconds
from tutor.ui.glyphs import Glyphs
from tutor.ui.pictures import over_saves, stages, waterfall
from tutor.ui.roofline import short
from tutor.ui.typeset import Part, fit, paragraph, ratio, seconds, spread, stack
from tutor.ui.view import View
from tutor.ui.widgets.panel import Panel


class SpeedPanel(Panel):
    """Panel 4."""

    TITLE = "Speed"

    def subject(self, view: View) -> object:
        """The cases measured so far and those to come, the versions before, and the seconds of the last verdict."""
        run = view.benched()
        now = run and (run.bench, run.active, run.build_ok, run.verdict and run.verdict.seconds)
        return (now, _old(view), view.state.past, view.state.roof, view.exercise and view.exercise.bench, self._alone)

    @property
    def _alone(self) -> bool:
        """True where the panel has the screen for itself; beside failing checks it must be short."""
        return self.screen.has_class("-tabs")

    def badge(self, view: View) -> Part:
        """The slowest gated case, or the slowest of all."""
        run = view.run
        if run is None or not run.bench:
            return (view.glyphs.ellipsis, "dim") if run and run.active and run.stage == "bench" else ("", "")
        worst = min(run.bench, key=lambda b: (b.met is not False, not b.gated, b.speedup / b.target))
        sign, style, _ = standing(worst, view.glyphs, measuring=worst.case == _measured_now(view))
        return (f"{ratio(worst.speedup, view.glyphs.times)}{sign}", style)

    def draw(self, view: View, width: int) -> Content:
        """Four lines a case and its history; what is to be measured where nothing has been; seconds by stage."""
        run = view.benched()
        measured = {bench.case: bench for bench in run.bench} if run else {}
        specs = view.exercise.bench if view.exercise else ()
        lines: list[Content | str | Part] = []
        # What was measured before stands until it is measured again: then nothing below it moves.
        known = _old(view) | measured
        order = {spec.case: number for number, spec in enumerate(specs)}
        for case in sorted(known, key=lambda case: order.get(case, len(order))):
            right = _standing_words(view, known[case], stale=case not in measured)
            lines.extend(_case(known[case], width, view.glyphs, right))
            lines.extend(_under_the_roof(view, known[case], width))
            lines.extend(_before(view, case, width))
        waiting = [spec for spec in specs if spec.case not in known]
        if waiting and not known:
            lines.append(("measured once every check passes:", "dim"))
        for spec in waiting:
            lines.append(_waiting(spec, width, view.glyphs))
            lines.extend(_before(view, spec.case, width))
        lines = lines or [("no benchmark in this exercise", "dim")]
        if run and run.verdict and (measured or self._alone):
            lines.extend(_spent(run.verdict.seconds, width, view.glyphs))
        elif run and run.verdict:
            spent = (f"{name} {seconds(took, view.glyphs.micro)}" for name, took in stages(run.verdict.seconds))
            lines.append((fit(", ".join(spent), width, view.glyphs.ellipsis), "dim"))
        return stack(lines)


def standing(bench: BenchResult, glyphs: Glyphs, *, measuring: bool = False) -> tuple[str, str, str]:
    """Sign, style and words for where a case stands; while it is measured nothing is decided yet."""
    if bench.met is None and measuring:
        return glyphs.pending, "dim", "measuring"
    if bench.met and bench.gold and bench.low >= bench.gold:
        return glyphs.gold, "bold $success", "gold"
    if bench.met is None:
        return glyphs.unsure, "$warning", "inconclusive: the machine is too noisy"
    if bench.met:
        return glyphs.passed, "$success", "target met"
    return glyphs.failed, "bold $error" if bench.gated else "$warning", "below the target"


def _measured_now(view: View) -> str:
    """The case whose samples are being taken: the newest of a run that is not over."""
    run = view.benched()
    return run.bench[-1].case if run and run.active and run.bench else ""


def _standing_words(view: View, bench: BenchResult, *, stale: bool) -> Part:
    if stale:
        return (f"{view.glyphs.pending} of the run before", "dim")
    sign, style, words = standing(bench, view.glyphs, measuring=bench.case == _measured_now(view))
    return (f"{sign} {words}", style)


def _old(view: View) -> dict[str, BenchResult]:
    """While a run measures: the cases of the run before."""
    if not view.running or view.previous is None or view.benched() is not view.run:
        return {}
    return {bench.case: bench for bench in view.previous.bench}


def _before(view: View, case: str, width: int) -> list[Content | str | Part]:
    """The case over the versions of this exercise so far; a line, or none."""
    picture, words = over_saves(history.speeds(view.state.past, case), view.glyphs, width)
    return [Content.assemble((picture, "$accent"), (f"  {words}", "dim"))] if words else []


def _under_the_roof(view: View, bench: BenchResult, width: int) -> list[Content | str | Part]:
    """How near the case is to the machine's limit; nothing where the case does not say what it moves."""
    if bench.bytes <= 0:
        return []
    roof = view.state.roof
    if roof is None or roof.gpu != bench.gpu:
        # The line has its place before the machine is measured: over SSH all below it would be sent once more.
        return [
            (fit(f"{view.glyphs.ellipsis} of {owner(bench.gpu)}'s bandwidth (b)", width, view.glyphs.ellipsis), "dim")
        ]
    placed = standing_under(bench, roof)
    return [(fit(f"{short(placed)} (b)", width, view.glyphs.ellipsis), "dim")] if placed else []


def _spent(took: Seconds, width: int, glyphs: Glyphs) -> list[Content | str | Part]:
    """Where the time from the save to the verdict went."""
    rows = waterfall(took, glyphs, min(width, 100))
    if not rows:
        return []
    title = Content.assemble("", (f"{seconds(took.total, glyphs.micro)} from save to verdict", "bold"))
    return ["", title, *(Content.assemble((words, "dim"), "  ", (drawn, "$accent")) for words, drawn in rows)]


def _waiting(spec: BenchSpec, width: int, glyphs: Glyphs) -> Content:
    target = f"at least {ratio(spec.target, glyphs.times)} {spec.baseline}"
    gold = f", gold {ratio(spec.gold, glyphs.times)}" if spec.gold else ""
    return Content.styled(fit(f"{glyphs.pending} {spec.case}: {target}{gold}", width, glyphs.ellipsis), "dim")


def _case(bench: BenchResult, width: int, glyphs: Glyphs, right: Part) -> list[Content | str | Part]:
    """The four lines of a case; `right` says where it stands."""
    against = bench.baseline if bench.against == "baseline" else bench.against
    left: list[Part] = [(bench.case, "bold"), (f" against {against}", "dim")]
    lines: list[Content | str | Part] = [spread(left, [right], width, glyphs.ellipsis)]
    interval = f"({ratio(bench.low, '')}{glyphs.dash}{ratio(bench.high, glyphs.times)})"
    value = f" {ratio(bench.speedup, glyphs.times)} {interval}"
    room = max(width - len(value), 8)
    lines.append(Content.assemble(bar(bench, room, glyphs), (value, right[1])))
    lines.append((scale(bench, room, glyphs), "dim"))
    times = f"{seconds(bench.seconds, glyphs.micro)} a call, baseline {seconds(bench.baseline_seconds, glyphs.micro)}"
    pairs = f", {bench.pairs} pairs" if bench.pairs else ""
    lines.append((fit(times + pairs, width, glyphs.ellipsis), "dim"))
    if bench.note:
        lines.extend(paragraph(bench.note, width, 0, "$warning"))
    return lines


def _top(bench: BenchResult) -> float:
    """The speedup at the right end of the bar: a little beyond everything it must show."""
    return 1.08 * max(min(bench.high, 4 * bench.speedup), bench.target, bench.gold or 0.0, 1.0)


def _cell(value: float, bench: BenchResult, width: int) -> int:
    return min(max(round(value / _top(bench) * (width - 1)), 0), width - 1)


def bar(bench: BenchResult, width: int, glyphs: Glyphs) -> Content:
    """Solid up to the lower end of the interval, shaded up to the upper, the target as an upright mark."""
    low, high = _cell(bench.low, bench, width), _cell(bench.high, bench, width)
    _, style, _ = standing(bench, glyphs)
    cells = [
        (glyphs.full, style) if i <= low else (glyphs.between, style) if i <= high else (" ", "") for i in range(width)
    ]
    cells[_cell(bench.target, bench, width)] = (glyphs.mark, "bold")
    if bench.gold:
        cells[_cell(bench.gold, bench, width)] = (glyphs.gold, "$warning")
    return Content.assemble(*cells)


def scale(bench: BenchResult, width: int, glyphs: Glyphs) -> str:
    """The line under a bar: ticks for target, gold and baseline; a label is shortened where it would collide."""
    row = [" "] * width
    for value, label in ((bench.target, "target"), (bench.gold, "gold"), (1.0, "baseline")):
        if value is not None:
            _label(row, _cell(value, bench, width), f"{label} {ratio(value, glyphs.times)}", label, glyphs.tick)
    return "".join(row).rstrip()


def _label(row: list[str], at: int, full: str, short: str, tick: str) -> None:
    """Put the longest text that is free of its neighbours beside the tick, at its right or its left."""
    for text, start in (
        (tick + full, at),
        (full + tick, at - len(full)),
        (tick + short, at),
        (short + tick, at - len(short)),
        (tick, at),
    ):
        end = start + len(text)
        if start >= 0 and end <= len(row) and all(cell == " " for cell in row[max(start - 1, 0) : end + 1]):
            row[start:end] = text
            return
