"""The probe and an extension with planted defects, compiled for the interpreter that runs the tests."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tutor.core.protocol import Artifact
from tutor.worker import crash
from tutor.worker.probe import library

HERE = Path(__file__).parent
NATIVE = HERE.parents[2] / "native"
PROBE_FLAGS = (
    "-std=gnu11",
    "-Wall",
    "-Wextra",
    "-Wno-missing-field-initializers",
    "-Wno-cast-function-type",
    "-Werror",
)


# Set for the run that test_native.py starts.
SANITIZE = ("-fsanitize=address,undefined",) if "MLTUTOR_TEST_SANITIZED" in os.environ else ()


def compile_shared(sources: list[Path], output: Path, *flags: str) -> Path:
    """Compile C files to a shared object for this interpreter."""
    include = Path(sysconfig.get_paths()["include"])
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    if not (include / "Python.h").is_file():
        pytest.skip(f"no Python.h in {include}")
    words = ["gcc", "-g1", "-shared", "-fPIC", f"-I{include}", *flags, *map(str, sources), "-o", str(output), "-ldl"]
    subprocess.run(words, check=True)
    return output


def load_extension(name: str, path: Path) -> Any:
    loader = importlib.machinery.ExtensionFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The probe; the crash handler beside it."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("the probe attaches on x86-64 Linux only")
    folder = tmp_path_factory.mktemp("probe")
    sources = sorted((NATIVE / "probe").glob("*.c"))
    assert library.use_library(
        str(compile_shared(sources, folder / "_probe.so", "-O1", "-fvisibility=hidden", *PROBE_FLAGS, *SANITIZE))
    )
    crash.use_library(str(compile_shared([NATIVE / "crash" / "crash.c"], folder / "crash.so", "-O1", "-pthread")))
    if library.probe() is None:
        pytest.skip(f"the probe does not know Python {sys.version.partition(' ')[0]}")
    return library.probe()


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("defects")
    source = folder / "defects.c"
    shutil.copy(HERE / "defects.c", source)
    path = compile_shared(
        [source], folder / "defects.so", "-O2", "-w", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"
    )
    return Artifact("extension", "defects", str(path), sources={"defects.c": str(source)})


@pytest.fixture(scope="session")
def defects(artifact: Artifact) -> Any:
    return load_extension("defects", Path(artifact.path))


@pytest.fixture(scope="session")
def marked(artifact: Artifact) -> Callable[[str], int]:
    """The line with `MARK name`."""
    lines = Path(artifact.sources["defects.c"]).read_text(encoding="utf-8").splitlines()
    return lambda name: next(i for i, line in enumerate(lines, 1) if f"MARK {name} " in line)
