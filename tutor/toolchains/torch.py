"""PyTorch operators in C++: stable ABI headers, TORCH_LIBRARY, or the slow torch/extension.h, by what is included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from tutor.core.errors import EnvironmentMissing
from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.toolchains.base import Availability, BuildPlan, BuildRequest, WarmTask
from tutor.toolchains.compilers import available, compiler
from tutor.toolchains.diagnose_cc import compiler_findings
from tutor.toolchains.packages import (
    digest,
    extension_suffix,
    package_folder,
    python_include,
    torch_release,
    torch_versions,
)
from tutor.toolchains.pch import Header, wanted
from tutor.toolchains.recipe import Recipe, build_plan, compiled_sources, header_task, snapshot_sources, source_text

REMEDY = "`pip install torch`"
STABLE = Header("torch_stable", "c++", ("torch",), seconds=(2.0, 3.0))
LIBRARY = Header("torch_library", "c++", ("torch",), seconds=(6.0, 10.0))
BINDING = Header("torch_pybind", "c++", ("torch",), codegen=True, seconds=(27.0, 12.0))
EXTENSION = Header("torch_extension", "c++", ("torch",), seconds=(23.0, 30.0))
_MARKS = (
    (EXTENSION, re.compile(r"#\s*include\s*[<\"](?:torch/(?:extension|torch|all)\.h)")),
    (BINDING, re.compile(r"#\s*include\s*[<\"]torch/csrc/utils/pybind\.h")),
    (LIBRARY, re.compile(r"#\s*include\s*[<\"](?:torch/library\.h|ATen/)")),
    (STABLE, re.compile(r"#\s*include\s*[<\"]torch/(?:csrc/stable|headeronly)/")),
)


def torch_folder() -> Path:
    """Folder of torch. Raises EnvironmentMissing without it."""
    folder = package_folder("torch")
    if folder is None or not (folder / "include").is_dir():
        raise EnvironmentMissing("PyTorch is not installed for this Python", REMEDY)
    return folder


def header_of(text: str) -> Header | None:
    """Which header family a source uses, the slowest one it names."""
    return next((header for header, mark in _MARKS if mark.search(text)), None)


def torch_recipe(output: str, sources: tuple[str, ...], header: Header | None, module: str = "") -> Recipe:
    """Words of a torch build; everything that names Python's headers links torch_python."""
    folder = torch_folder()
    include, lib = folder / "include", folder / "lib"
    python = header in (BINDING, EXTENSION)
    libraries = [*(("torch_python",) if python else ()), "torch", "torch_cpu", "c10"]
    link = (f"-L{lib}", f"-Wl,-rpath,{lib}", *(f"-l{name}" for name in libraries))
    includes = (include, include / "torch" / "csrc" / "api" / "include", *((python_include(),) if python else ()))
    defines = (f"-DTORCH_EXTENSION_NAME={module}",) if python and module else ()
    recipe = Recipe(output, sources, includes, defines, link, header, defs=not python)
    return replace(recipe, versions=(*torch_versions(),))


def torch_standard(request: BuildRequest) -> BuildRequest:
    """The request with C++17 for a torch before 2.13 that knows no later one, unless the exercise says otherwise."""
    options = request.exercise.build
    if options.std or torch_release() >= (2, 13) or torch_release() == (0, 0):
        return request
    return replace(request, exercise=structs.replace(request.exercise, build=structs.replace(options, std="c++17")))


class TorchToolchain:
    """The artifact is an operator library, or an extension module where the source has a PYBIND11_MODULE."""

    name: ToolchainName = "torch"

    def probe(self) -> Availability:
        """torch's headers and a C++ compiler."""
        try:
            torch_folder()
        except EnvironmentMissing as error:
            return Availability(False, missing=error.message, remedy=error.remedy)
        found = available("c++")
        if not found.ready:
            return found
        return Availability(True, f"torch {torch_versions()[0]}, {found.detail}")

    def plan(self, request: BuildRequest) -> BuildPlan:
        """One command; Python-only exercises (a fake kernel, an autograd formula) build nothing."""
        exercise = request.exercise
        sources = compiled_sources(exercise)
        if not sources:
            paths = snapshot_sources(request)
            artifact = Artifact("python", exercise.module, "", (str(request.source),), {}, paths)
            return BuildPlan((), artifact, digest(*torch_versions()))
        text = source_text(request)
        python = "PYBIND11_MODULE" in text
        output = exercise.module + (extension_suffix() if python else ".so")
        recipe = torch_recipe(output, sources, header_of(text), exercise.module)
        return build_plan(torch_standard(request), recipe, "extension" if python else "torch")

    def parse(self, request: BuildRequest, output: str) -> tuple[Finding, ...]:
        """What the compiler and the linker say."""
        return compiler_findings(request, output)

    def warm(self, exercises: Sequence[Exercise]) -> tuple[WarmTask, ...]:
        """The stable headers, then torch/library.h; the slow ones once an exercise has asked for them."""
        if not self.probe().ready:
            return ()
        # gcc's torch/library.h takes 30 s and 430 MB: only for who uses it.
        first = (STABLE, LIBRARY) if compiler().family == "clang" else (STABLE,)
        usual = [task for header in first for task in header_task(torch_recipe("any.so", (), header))]
        asked = wanted(tuple(header.name for header in (STABLE, LIBRARY, BINDING, EXTENSION)))
        return (*usual, *(task for task in asked if task.target not in {u.target for u in usual}))
