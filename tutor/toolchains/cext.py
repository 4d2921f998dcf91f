"""CPython C extensions: a C or C++ file that includes Python.h."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.toolchains.base import Availability, BuildPlan, BuildRequest, WarmTask
from tutor.toolchains.compilers import available, compiler
from tutor.toolchains.diagnose_cc import compiler_findings
from tutor.toolchains.packages import extension_suffix, numpy_include, python_include, version
from tutor.toolchains.pch import Header
from tutor.toolchains.recipe import Recipe, build_plan, compiled_sources, header_task, source_text

PYTHON_HEADER = Header("python", "c", seconds=(0.3, 0.3))
# What the precompiled header fixes: it defines PY_SSIZE_T_CLEAN, and not the limited API.
_FITS = re.compile(r"^\s*#\s*define\s+PY_SSIZE_T_CLEAN\b", re.M)
_LIMITED = re.compile(r"^\s*#\s*define\s+Py_LIMITED_API\b", re.M)


def python_recipe(module: str, sources: tuple[str, ...], header: Header | None = None) -> Recipe:
    """Words common to everything that includes Python.h. Python's symbols stay undefined until it is loaded."""
    numpy = numpy_include()
    includes = (python_include(), *((numpy,) if numpy else ()))
    output = module + extension_suffix()
    return Recipe(output, sources, includes, header=header, defs=False, versions=(version("numpy"),))


class CExtensionToolchain:
    """One C file, one module."""

    name: ToolchainName = "cext"

    def probe(self) -> Availability:
        """A C compiler and Python.h."""
        return available("c", python=True)

    def plan(self, request: BuildRequest) -> BuildPlan:
        """One command."""
        exercise = request.exercise
        text = source_text(request)
        # gcc compiles Python.h in less time than it loads a precompiled one.
        fits = compiler().family == "clang" and _FITS.search(text) and not _LIMITED.search(text)
        header = PYTHON_HEADER if fits else None
        return build_plan(request, python_recipe(exercise.module, compiled_sources(exercise), header), "extension")

    def parse(self, request: BuildRequest, output: str) -> tuple[Finding, ...]:
        """What the compiler and the linker say."""
        return compiler_findings(request, output)

    def warm(self, exercises: Sequence[Exercise]) -> tuple[WarmTask, ...]:
        """Python.h, for clang."""
        if compiler().family != "clang":
            return ()
        return header_task(python_recipe("any", (), PYTHON_HEADER))
