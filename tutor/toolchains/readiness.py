"""What this machine means for each lesson: which exercises run, which are only compiled, which are skipped and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tutor.core.exercise import Course, Exercise, Lesson
from tutor.toolchains import programs
from tutor.toolchains.base import Availability
from tutor.toolchains.doctor import DoctorLine, examine
from tutor.toolchains.packages import torch_versions
from tutor.toolchains.registry import toolchain

NO_GPU = "no GPU"


@dataclass(frozen=True, slots=True)
class LessonReadiness:
    """How many of a lesson's exercises run here; `skipped` and `compiled` (only that) are ids, `why` the reasons."""

    number: int
    title: str
    total: int
    skipped: tuple[str, ...] = ()
    compiled: tuple[str, ...] = ()
    why: tuple[str, ...] = ()

    @property
    def status(self) -> Literal["ok", "limited", "missing"]:
        """`missing` when nothing of it runs."""
        held_back = len(self.skipped) + len(self.compiled)
        return "ok" if not held_back else "missing" if held_back == self.total else "limited"

    @property
    def text(self) -> str:
        """`all 6 exercises run`, `5 of 6 run; op-quant-cuda is only compiled: no GPU`."""
        if self.status == "ok":
            return f"all {self.total} exercises run" if self.total > 1 else "its exercise runs"
        parts = [
            # Only one is named: a page of few lines tells a whole machine.
            f"{ids[0]} is {what}" if len(ids) == 1 else f"{len(ids)} are {what}"
            for ids, what in ((self.skipped, "skipped"), (self.compiled, "only compiled"))
            if ids
        ]
        if self.status == "missing":
            parts = ["skipped" if self.skipped else "only compiled"]
        else:
            parts.insert(0, f"{self.total - len(self.skipped) - len(self.compiled)} of {self.total} run")
        return "; ".join(parts) + f": {', '.join(self.why)}"


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found here, and what follows for the lessons."""

    lines: tuple[DoctorLine, ...]
    lessons: tuple[LessonReadiness, ...]

    @property
    def here(self) -> tuple[DoctorLine, ...]:
        """What is in order."""
        return tuple(line for line in self.lines if line.status == "ok")

    @property
    def wanting(self) -> tuple[DoctorLine, ...]:
        """What is missing or could be better, the missing first."""
        return tuple(sorted((x for x in self.lines if x.status != "ok"), key=lambda line: line.status != "missing"))


def look(course: Course) -> Machine:
    """Examine the machine for this course. Starts compilers to ask for their versions: some tenths of a second."""
    return Machine(examine(), tuple(readiness(lesson) for lesson in course.lessons if lesson.exercises))


def readiness(lesson: Lesson) -> LessonReadiness:
    """One lesson."""
    skipped: list[str] = []
    compiled: list[str] = []
    why: list[str] = []
    for exercise in lesson.exercises:
        missing = _missing(exercise)
        if missing:
            skipped.append(exercise.id)
            why.append(missing)
        elif exercise.toolchain == "cuda" and not programs.gpu_capability():
            compiled.append(exercise.id)
            why.append(NO_GPU)
    reasons = tuple(dict.fromkeys(why))
    return LessonReadiness(lesson.number, lesson.title, len(lesson.exercises), tuple(skipped), tuple(compiled), reasons)


def _missing(exercise: Exercise) -> str:
    """What keeps an exercise from being built or checked here; empty when nothing does."""
    there: Availability = toolchain(exercise.toolchain).probe()
    if not there.ready:
        return there.missing or there.detail
    if "torch" in exercise.needs and not torch_versions()[0]:
        return "torch is not installed"
    return NO_GPU if "gpu" in exercise.needs and not programs.gpu_capability() else ""
