"""The page docs/results.md, made of what benchmarks/course_results.py measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HEADLINES = ("capi-evt1", "cy-gae", "op-rope", "op-swa")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when; `driver` is the compiler that built the solutions. No name of the machine is in here."""

    date: str
    processor: str
    cores: int
    architecture: str
    python: str
    driver: str
    tools: dict[str, str]
    packages: dict[str, str]
    load_before: float
    load_after: float
    seconds: int
    gpu: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One case of one exercise. Seconds are medians a call; `met` is None for a case that has no gate or no verdict.

    problem: why there is no number; empty when there is one.
    """

    number: str
    exercise: str
    toolchain: str
    case: str
    baseline: str
    target: float
    gold: float | None
    gated: bool
    ratio: float = 0.0
    low: float = 0.0
    high: float = 0.0
    seconds: float = 0.0
    baseline_seconds: float = 0.0
    pairs: int = 0
    met: bool | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ExtraBytes:
    """Peak bytes that one call added to its process, for the solution and its baseline."""

    exercise: str
    case: str
    solution: int
    baseline: int


@dataclass(frozen=True, slots=True)
class Results:
    """One run of so many rounds. `untimed`: exercises without a speed target."""

    machine: Machine
    rounds: int
    rows: tuple[Row, ...]
    extra: tuple[ExtraBytes, ...]
    untimed: tuple[str, ...]


def page(results: Results) -> str:
    """The page in Markdown: headlines, the machine, all cases."""
    first = [row for name in HEADLINES for row in results.rows if row.exercise == name]
    parts = ["# What the solutions reach", f"{_INTRODUCTION}\n{_rounds(results.rounds)}"]
    if first:
        parts += ["## Capstones", _table(first), *_extra_lines(results.extra)]
    parts += ["## The machine", _machine_lines(results.machine), "## All exercises", _table(results.rows)]
    if results.untimed:
        parts.append(f"Without a speed target: {', '.join(results.untimed)}.")
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
`make results` makes this page: the engine that judges a learner's save builds the reference solution of every exercise
and times it, all in one run. A ratio is the baseline's time over the solution's, from interleaved pairs on fresh inputs
with every output verified; the range is its 95 % interval. Both run with one torch thread. The target is what a learner
must reach: about half of what the solution does, because machines differ. A target in parentheses is shown and not
asked for."""


def _rounds(number: int) -> str:
    if number == 1:
        return "Each case was measured once."
    return f"Each case was measured {number} times; shown is the measurement with the middle ratio."


def _machine_lines(machine: Machine) -> str:
    tools = ", ".join(f"{name} {version}" for name, version in machine.tools.items())
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    gpu = f", {machine.gpu}" if machine.gpu else ""
    lines = (
        f"{machine.processor}, {machine.cores} cores ({machine.architecture}){gpu}, {machine.date}.",
        f"Python {machine.python}, {packages}; {tools}; C and C++ built by {machine.driver}.",
        f"Load average {machine.load_before} before and {machine.load_after} after the run of {machine.seconds} s.",
    )
    return "\n".join(lines)


def _table(rows: Iterable[Row]) -> str:
    lines = [
        "| | exercise | case | baseline | baseline's time | solution's time | ratio (95 %) | target | met |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    head = (row.number, row.exercise, row.case, row.baseline.replace("|", "\\|"))
    if row.problem:
        return (*head, "", "", row.problem.replace("|", "\\|").replace("\n", " "), target_words(row), "")
    ratio = f"**{times(row.ratio)}** ({times(row.low)} to {times(row.high)})"
    return (*head, duration(row.baseline_seconds), duration(row.seconds), ratio, target_words(row), _met(row))


def _met(row: Row) -> str:
    if not row.gated:
        return ""
    return {True: "yes", False: "**no**", None: "too noisy to say"}[row.met]


def target_words(row: Row) -> str:
    """The target, in parentheses where nothing depends on it, and what earns gold."""
    target = times(row.target) if row.gated else f"({times(row.target)})"
    return f"{target}, gold {times(row.gold)}" if row.gold else target


def _extra_lines(extra: Iterable[ExtraBytes]) -> list[str]:
    return [
        f"Extra memory of one call ({one.exercise}, {one.case}), the highest point of the process above where it was "
        f"before: solution {size(one.solution)}, baseline {size(one.baseline)}."
        for one in extra
    ]


def times(ratio: float) -> str:
    """`12.3x`, with three digits."""
    return f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.3g}x"


def duration(seconds: float) -> str:
    """Seconds with a unit that fits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def size(number: int) -> str:
    """Bytes, exact when few."""
    return f"{number / 1e6:,.1f} MB" if number >= 100_000 else f"{number:,} bytes"
