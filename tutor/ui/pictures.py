"""Pictures of a few cells for both faces: a speed over the saves, a run stage by stage, two versions timed."""

from __future__ import annotations

from collections.abc import Sequence

from tutor.core.verdict import BenchResult, Seconds
from tutor.ui.glyphs import Glyphs
from tutor.ui.typeset import ratio, seconds

STAGES = {"build": "build", "check": "checks", "diagnose": "diagnose", "bench": "measure"}
# What comes before the build and between the stages, in the words of the last row.
REST = "the rest"
_LEAST = 0.005


def sparkline(values: Sequence[float], glyphs: Glyphs, width: int) -> str:
    """One sign a value from zero to the largest; the newest `width` of them."""
    shown = values[-width:] if width > 0 else ()
    top = max(shown, default=0.0)
    last = len(glyphs.spark) - 1
    return "".join(glyphs.spark[round(last * max(value, 0.0) / top) if top > 0 else 0] for value in shown)


def over_saves(values: Sequence[float], glyphs: Glyphs, width: int) -> tuple[str, str]:
    """The sparkline of a case over its versions and its meaning in words, together at most `width`; empty for one."""
    if len(values) < 2:
        return "", ""
    first, last, best = values[0], values[-1], max(values)
    words = f"{len(values)} versions: {ratio(first, '')} {glyphs.arrow} {ratio(last, glyphs.times)}"
    if best > last:
        words += f", best {ratio(best, glyphs.times)}"
    return sparkline(values, glyphs, max(width - len(words) - 2, 4)), words


def stages(spent: Seconds) -> list[tuple[str, float]]:
    """Name and seconds of each stage that ran, then of what lay between; nothing for a run without any."""
    ran = [(word, getattr(spent, name)) for name, word in STAGES.items() if getattr(spent, name) > 0]
    rest = spent.total - sum(value for _, value in ran)
    return [*ran, (REST, rest)] if ran and rest >= _LEAST else ran


def waterfall(spent: Seconds, glyphs: Glyphs, width: int) -> list[tuple[str, str]]:
    """A row a stage: its name with its seconds, and a bar that begins where the one before it ends."""
    rows = stages(spent)
    whole = max(sum(value for _, value in rows), 1e-9)
    made: list[tuple[str, str]] = []
    before = 0.0
    lead = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        words = f"{name:<{lead}} {seconds(value, glyphs.micro):>7}"
        room = max(width - len(words) - 2, 8)
        start, end = round(before / whole * room), round((before + value) / whole * room)
        start = min(start, room - 1)
        made.append((words, " " * start + glyphs.full * max(end - start, 1)))
        before += value
    return made


def duel(bench: BenchResult, other: str, glyphs: Glyphs, width: int) -> list[tuple[str, str]]:
    """Two rows of a comparison: whose, seconds a call, and a bar as long as it took."""
    sides = (("yours", bench.seconds), (other, bench.baseline_seconds))
    slowest = max(bench.seconds, bench.baseline_seconds, 1e-12)
    lead = max(len(name) for name, _ in sides)
    room = max(width - lead - 12, 8)
    return [
        (f"{name:<{lead}} {seconds(took, glyphs.micro):>7}", glyphs.full * max(round(took / slowest * room), 1))
        for name, took in sides
    ]
