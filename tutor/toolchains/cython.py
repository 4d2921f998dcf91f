"""Cython: the warm zygote translates the .pyx, the C compiler does the rest; utility code is shared and built once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.toolchains.base import Availability, BuildPlan, BuildRequest, Command, CythonStep, WarmTask
from tutor.toolchains.cext import python_recipe
from tutor.toolchains.compilers import PLAIN_ENV, atomic, available, base_flags, compiler
from tutor.toolchains.diagnose_cc import compiler_findings
from tutor.toolchains.diagnose_python import cython_findings
from tutor.toolchains.packages import digest, extension_suffix, python_include, version
from tutor.toolchains.recipe import Recipe, build_plan, compiled_sources
from tutor.toolchains.settings import settings

SHARED = "_cyutility"
REMEDY = "`pip install cython`"


def shared_folder() -> Path:
    """Folder of the shared utility module for this Cython, Python and compiler."""
    key = digest(version("cython"), compiler().identity, extension_suffix())
    return settings().cache / "cython" / key


def shared_module() -> Path:
    """The shared utility module itself; it need not exist yet."""
    return shared_folder() / (SHARED + extension_suffix())


class CythonToolchain:
    """A .pyx becomes a .c of the same name in the output folder, then an extension module."""

    name: ToolchainName = "cython"

    def probe(self) -> Availability:
        """Cython, a C compiler and Python.h."""
        if not version("cython"):
            return Availability(False, missing="Cython is not installed", remedy=REMEDY)
        return available("c", python=True)

    def plan(self, request: BuildRequest) -> BuildPlan:
        """Translate, then compile; without the shared module until that is ready."""
        exercise = request.exercise
        names = [name for name in (*exercise.files, *exercise.given) if name.endswith(".pyx")]
        shared = SHARED if shared_module().is_file() else ""
        steps = tuple(_translate(request, name, shared) for name in names)
        outputs = tuple(str(step.output) for step in steps)
        base = python_recipe(exercise.module, (*outputs, *compiled_sources(exercise)))
        recipe = Recipe(
            base.output,
            base.sources,
            base.includes,
            # The learner did not write this C: its warnings help nobody.
            ("-w", "-DNPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION"),
            defs=False,
            before=(steps,),
            versions=(*base.versions, version("cython"), shared),
        )
        plan = build_plan(request, recipe, "extension", sys_path=(str(shared_folder()),) if shared else ())
        # Checks read what each line has become; the page costs the translation some 10 ms.
        pages = {step.output.with_suffix(".html").name: str(step.output.with_suffix(".html")) for step in steps}
        artifact = msgspec.structs.replace(plan.artifact, extra={**plan.artifact.extra, **pages})
        return replace(plan, artifact=artifact, outputs=(*plan.outputs, *pages))

    def parse(self, request: BuildRequest, output: str) -> tuple[Finding, ...]:
        """What Cython says; the C compiler speaks of the .pyx too, thanks to line directives."""
        return cython_findings(request, output) or compiler_findings(request, output)

    def warm(self, exercises: Sequence[Exercise]) -> tuple[WarmTask, ...]:
        """The shared utility module."""
        target = shared_module()
        if target.is_file():
            return ()
        folder = shared_folder()
        source = folder / f"{SHARED}.c"
        label = "Cython's shared utility module"
        # Cython names the module after the file, so the C file must have its final name from the start.
        script = 'mkdir -p "$1.$$" && cd "$1.$$" && "$2" -m cython -3 --generate-shared="$3.c" && mv -f "$3.c" "$1/"'
        make = ("sh", "-c", f'mkdir -p "$1" && {script}; e=$?; rm -rf "$1.$$"; exit $e', "sh")
        generate = Command((*make, str(folder), sys.executable, SHARED), settings().cache.parent, label, PLAIN_ENV)
        chosen = compiler()
        words = (chosen.driver("c"), *base_flags(), "-w", "-isystem", str(python_include()), "-shared")
        build = atomic((*words, *chosen.linker_flags, str(source)), target, settings().cache.parent, label)
        return (WarmTask("cython-shared", label, (generate, build), target, 4.0),)


def _translate(request: BuildRequest, name: str, shared: str) -> CythonStep:
    source, output = request.source / name, request.out / (Path(name).stem + ".c")
    words = [sys.executable, "-m", "cython", "-3", "--line-directives", "--annotate"]
    if shared:
        words.append(f"--shared={shared}")
    path = os.pathsep.join(p for p in (str(shared_folder()) if shared else "", os.environ.get("PYTHONPATH", "")) if p)
    env = {**PLAIN_ENV, **({"PYTHONPATH": path} if path else {})}
    fallback = Command((*words, name, "-o", str(output)), request.source, f"cython {name}", env)
    return CythonStep(source, output, shared, fallback, f"cython {name}")
