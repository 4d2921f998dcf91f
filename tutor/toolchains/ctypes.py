"""ctypes: the learner's Python file is not built; the C libraries that it calls are."""

from __future__ import annotations

from collections.abc import Sequence

from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.toolchains.base import Availability, BuildPlan, BuildRequest, Step, WarmTask
from tutor.toolchains.compilers import available
from tutor.toolchains.diagnose_cc import compiler_findings
from tutor.toolchains.native import native_libraries
from tutor.toolchains.packages import digest
from tutor.toolchains.recipe import Recipe, build_plan, compiled_sources, extras, snapshot_sources


class CtypesToolchain:
    """Exercises with C of their own (a learner's or a given .c) get it as `extra["module"]`, lib<module>.so.

    A learner's module finds the library native/NAME, to load it, in the variable MLTUTOR_LIB_NAME.
    """

    name: ToolchainName = "ctypes"

    def probe(self) -> Availability:
        """A C compiler, for the libraries."""
        return available("c")

    def plan(self, request: BuildRequest) -> BuildPlan:
        """The libraries that are not there yet."""
        exercise = request.exercise
        libraries = native_libraries(exercise.build.native)
        extra = extras(libraries)
        natives = tuple(step for library in libraries for step in library.steps)
        stages: tuple[tuple[Step, ...], ...] = (natives,) if natives else ()
        key = digest(*(library.key for library in libraries))
        outputs: tuple[str, ...] = ()
        unread: tuple[str, ...] = ()
        sources = compiled_sources(exercise)
        if sources:
            own = build_plan(request, Recipe(f"lib{exercise.module}.so", sources), "library")
            stages, key, outputs, unread = own.stages, own.key, own.outputs, own.unread
            extra[exercise.module] = own.artifact.path
        places = {f"MLTUTOR_LIB_{library.name.upper()}": str(library.path) for library in libraries}
        paths, sources_by_name = (str(request.source),), snapshot_sources(request)
        artifact = Artifact("python", exercise.module, "", paths, places, sources_by_name, extra)
        return BuildPlan(stages, artifact, key, outputs, unread)

    def parse(self, request: BuildRequest, output: str) -> tuple[Finding, ...]:
        """What a compiler said of the libraries."""
        return compiler_findings(request, output)

    def warm(self, exercises: Sequence[Exercise]) -> tuple[WarmTask, ...]:
        """Nothing: a library of native/ takes a tenth of a second."""
        return ()
