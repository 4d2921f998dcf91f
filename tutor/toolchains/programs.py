"""Finds the outside programs and asks them for their version: the single place of the toolchains that spawns."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from tutor.toolchains.base import Program

# On a cold network file system, or on a machine with no core to spare, a compiler takes seconds to say its version.
PROBE_SECONDS = 20.0
CLANG_OLDEST = 16
_CLANG_NEWEST = 30
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def run_probe(argv: Sequence[str], seconds: float = PROBE_SECONDS, stdin: str = "") -> tuple[str, str]:
    """Output of a program that should answer at once, and the problem (empty when it ended with 0). Never raises."""
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return "", f"gives no answer within {seconds:g} s"
    except OSError as error:
        return "", error.strerror or str(error)
    output = (done.stdout + done.stderr).strip()
    if done.returncode:
        last = output.splitlines()[-1] if output else ""
        return output, f"ends with code {done.returncode}" + (f": {last}" if last else "")
    return output, ""


def probe(name: str, path: str | None, argument: str = "--version") -> Program:
    """A Program for what lies at `path`, asked for its version."""
    if path is None:
        return Program(name, None)
    output, problem = run_probe((path, argument))
    if problem:
        return Program(name, path, (), f"{path} {problem}")
    return Program(name, path, version_in(output))


def version_in(text: str) -> tuple[int, ...]:
    """The first `1.2` or `1.2.3` of a text as numbers; of gcc's and nvcc's the one that counts."""
    text = re.sub(r"\([^)]*\)", " ", text)
    cuda = re.search(r"release \d+\.\d+, V(\d+)\.(\d+)\.(\d+)", text)
    found = cuda or _VERSION.search(text)
    return tuple(int(part) for part in found.groups() if part) if found else ()


def _first_usable(name: str, paths: Sequence[str | None], fits: Callable[[Program], bool]) -> Program:
    """The first that answers and fits; else the first that exists, with its problem; else one without a path."""
    broken: Program | None = None
    for path in dict.fromkeys(p for p in paths if p):
        program = probe(name, path)
        if program.usable and fits(program):
            return program
        broken = broken or program
    return broken or Program(name, None)


@cache
def gcc() -> Program:
    """The C compiler of GNU."""
    return _first_usable("gcc", _on_path("gcc", range(20, 9, -1)), lambda p: True)


@cache
def gxx() -> Program:
    """The C++ compiler of GNU."""
    return _first_usable("g++", _on_path("g++", range(20, 9, -1)), lambda p: True)


@cache
def clang() -> Program:
    """A clang of version 16 or later, plain name first, then the newest versioned one."""
    return _first_usable("clang", _on_path("clang", range(_CLANG_NEWEST, CLANG_OLDEST - 1, -1)), _is_new_clang)


@cache
def clangxx() -> Program:
    """The clang++ beside `clang()`; one that finds no C++ standard library is reported as broken."""
    c = clang()
    if not c.usable or c.path is None:
        return Program("clang++", None)
    folder, base = os.path.split(c.path)
    program = probe("clang++", _executable(os.path.join(folder, base.replace("clang", "clang++"))))
    if program.usable and program.path:
        _, problem = run_probe((program.path, "-E", "-x", "c++", "-"), stdin="#include <cstddef>\n")
        if problem:
            return Program("clang++", program.path, program.version, "finds no C++ standard library")
    return program


@cache
def clang_openmp() -> bool:
    """Whether clang finds its OpenMP library, a package of its own (libomp-dev)."""
    path = clang().path
    if not path:
        return False
    output, problem = run_probe((path, "-print-file-name=libomp.so"))
    return not problem and os.path.isabs(output.strip())


@cache
def mold() -> Program:
    """The mold linker."""
    return _first_usable("mold", [shutil.which("mold"), shutil.which("ld.mold")], lambda p: True)


@cache
def lld() -> Program:
    """The LLVM linker, also the one beside clang."""
    beside = os.path.dirname(os.path.realpath(clang().path or "")) if clang().path else ""
    names = [*_on_path("ld.lld", range(_CLANG_NEWEST, CLANG_OLDEST - 1, -1))]
    return _first_usable("lld", [*names, _executable(os.path.join(beside, "ld.lld"))], lambda p: True)


@cache
def cargo() -> Program:
    """cargo, from PATH or the folder where rustup puts it."""
    home = os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo")
    return _first_usable("cargo", [shutil.which("cargo"), _executable(f"{home}/bin/cargo")], lambda p: True)


@cache
def nvcc() -> Program:
    """The CUDA compiler of CUDA_HOME, PATH, the usual folder, or the PyPI wheels."""
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")]
    paths = [_executable(f"{home}/bin/nvcc") for home in homes if home]
    paths += [shutil.which("nvcc"), _executable("/usr/local/cuda/bin/nvcc")]
    paths += [_executable(str(folder / "bin" / "nvcc")) for folder in cuda_wheels()]
    return _first_usable("nvcc", paths, lambda p: True)


@cache
def compute_sanitizer() -> Program:
    """NVIDIA's checker of kernels: beside nvcc, on PATH, or from the PyPI wheel."""
    beside = nvcc().path
    homes = [*([Path(beside).parents[1]] if beside else []), *cuda_wheels()]
    paths = [_executable(str(home / "bin" / "compute-sanitizer")) for home in homes]
    return _first_usable("compute-sanitizer", [*paths, shutil.which("compute-sanitizer")], lambda p: True)


@cache
def addr2line() -> Program:
    """What turns an offset into a source line: binutils' addr2line or LLVM's."""
    return _first_usable(
        "addr2line", [shutil.which("addr2line"), *_on_path("llvm-addr2line", range(30, 13, -1))], lambda p: True
    )


@cache
def gpu_capability() -> tuple[int, int] | None:
    """Compute capability of the first GPU, or None without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    output, problem = run_probe((program, "--query-gpu=compute_cap", "--format=csv,noheader"))
    found = None if problem else re.match(r"\s*(\d+)\.(\d+)", output)
    return (int(found[1]), int(found[2])) if found else None


@cache
def gpu_name() -> str:
    """Name and driver of the first GPU, or nothing."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    output, problem = run_probe((program, "--query-gpu=name,driver_version", "--format=csv,noheader"))
    return "" if problem or not output else output.splitlines()[0].strip()


def cuda_wheels() -> tuple[Path, ...]:
    """Folders that the CUDA wheels of PyPI fill (`nvidia/cu13`), newest first."""
    spec = importlib.util.find_spec("nvidia")
    places = list(spec.submodule_search_locations or ()) if spec else []
    folders = [folder for place in places for folder in Path(place).glob("cu[0-9]*")]
    return tuple(sorted(folders, key=lambda f: f.name, reverse=True))


def forget() -> None:
    """Look again: for tests, and after the user has installed something."""
    compilers = (gcc, gxx, clang, clangxx, clang_openmp, mold, lld, cargo, nvcc, compute_sanitizer)
    for function in (*compilers, addr2line, gpu_capability, gpu_name):
        function.cache_clear()


def _is_new_clang(program: Program) -> bool:
    return bool(program.version) and program.version[0] >= CLANG_OLDEST


def _on_path(name: str, versions: range) -> list[str | None]:
    return [shutil.which(name), *(shutil.which(f"{name}-{v}") for v in versions)]


def _executable(path: str) -> str | None:
    return path if os.path.isfile(path) else None
