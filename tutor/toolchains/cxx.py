"""Plain C and C++: a shared library with `extern "C"` functions, loaded with ctypes."""

from __future__ import annotations

from collections.abc import Sequence

from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.toolchains.base import Availability, BuildPlan, BuildRequest, WarmTask
from tutor.toolchains.compilers import available
from tutor.toolchains.diagnose_cc import compiler_findings
from tutor.toolchains.recipe import Recipe, build_plan, compiled_sources


class CxxToolchain:
    """A header the learner edits is compiled through the given .cpp that includes it."""

    name: ToolchainName = "cxx"

    def probe(self) -> Availability:
        """A C++ compiler is all it needs."""
        return available("c++")

    def plan(self, request: BuildRequest) -> BuildPlan:
        """One command; undefined symbols are a link error."""
        exercise = request.exercise
        return build_plan(request, Recipe(f"lib{exercise.module}.so", compiled_sources(exercise)), "library")

    def parse(self, request: BuildRequest, output: str) -> tuple[Finding, ...]:
        """What the compiler and the linker say."""
        return compiler_findings(request, output)

    def warm(self, exercises: Sequence[Exercise]) -> tuple[WarmTask, ...]:
        """Nothing: these sources include little."""
        return ()
