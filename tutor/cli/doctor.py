"""The command doctor: what was examined on this machine, what it means, and how to get what is missing."""

from __future__ import annotations

import os
import shutil
from argparse import Namespace
from pathlib import Path

from tutor.cli import documents
from tutor.cli.context import Context
from tutor.cli.output import Output
from tutor.core.errors import TutorError
from tutor.store.lock import locked
from tutor.toolchains.base import Toolchain
from tutor.toolchains.doctor import DoctorLine, examine
from tutor.toolchains.readiness import LessonReadiness, Machine, readiness
from tutor.toolchains.registry import all_toolchains
from tutor.toolchains.settings import configure

_STYLES = {"ok": "green", "limited": "yellow", "missing": "red"}
_LITTLE_SPACE = 1 << 30
_OPTIONAL = "cuda"


def run_doctor(arguments: Namespace) -> int:
    """0 when every toolchain can build here and all folders can be written, 3 when not.

    A missing nvcc is told and no failure: who has no GPU has no use for it, and only CUDA variants are skipped.
    """
    context = Context(arguments)
    configure(context.home.cache)
    folders = (context.workspace.root, context.home.state, context.home.cache)
    lines = (*examine(folders), *map(folder_line, folders))
    chains = tuple(_chain_line(chain) for chain in all_toolchains())
    lessons = tuple(readiness(lesson) for lesson in context.course.lessons if lesson.exercises)
    unwritable = any(line.status == "missing" for line in lines[-len(folders) :])
    ready = not unwritable and all(line.status == "ok" or line.name == _OPTIONAL for line in chains)
    if context.output.as_json:
        document = documents.rows_document("lines", lines, ready)
        document["toolchains"] = documents.rows_document("toolchains", chains, ready)["toolchains"]
        document["lessons"] = documents.rows_document("lessons", lessons, ready)["lessons"]
        context.output.document(document)
    else:
        _show(context.output, "this machine", lines)
        context.output.blank()
        _show(context.output, "toolchains", chains)
        context.output.blank()
        show_lessons(context.output, lessons)
    return 0 if ready else 3


def folder_line(folder: Path) -> DoctorLine:
    """Whether a folder can be written and locked, and how much room it has; it is not made when it is not there."""
    name = f"writing in {folder}"
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    if not os.access(there, os.W_OK):
        return DoctorLine(name, "missing", f"{there} can't be written", "nothing can be saved", "choose another folder")
    free = shutil.disk_usage(there).free
    found = f"{free / 1e9:.1f} GB free"
    if there == folder:
        try:
            with locked(folder / ".lock-probe", timeout=2.0):
                (folder / ".lock-probe").unlink()
        except TutorError as error:
            return DoctorLine(name, "missing", error.message, "progress can't be saved", error.remedy)
        found += ", locks work"
    if free < _LITTLE_SPACE:
        return DoctorLine(name, "limited", found, "builds may fail", "free some space")
    return DoctorLine(name, "ok", found)


def _chain_line(chain: Toolchain) -> DoctorLine:
    there = chain.probe()
    if there.ready:
        return DoctorLine(chain.name, "ok", there.detail)
    return DoctorLine(chain.name, "missing", there.missing or there.detail, "its exercises are skipped", there.remedy)


def show_lessons(output: Output, lessons: tuple[LessonReadiness, ...]) -> None:
    """A line a lesson: what of it runs here, and why not all."""
    output.text(("lessons", "bold"))
    signs = {"ok": output.glyphs.passed, "limited": output.glyphs.unsure, "missing": output.glyphs.failed}
    for lesson in lessons:
        words = f" {lesson.number} {lesson.title}: ", (lesson.text, "dim")
        output.text((signs[lesson.status], _STYLES[lesson.status]), *words, indent=2)


def show_machine(output: Output, machine: Machine) -> None:
    """The first minute in lines: what is here, what is not and how to get it, the lessons."""
    output.raw("  here: " + ", ".join(line.name for line in machine.here))
    if machine.wanting:
        _show(output, "missing, or could be better", machine.wanting)
    show_lessons(output, machine.lessons)


def _show(output: Output, title: str, lines: tuple[DoctorLine, ...]) -> None:
    output.text((title, "bold"))
    signs = {"ok": output.glyphs.passed, "limited": output.glyphs.unsure, "missing": output.glyphs.failed}
    width = max((len(line.name) for line in lines if len(line.name) < 20), default=0)
    for line in lines:
        output.text((signs[line.status], _STYLES[line.status]), f" {line.name:<{width}}  {line.found}", indent=2)
        if line.meaning:
            output.text((line.meaning, "dim"), indent=6)
        if line.remedy and line.status != "ok":
            output.text(f"{output.glyphs.arrow} {line.remedy}", indent=6)
