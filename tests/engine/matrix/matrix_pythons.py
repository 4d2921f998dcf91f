"""The planted modules of every toolchain, compiled for any Python, and a worker in it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tutor.core import protocol as p
from tutor.core.diagnosis import Diagnosis
from tutor.engine.diagnose import Question, ask
from tutor.engine.zygote import Zygote

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PLANTED = HERE / "planted"
sys.path.insert(0, str(HERE.parent / "worker"))  # operator_cases, worker_harness
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
OUTCOMES = pytest.StashKey[dict[tuple[str, str, str], str]]()
SETUP = "import sys, array; sys.path.insert(0, {!r})\nimport {} as m\nclass C: pass\nx = C()"
MODULES = {
    "C": "planted_c",
    "Cython": "planted_cython",
    "pybind11": "planted_pybind11",
    "PyO3": "planted_pyo3",
    "cffi": "planted_cffi",
    "ctypes": "planted_ctypes",
    "torch": "planted_torch",
}
_ASK = """
import importlib.util, json, sys, sysconfig
import msgspec
include, suffix = sysconfig.get_paths()["include"], sysconfig.get_config_var("EXT_SUFFIX")
has_cffi = importlib.util.find_spec("_cffi_backend") is not None
needed = [importlib.util.find_spec(name) for name in ("torch", "numpy", "psutil")]
torch = needed[0].submodule_search_locations[0] if all(needed) else ""
print(json.dumps(["%d.%d" % sys.version_info[:2], include, suffix, has_cffi, torch]))
"""


def pythons() -> dict[str, str]:
    """Version -> executable: this one, and those that MLTUTOR_TEST_PYTHONS names (paths, by :)."""
    given = [path for path in os.environ.get("MLTUTOR_TEST_PYTHONS", "").split(":") if path]
    found = {VERSION: sys.executable}
    for path in given:
        done = subprocess.run(
            [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
        )
        if done.returncode == 0:
            found.setdefault(done.stdout.strip(), path)
    return found


@dataclass
class Python:
    """One interpreter: where its modules are built, and a worker that runs in it."""

    executable: str
    version: str
    include: str
    suffix: str
    has_cffi: bool
    torch: str
    folder: Path
    loop: asyncio.AbstractEventLoop
    built: dict[str, str] = field(default_factory=dict)
    worker: Any = None

    def compile(self, driver: str, sources: list[Path], name: str, *flags: str, after: tuple[str, ...] = ()) -> Path:
        output = self.folder / name
        words = [driver, "-O2", "-g1", "-w", "-shared", "-fPIC", f"-I{self.include}", *flags, *map(str, sources), "-o"]
        done = subprocess.run([*words, str(output), *after, "-ldl"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return output

    def question(self, toolchain: str, statement: str, faults: bool = False) -> Diagnosis:
        if toolchain not in self.built:
            BUILDERS[toolchain](self)
            self.built[toolchain] = MODULES[toolchain]
        setup = SETUP.format(str(self.folder), self.built[toolchain])
        return self.loop.run_until_complete(ask(self.worker, Question(statement, setup, 30.0, faults=faults)))


def _c(python: Python) -> None:
    text = (HERE.parent / "probe" / "defects.c").read_text(encoding="utf-8")
    source = python.folder / "planted_c.c"
    source.write_text(text.replace("PyInit_defects", "PyInit_planted_c").replace('"defects', '"planted_c'))
    python.compile("gcc", [source], f"planted_c{python.suffix}")


def _cython(python: Python) -> None:
    pytest.importorskip("Cython")
    made = python.folder / "planted_cython.c"
    words = [sys.executable, "-m", "cython", str(PLANTED / "planted_cython.pyx"), "-o", str(made)]
    subprocess.run(words, check=True)
    python.compile("gcc", [made], f"planted_cython{python.suffix}")


def _pybind11(python: Python) -> None:
    pybind11 = pytest.importorskip("pybind11")
    flags = ("-std=c++17", "-O1", f"-I{pybind11.get_include()}", "-fvisibility=hidden")
    python.compile("g++", [PLANTED / "planted_pybind11.cpp"], f"planted_pybind11{python.suffix}", *flags)


def _pyo3(python: Python) -> None:
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    environment = {**os.environ, "PYO3_PYTHON": python.executable, "CARGO_TARGET_DIR": str(python.folder / "target")}
    words = [
        "cargo",
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--manifest-path",
        str(PLANTED / "pyo3" / "Cargo.toml"),
    ]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and "error[" not in done.stderr:
        pytest.skip(f"the crates can't be built here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.copy(
        python.folder / "target" / "release" / "libplanted_pyo3.so", python.folder / f"planted_pyo3{python.suffix}"
    )


def _ctypes(python: Python) -> None:
    python.compile("gcc", [PLANTED / "planted_plain.c"], "planted_plain.so")
    shutil.copy(PLANTED / "planted_ctypes.py", python.folder)


def _cffi(python: Python) -> None:
    pytest.importorskip("cffi")
    if not python.has_cffi:
        pytest.skip("cffi is not installed there")
    subprocess.run([sys.executable, str(PLANTED / "build_cffi.py"), str(python.folder)], check=True)
    python.compile("gcc", [python.folder / "_planted_cffi.c"], f"_planted_cffi{python.suffix}")


def _torch(python: Python) -> None:
    if not python.torch:
        pytest.skip("torch is not installed there")
    include, lib = Path(python.torch, "include"), Path(python.torch, "lib")
    flags = (f"-I{include}", f"-I{include}/torch/csrc/api/include", f"-L{lib}", f"-Wl,-rpath,{lib}")
    libraries = ("-ltorch", "-ltorch_cpu", "-lc10")
    source = PLANTED / "planted_torch.cpp"
    python.compile("g++", [source], "libplanted_torch.so", "-std=c++20", "-O1", *flags, after=libraries)
    shutil.copy(PLANTED / "planted_torch.py", python.folder)


BUILDERS: dict[str, Callable[[Python], None]] = {
    "C": _c,
    "Cython": _cython,
    "pybind11": _pybind11,
    "PyO3": _pyo3,
    "cffi": _cffi,
    "ctypes": _ctypes,
    "torch": _torch,
}


def make_ready(executable: str, folder: Path, loop: asyncio.AbstractEventLoop) -> Python:
    asked = subprocess.run([executable, "-c", _ASK], capture_output=True, text=True, check=False)
    if asked.returncode or not Path(json.loads(asked.stdout)[1], "Python.h").is_file():
        pytest.skip(f"{executable} has no msgspec, or no Python.h")
    python = Python(executable, *json.loads(asked.stdout), folder, loop)
    sources = sorted((ROOT / "native" / "probe").glob("*.c"))
    probe = python.compile(
        "gcc", sources, "_probe.so", "-std=gnu11", "-O1", "-fvisibility=hidden", "-fno-strict-aliasing"
    )
    crash = python.compile("gcc", [ROOT / "native" / "crash" / "crash.c"], "crash.so", "-pthread")

    async def preload() -> p.Warm:
        return p.Warm(0, preload=(str(probe), str(crash)))

    python.worker = Zygote("bare", (), (executable, "-m", "tutor.worker.zygote"), preload)
    return python
