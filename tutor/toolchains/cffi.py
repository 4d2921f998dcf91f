"""cffi in API mode: the learner's build script declares, a subprocess emits the C, the compiler links native/."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.toolchains.base import Availability, BuildPlan, BuildRequest, Command, WarmTask
from tutor.toolchains.cext import python_recipe
from tutor.toolchains.compilers import PLAIN_ENV, available
from tutor.toolchains.diagnose_cc import compiler_findings
from tutor.toolchains.diagnose_python import traceback_findings
from tutor.toolchains.native import native_libraries
from tutor.toolchains.packages import PACKAGE_ROOT, version
from tutor.toolchains.recipe import build_plan, compiled_sources

EMIT_SECONDS = 20.0


class CffiToolchain:
    """`files[0]` is the build script with `ffibuilder`; the module it names must be the exercise's."""

    name: ToolchainName = "cffi"

    def probe(self) -> Availability:
        """cffi, a C compiler and Python.h."""
        if not version("cffi"):
            return Availability(False, missing="cffi is not installed", remedy="`pip install cffi`")
        return available("c", python=True)

    def plan(self, request: BuildRequest) -> BuildPlan:
        """Emit <module>.c and the words of set_source, then compile and link."""
        exercise = request.exercise
        emitted, words = request.out / f"{exercise.module}.c", request.out / "set_source.rsp"
        script = next((f for f in exercise.files if Path(f).name.startswith("build")), exercise.main_file)
        libraries = [f"{lib.name}={lib.include}" for lib in native_libraries(exercise.build.native)]
        argv = (sys.executable, "-P", "-m", "tutor.toolchains.cffi_emit", script, exercise.module, str(emitted))
        path = os.pathsep.join(p for p in (str(PACKAGE_ROOT.parent), os.environ.get("PYTHONPATH", "")) if p)
        env = {**PLAIN_ENV, "PYTHONPATH": path}
        emit = Command((*argv, str(words), *libraries), request.source, f"cffi {script}", env, EMIT_SECONDS)
        base = python_recipe(exercise.module, (str(emitted), *compiled_sources(exercise)))
        recipe = replace(
            base,
            flags=("-Wno-unused-function", f"@{words}"),
            before=((emit,),),
            versions=(*base.versions, version("cffi")),
        )
        return build_plan(request, recipe, "extension")

    def parse(self, request: BuildRequest, output: str) -> tuple[Finding, ...]:
        """The traceback of the build script, or what the compiler says of the C in it."""
        return traceback_findings(request, output) or compiler_findings(request, output)

    def warm(self, exercises: Sequence[Exercise]) -> tuple[WarmTask, ...]:
        """Nothing."""
        return ()
