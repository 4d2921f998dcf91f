"""All toolchains by name, and what the engine asks about a failed build before it blames the learner."""

from __future__ import annotations

from tutor.core.errors import EnvironmentMissing
from tutor.core.exercise import ToolchainName
from tutor.toolchains import pch
from tutor.toolchains.base import BuildPlan, Command, Toolchain
from tutor.toolchains.cext import CExtensionToolchain
from tutor.toolchains.cffi import CffiToolchain
from tutor.toolchains.ctypes import CtypesToolchain
from tutor.toolchains.cuda import CudaToolchain
from tutor.toolchains.cxx import CxxToolchain
from tutor.toolchains.cython import CythonToolchain
from tutor.toolchains.explain import explain
from tutor.toolchains.pybind11 import Pybind11Toolchain
from tutor.toolchains.rust import RustToolchain
from tutor.toolchains.settings import CompilerChoice, Settings, configure, settings
from tutor.toolchains.torch import TorchToolchain

__all__ = [
    "CompilerChoice",
    "Settings",
    "all_toolchains",
    "configure",
    "environment_problem",
    "retry_plainly",
    "settings",
    "syntax_check",
    "toolchain",
]

# In the order of the lessons: background work follows it.
_ALL: tuple[Toolchain, ...] = (
    CxxToolchain(),
    RustToolchain(),
    CExtensionToolchain(),
    CtypesToolchain(),
    CffiToolchain(),
    CythonToolchain(),
    Pybind11Toolchain(),
    TorchToolchain(),
    CudaToolchain(),
)


def all_toolchains() -> tuple[Toolchain, ...]:
    """Every toolchain, in the order of the lessons that use it."""
    return _ALL


def toolchain(name: ToolchainName) -> Toolchain:
    """The toolchain of this name. Raises KeyError for another word."""
    return {t.name: t for t in _ALL}[name]


def retry_plainly(command: Command, output: str) -> bool:
    """Whether a failed (or warning) command was let down by its precompiled header: it is given up, plan again."""
    return pch.rejected(output) and pch.switch_off(command)


def environment_problem(output: str) -> EnvironmentMissing | None:
    """The fault of the machine that a failed build's output tells of (no network, full disk, no Python.h), if any."""
    found = next((e for e in explain(output) if e.environment), None)
    return EnvironmentMissing(found.sentence, found.fix) if found else None


def syntax_check(plan: BuildPlan) -> Command | None:
    """The plan's compilation without its precompiled header and code: finds an #include that the header hid.

    None when the plan used no precompiled header.
    """
    for stage in plan.stages:
        for step in stage:
            if isinstance(step, Command) and {"-include-pch", "-Winvalid-pch"} & set(step.argv):
                return _without_header(step)
    return None


def _without_header(command: Command) -> Command:
    words: list[str] = []
    skip = 0
    for word in command.argv:
        if skip:
            skip -= 1
        elif word in ("-include-pch", "-include", "-o"):
            skip = 1
        elif word not in ("-Winvalid-pch", "-shared") and not word.startswith(
            ("-Wl,", "-l", "-L", "-fuse-ld", "--ld-path")
        ):
            words.append(word)
    words = [w for w in words if not w.endswith((".o", ".so"))]
    return Command((*words, "-fsyntax-only"), command.cwd, f"{command.label} (includes)", command.env, command.timeout)
