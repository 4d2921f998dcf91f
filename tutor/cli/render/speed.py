"""Benchmark cases as bars: the interval of the speedup, the target and gold on one scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tutor.cli.output import Output
from tutor.core.history import PastRun, speeds
from tutor.core.verdict import BenchResult
from tutor.ui.pictures import over_saves

WIDTH = 32


def show_speed(output: Output, results: Iterable[BenchResult], past: Sequence[PastRun] = ()) -> None:
    """Print one block a case: the bar with its ratio and interval, both times, and the versions before."""
    for result in results:
        glyphs = output.glyphs
        sign, style, word = _standing(output, result)
        ratio = f"{result.speedup:.2f}{glyphs.times}"
        interval = f"({result.low:.2f}{glyphs.dash}{result.high:.2f})"
        output.text((sign, style), f" {result.case}", (f"  {word}", style), indent=2)
        output.text((bar(output, result), style), f"  {ratio} {interval}", (_goals(output, result), "dim"), indent=6)
        output.text((_times(output, result), "dim"), indent=6)
        picture, words = over_saves(speeds(past, result.case), glyphs, WIDTH + 30)
        if words:
            output.text((picture, style), (f"  {words}", "dim"), indent=6)
        if result.note:
            output.text((result.note, "yellow"), indent=6)


def _standing(output: Output, result: BenchResult) -> tuple[str, str, str]:
    glyphs = output.glyphs
    if result.against != "baseline":
        faster = "faster than" if result.low > 1 else "slower than" if result.high < 1 else "as fast as"
        return glyphs.dot, "cyan", f"{faster} the {result.against}"
    if result.met is None:
        return glyphs.unsure, "yellow", "inconclusive: the machine is too noisy"
    if not result.met:
        return glyphs.failed, "red" if result.gated else "yellow", "below the target"
    gold = result.gold is not None and result.low >= result.gold
    return (glyphs.gold, "yellow", "gold") if gold else (glyphs.passed, "green", "on target")


def bar(output: Output, result: BenchResult) -> str:
    """Solid up to the interval, hatched inside it, a mark at the target; `WIDTH` cells."""
    glyphs = output.glyphs
    against = result.against != "baseline"
    target = 1.0 if against else result.target
    top = max(result.high, target * 1.1, result.gold or 0.0)

    def cell(value: float) -> int:
        return min(WIDTH - 1, round(value / top * (WIDTH - 1))) if top else 0

    low, high = cell(result.low), cell(result.high)
    cells = [glyphs.full if i <= low else glyphs.between if i <= high else glyphs.dot for i in range(WIDTH)]
    cells[cell(target)] = glyphs.mark
    return "".join(cells)


def _goals(output: Output, result: BenchResult) -> str:
    if result.against != "baseline":
        return ""
    times = output.glyphs.times
    gold = f", gold {result.gold:g}{times}" if result.gold is not None else ""
    gate = "" if result.gated else ", not required"
    return f"  target {result.target:g}{times}{gold}{gate}"


def _times(output: Output, result: BenchResult) -> str:
    other = result.baseline if result.against == "baseline" else f"the {result.against}"
    mine, theirs = seconds(output, result.seconds), seconds(output, result.baseline_seconds)
    return f"yours {mine}, {other} {theirs}"


def seconds(output: Output, value: float) -> str:
    """A duration with three digits and a fitting unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), (f"{output.glyphs.micro}s", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"
