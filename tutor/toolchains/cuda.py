"""CUDA: plain .cu files through nvcc and the binding .cpp through the host compiler, side by side, then one link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tutor.core.errors import EnvironmentMissing
from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.toolchains import programs
from tutor.toolchains.base import Availability, BuildPlan, BuildRequest, Command, WarmTask
from tutor.toolchains.compilers import PLAIN_ENV, compiler
from tutor.toolchains.diagnose_cc import compiler_findings
from tutor.toolchains.packages import extension_suffix, python_include
from tutor.toolchains.recipe import ArtifactKind, Recipe, build_plan, compiled_sources, header_task, source_text
from tutor.toolchains.torch import STABLE, TorchToolchain, header_of, torch_folder, torch_recipe, torch_standard

DEFAULT_ARCHITECTURE = "sm_90"
REMEDY = (
    "`pip install nvidia-cuda-nvcc nvidia-cuda-crt nvidia-nvvm nvidia-cuda-runtime nvidia-cuda-cccl`, "
    "or install the CUDA toolkit and set CUDA_HOME"
)


def architecture() -> str:
    """`sm_90` for the GPU that is there, or the default where there is none."""
    capability = programs.gpu_capability()
    return f"sm_{capability[0]}{capability[1]}" if capability else DEFAULT_ARCHITECTURE


def cuda_home(nvcc: str) -> Path:
    """The folder with bin/, include/ and lib/ (or lib64/) that this nvcc belongs to."""
    return Path(nvcc).resolve().parent.parent


def runtime_library(nvcc: str) -> Path:
    """The shared CUDA runtime, by file name: the wheels have libcudart.so.13 and no libcudart.so for -lcudart.

    Raises EnvironmentMissing when the runtime package is not installed.
    """
    home = cuda_home(nvcc)
    folders = [
        home / "lib64",
        home / "lib",
        home / "targets" / "x86_64-linux" / "lib",
        Path("/usr/lib/x86_64-linux-gnu"),
    ]
    for folder in folders:
        files = sorted(folder.glob("libcudart.so*"), key=lambda f: len(f.name))
        if files:
            return files[0]
    raise EnvironmentMissing("the CUDA runtime library libcudart.so was not found", "`pip install nvidia-cuda-runtime`")


class CudaToolchain:
    """Makes an operator library or an extension module, for one architecture, with or without a GPU here."""

    name: ToolchainName = "cuda"

    def probe(self) -> Availability:
        """nvcc with its runtime, a host compiler, torch."""
        nvcc = programs.nvcc()
        if not nvcc.usable or nvcc.path is None:
            return Availability(False, missing=nvcc.problem or "nvcc was not found", remedy=REMEDY)
        try:
            runtime_library(nvcc.path)
        except EnvironmentMissing as error:
            return Availability(False, missing=error.message, remedy=error.remedy)
        base = TorchToolchain().probe()
        if not base.ready:
            return base
        number = ".".join(map(str, nvcc.version))
        gpu = "" if programs.gpu_capability() else ", no GPU: compiled, what needs one does not run"
        return Availability(True, f"nvcc {number} for {architecture()}{gpu}")

    def plan(self, request: BuildRequest) -> BuildPlan:
        """Objects of all .cu and .cpp files at once, then the link."""
        nvcc = programs.nvcc()
        if not nvcc.usable or nvcc.path is None:
            raise EnvironmentMissing(nvcc.problem or "nvcc was not found", REMEDY)
        exercise = request.exercise
        kernels = [n for n in (*exercise.files, *exercise.given) if n.endswith(".cu")]
        objects = {name: str(request.out / f"{Path(name).name}.o") for name in kernels}
        commands = tuple(_nvcc(nvcc.path, request, name, target) for name, target in objects.items())
        text = source_text(request)
        recipe = _recipe(request, nvcc.path, text)
        recipe = replace(recipe, objects=tuple(objects.values()), versions=(*recipe.versions, str(nvcc.version)))
        kind: ArtifactKind = "extension" if _is_module(text) else "torch"
        plan = build_plan(torch_standard(request), recipe, kind)
        # build_plan puts host objects in one stage and the link in the last; the kernels go beside the objects.
        if len(plan.stages) > 1:
            first = (*commands, *plan.stages[-2])
            return replace(plan, stages=(*plan.stages[:-2], first, plan.stages[-1]))
        return replace(plan, stages=(commands, *plan.stages))

    def parse(self, request: BuildRequest, output: str) -> tuple[Finding, ...]:
        """What nvcc, the host compiler and the linker say."""
        return compiler_findings(request, output)

    def warm(self, exercises: Sequence[Exercise]) -> tuple[WarmTask, ...]:
        """The stable headers with the words of a CUDA build."""
        nvcc = programs.nvcc()
        if not self.probe().ready or nvcc.path is None:
            return ()
        return header_task(_cuda_words(torch_recipe("any.so", (), STABLE), nvcc.path))


def _nvcc(nvcc: str, request: BuildRequest, name: str, target: str) -> Command:
    host = compiler()
    # nvcc lags behind new clangs; it takes every gcc that Debian ships.
    gxx = programs.gxx().path or host.driver("c++")
    flags = (
        "-std=c++20",
        "-O3",
        "-lineinfo",
        f"-arch={architecture()}",
        "-Xcompiler=-fPIC,-g1,-fno-omit-frame-pointer",
    )
    own = tuple(f for f in request.exercise.build.flags if not f.startswith(("-f", "-march", "-Wl,")))
    argv = (nvcc, "-ccbin", gxx, *flags, *own, "-I.", "-c", name, "-o", target)
    return Command(argv, request.source, f"nvcc {name}", PLAIN_ENV)


def _is_module(text: str) -> bool:
    """A module that Python imports, no operator library: by pybind11, or by the C API alone."""
    return "PYBIND11_MODULE" in text or "PyInit_" in text


def _recipe(request: BuildRequest, nvcc: str, text: str) -> Recipe:
    exercise = request.exercise
    python = _is_module(text)
    output = exercise.module + (extension_suffix() if python else ".so")
    recipe = torch_recipe(output, compiled_sources(exercise), header_of(text), exercise.module)
    if python:
        # Its Python symbols come from the interpreter that imports it.
        recipe = replace(recipe, includes=(*recipe.includes, python_include()), defs=False)
    return _cuda_words(recipe, nvcc)


def _cuda_words(recipe: Recipe, nvcc: str) -> Recipe:
    runtime = runtime_library(nvcc)
    lib = torch_folder() / "lib"
    gpu_libraries = [name for name in ("torch_cuda", "c10_cuda") if (lib / f"lib{name}.so").exists()]
    link = (*recipe.link, *(f"-l{n}" for n in gpu_libraries), str(runtime), f"-Wl,-rpath,{runtime.parent}")
    # A torch built without CUDA lacks the stream functions: they stay undefined, the library still links.
    return replace(
        recipe,
        link=link,
        flags=(*recipe.flags, "-DUSE_CUDA"),
        includes=(*recipe.includes, cuda_home(nvcc) / "include"),
        defs=recipe.defs and bool(gpu_libraries),
    )
