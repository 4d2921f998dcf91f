"""Tables: the course, progress, kept versions, what this machine can do, and the proof of exercises."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from tutor.cli.output import Output, clean
from tutor.core.exercise import Course
from tutor.core.history import PastRun, speed_of
from tutor.core.progress import Progress
from tutor.core.versions import Version, changes


def make_table(*columns: str, title: str = "") -> Table:
    """An empty table in the house style."""
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def cell(text: str, style: str = "") -> Text:
    """Text for a table cell, free of markup and of control characters."""
    return Text(clean(text), style)


def show_course(output: Output, course: Course, progress: Progress) -> None:
    """Lessons with their exercises: a sign for passed, current or open."""
    glyphs = output.glyphs
    ids = max((len(e.id) for e in course.exercises), default=0)
    for lesson in course.lessons:
        if not lesson.exercises:
            continue
        output.text((f"{lesson.number}  {lesson.title}", "bold"))
        for exercise in lesson.exercises:
            sign, style = glyphs.pending, "dim"
            if exercise.id in progress.passed:
                sign, style = glyphs.passed, "green"
            elif exercise.id == progress.current:
                sign, style = glyphs.here, "cyan"
            needs = f"  needs {', '.join(exercise.needs)}" if exercise.needs else ""
            title = (f"{sign} ", style), f"{exercise.number:<4} {exercise.id:<{ids}}  {exercise.title}", (needs, "dim")
            output.text(*title, indent=2)
            output.text((exercise.summary, "dim"), indent=11 + ids)
        output.blank()
    done = sum(e.id in progress.passed for e in course.exercises)
    output.text(f"{done} of {len(course.exercises)} passed")


def show_progress(output: Output, course: Course, progress: Progress) -> None:
    """One row an exercise: passed when, best speedups, hints, runs."""
    glyphs = output.glyphs
    table = make_table("", "exercise", "passed", "best speedup", "hints", "runs")
    for exercise in course.exercises:
        mine = progress.of(exercise.id)
        sign = cell(glyphs.passed, "green") if mine.passed else cell(glyphs.pending, "dim")
        if exercise.id == progress.current and not mine.passed:
            sign = cell(glyphs.here, "cyan")
        when = time.strftime("%Y-%m-%d", time.localtime(mine.passed_at)) if mine.passed_at is not None else ""
        best = ", ".join(f"{case} {ratio:.2f}{glyphs.times}" for case, ratio in mine.best.items())
        hints = f"{mine.hints}" if mine.hints else ""
        seen = " +solution" if mine.solution_seen else ""
        name = f"{exercise.number} {exercise.id}"
        table.add_row(sign, cell(name), cell(when), cell(best), cell(hints + seen), cell(str(mine.runs or "")))
    output.console.print(table)
    done = sum(e.id in progress.passed for e in course.exercises)
    output.blank()
    output.text(f"{done} of {len(course.exercises)} passed")


def show_versions(
    output: Output, kept: Sequence[Version], mine: Mapping[str, bytes], past: Sequence[PastRun] = ()
) -> None:
    """One row a kept version: its number, when, why, how far from the files as they are, and how fast it was."""
    table = make_table("", "version", "kept", "why", "against yours", "speed")
    for version in kept:
        sign = cell(output.glyphs.passed, "green") if version.kind == "passed" else cell(output.glyphs.pending, "dim")
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(version.at))
        fast = speed_of(past, version.digest)
        table.add_row(
            sign,
            cell(str(version.number)),
            cell(when),
            cell(version.title),
            cell(changes(version, mine).text),
            cell(f"{fast:.2f}{output.glyphs.times}" if fast else ""),
        )
    output.console.print(table)


def show_rows(output: Output, columns: tuple[str, ...], rows: Iterable[tuple[tuple[str, str], ...]]) -> None:
    """A table of (text, style) cells."""
    table = make_table(*columns)
    for row in rows:
        table.add_row(*(cell(text, style) for text, style in row))
    output.console.print(table)
