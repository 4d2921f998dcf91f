"""What an exercise is: its files, needs, benchmark cases and the faults that its checks must name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from tutor.core.progress import Progress

ToolchainName = Literal["cxx", "cext", "cython", "pybind11", "ctypes", "cffi", "rust", "torch", "cuda"]
Stage = Literal["build", "check", "diagnose", "bench"]
Need = Literal["gpu", "cargo", "nvcc", "torch"]

_TECHNOLOGIES: dict[ToolchainName, str] = {
    "cxx": "C++",
    "cext": "C extension",
    "cython": "Cython",
    "rust": "Rust",
    "torch": "PyTorch operator",
    "cuda": "CUDA",
    "pybind11": "pybind11",
    "ctypes": "ctypes",
    "cffi": "cffi",
}

# Said beside the advice of what comes first.
ALL_THE_SAME = "you can do it first all the same"


class BuildOptions(Struct, frozen=True):
    """Extra compiler and linker words an exercise asks for, and the C libraries of native/ that it links."""

    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    std: str = ""


class StarterFails(Struct, frozen=True):
    """How the untouched starter must fail: the stage, and the codes of which one must be reported."""

    stage: Stage
    codes: tuple[str, ...] = ()


class BenchSpec(Struct, frozen=True):
    """One benchmark case: speedup over the baseline needed to pass, and the one that earns gold (both ratios)."""

    case: str
    baseline: str
    target: float
    gold: float | None = None
    gated: bool = True


class Fault(Struct, frozen=True):
    """A planted mistake: a patch against the solution, the finding it must give, and where (`at`: text of the line)."""

    patch: str
    code: str
    file: str = ""
    at: str = ""
    line: int | None = None


class Exercise(Struct, frozen=True):
    """One exercise of the lesson tree. `files` are edited by the learner, `given` come from the solution unchanged.

    alternatives: names of the right solutions in another style, which must pass as well.
    """

    id: str
    number: str
    title: str
    summary: str
    toolchain: ToolchainName
    module: str
    folder: Path
    files: tuple[str, ...]
    given: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    time_limit: float = 10.0
    memory_limit_mb: int = 2048
    build: BuildOptions = BuildOptions()
    starter: StarterFails = StarterFails("check")
    bench: tuple[BenchSpec, ...] = ()
    faults: tuple[Fault, ...] = ()
    alternatives: tuple[str, ...] = ()

    @property
    def main_file(self) -> str:
        """The file the editor opens first."""
        return self.files[0]

    def own(self, file: str) -> str | None:
        """Which of the learner's files a finding's path names; None for any other file."""
        return next((name for name in self.files if file == name or file.endswith(f"/{name}")), None)

    @property
    def technology(self) -> str:
        """What it is written with, as people call it: the toolchain's name is ours."""
        return _TECHNOLOGIES[self.toolchain]

    def matches(self, words: str) -> bool:
        """True when every word occurs in the number, id, title, summary, toolchain or technology."""
        named = self.toolchain, self.technology
        text = " ".join((self.number, self.id, self.title, self.summary, *named)).lower()
        return all(word in text for word in words.lower().split())

    @property
    def solution(self) -> Path:
        """The folder of the reference solution, gaps marked."""
        return self.folder / "solution"

    @property
    def flavour(self) -> Literal["plain", "torch", "cuda"]:
        """Which zygote runs its checks."""
        if self.toolchain == "cuda":
            return "cuda"
        return "torch" if self.toolchain == "torch" or "torch" in self.needs else "plain"


class Lesson(Struct, frozen=True):
    """One lesson: a number, a title, and its exercises in order."""

    number: int
    name: str
    title: str
    summary: str
    folder: Path
    exercises: tuple[Exercise, ...]


class Course(Struct, frozen=True):
    """The lesson tree, in order."""

    root: Path
    lessons: tuple[Lesson, ...]

    def advice(self, exercise: Exercise, progress: Progress) -> str:
        """What an exercise that was never run builds on and has not passed, as words; else empty. Nothing is locked."""
        if progress.of(exercise.id).runs:
            return ""
        missing = [id for id in exercise.requires if id not in progress.passed]
        open_yet = [one for id in missing if (one := self.find(id)) is not None]
        named = " and ".join(f"{one.number} {one.title}" for one in open_yet)
        return f"{exercise.number} builds on {named}, not passed yet" if named else ""

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """All exercises in reading order."""
        return tuple(exercise for lesson in self.lessons for exercise in lesson.exercises)

    def find(self, id: str) -> Exercise | None:
        """The exercise of exactly this id."""
        return next((exercise for exercise in self.exercises if exercise.id == id), None)
