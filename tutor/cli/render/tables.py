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
from tutor.ui.glyphs import ASCII
from tutor.ui.pictures import share

_SHARE = 30
# box.SIMPLE_HEAD with a line that every terminal has
_ASCII_HEAD = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def make_table(output: Output, *columns: str, title: str = "") -> Table:
    """An empty table in the house style."""
    lines = _ASCII_HEAD if output.glyphs is ASCII else box.SIMPLE_HEAD
    table = Table(box=lines, title=title or None, title_justify="left", pad_edge=False, show_edge=False)
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
    """A bar a lesson, then one row an exercise: passed when, best speedups, hints, runs."""
    glyphs = output.glyphs
    _show_lessons(output, course, progress)
    table = make_table(output, "", "exercise", "passed", "best speedup", "hints", "runs")
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


def _show_lessons(output: Output, course: Course, progress: Progress) -> None:
    glyphs = output.glyphs
    width = max((len(f"{lesson.number} {lesson.title}") for lesson in course.lessons), default=0)
    for lesson in course.lessons:
        if lesson.exercises:
            done, total = sum(e.id in progress.passed for e in lesson.exercises), len(lesson.exercises)
            style = "green" if done == total else "cyan"
            name = f"{f'{lesson.number} {lesson.title}':<{width}}"
            output.text((name, "bold"), f"  {f'{done}/{total}':>5}  ", (share(done, total, _SHARE, glyphs), style))
    output.blank()


def show_versions(
    output: Output, kept: Sequence[Version], mine: Mapping[str, bytes], past: Sequence[PastRun] = ()
) -> None:
    """One row a kept version: its number, when, why, how far from the files as they are, and how fast it was."""
    table = make_table(output, "", "version", "kept", "why", "against yours", "speed")
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
    table = make_table(output, *columns)
    for row in rows:
        table.add_row(*(cell(text, style) for text, style in row))
    output.console.print(table)
