"""Builds the probe, the tutor's own extension for the interpreter that runs the checks: once, into the cache."""

from __future__ import annotations

import platform
import sys

from tutor.core.errors import ContentError, EnvironmentMissing
from tutor.core.protocol import Artifact
from tutor.toolchains.base import BuildPlan
from tutor.toolchains.compilers import atomic, compiler
from tutor.toolchains.packages import digest, extension_suffix, native_root, python_include
from tutor.toolchains.settings import settings

NAME = "_probe"
# -O1: quickly built, and what it does is bound by the calls that it watches.
FLAGS = ("-std=gnu11", "-O1", "-g1", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-strict-aliasing")


def build_probe() -> BuildPlan:
    """`artifact.path` is where it lies in the cache, `stages` is empty when it is made.

    Raises EnvironmentMissing where it can't work (x86-64 Linux only) or Python.h is missing.
    """
    if platform.machine() != "x86_64" or not sys.platform.startswith("linux"):
        raise EnvironmentMissing("the probe works on x86-64 Linux only", "references are counted without it")
    if not (python_include() / "Python.h").is_file():
        raise EnvironmentMissing(f"Python.h is not in {python_include()}", "`apt install python3-dev`")
    folder = native_root() / "probe"
    sources = sorted(folder.glob("*.c"))
    if not sources:
        raise ContentError(folder, "the sources of the probe are missing", key="native")
    chosen = compiler()
    argv = (chosen.driver("c"), *FLAGS, *chosen.linker_flags, f"-fdebug-prefix-map={folder}=.")
    argv += (f"-I{python_include()}", *(source.name for source in sources), "-ldl")
    texts = [path.read_bytes().hex() for path in sorted(folder.glob("*.[ch]"))]
    key = digest(chosen.identity, *argv[1:], *texts)
    path = settings().cache / "native" / f"probe-{key}" / f"{NAME}{extension_suffix()}"
    stages = () if path.is_file() else ((atomic(argv, path, folder, "probe"),),)
    return BuildPlan(stages, Artifact("extension", NAME, str(path)), key)
