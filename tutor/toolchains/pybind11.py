"""pybind11: one .cpp, a precompiled header with the usual instantiations behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.toolchains.base import Availability, BuildPlan, BuildRequest, WarmTask
from tutor.toolchains.cext import python_recipe
from tutor.toolchains.compilers import available
from tutor.toolchains.diagnose_cc import compiler_findings
from tutor.toolchains.packages import package_folder, version
from tutor.toolchains.pch import Header
from tutor.toolchains.recipe import Recipe, build_plan, compiled_sources, header_task, source_text

HEADER = Header("pybind11", "c++", ("pybind11", "numpy"), codegen=True, seconds=(16.0, 6.0))
REMEDY = "`pip install pybind11`"


class Pybind11Toolchain:
    """Symbols are hidden, as setuptools' and CMake's pybind11 helpers do."""

    name: ToolchainName = "pybind11"

    def probe(self) -> Availability:
        """pybind11, a C++ compiler and Python.h."""
        if package_folder("pybind11") is None:
            return Availability(False, missing="pybind11 is not installed", remedy=REMEDY)
        return available("c++", python=True)

    def plan(self, request: BuildRequest) -> BuildPlan:
        """One command."""
        exercise = request.exercise
        recipe = pybind11_recipe(exercise.module, compiled_sources(exercise))
        if "pybind11/" not in source_text(request):
            recipe = replace(recipe, header=None)
        return build_plan(request, recipe, "extension")

    def parse(self, request: BuildRequest, output: str) -> tuple[Finding, ...]:
        """What the compiler and the linker say."""
        return compiler_findings(request, output)

    def warm(self, exercises: Sequence[Exercise]) -> tuple[WarmTask, ...]:
        """The precompiled header."""
        return header_task(pybind11_recipe("any", ()))


def pybind11_recipe(module: str, sources: tuple[str, ...]) -> Recipe:
    """Words of a pybind11 build."""
    folder = package_folder("pybind11")
    base = python_recipe(module, sources, HEADER)
    includes = ((folder / "include",) if folder else ()) + base.includes
    versions = (*base.versions, version("pybind11"))
    return replace(base, includes=includes, flags=("-fvisibility=hidden",), versions=versions)
