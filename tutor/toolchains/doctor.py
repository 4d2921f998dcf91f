"""Examines the machine: what is there, what that means for which lesson, and how to get what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from tutor.core.errors import TutorError
from tutor.toolchains import programs
from tutor.toolchains.base import Program
from tutor.toolchains.compilers import GCC_REMEDY, compiler
from tutor.toolchains.cuda import REMEDY as CUDA_REMEDY
from tutor.toolchains.packages import lessons_root, package_folder, python_include, torch_versions, version
from tutor.toolchains.rust import REMEDY as RUST_REMEDY
from tutor.toolchains.rust import missing_crates
from tutor.toolchains.sanitizers import SANITIZER_WHEEL

Status = Literal["ok", "missing", "limited"]
REMOTE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "lustre", "gpfs", "beegfs", "ceph")


@dataclass(frozen=True, slots=True)
class DoctorLine:
    """One thing examined: what was found, what it means, and the remedy when something is to be done."""

    name: str
    status: Status
    found: str
    meaning: str = ""
    remedy: str = ""


def examine(folders: tuple[Path, ...] = ()) -> tuple[DoctorLine, ...]:
    """All lines, the most basic first; `folders` (workspace, cache) are asked for their file system."""
    return (
        _python(),
        _headers(),
        _gcc(),
        _clang(),
        _linker(),
        _chosen(),
        *(_package(*row) for row in _PACKAGES),
        _cargo(),
        _crates(),
        _torch(),
        _nvcc(),
        _gpu(),
        *_kernels(),
        _symbols(),
        *(file_system(folder) for folder in folders),
    )


# distribution, import name, what needs it
_PACKAGES = (
    ("numpy", "numpy", "the checks of most lessons"),
    ("cython", "Cython", "lesson 5"),
    ("pybind11", "pybind11", "lesson 6"),
    ("cffi", "cffi", "lesson 4, cffi exercises"),
)


def _number(program: Program) -> str:
    return ".".join(map(str, program.version))


def _python() -> DoctorLine:
    found = f"{platform.python_version()} at {sys.executable}"
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    if fits:
        return DoctorLine("Python", "ok", found)
    return DoctorLine("Python", "limited", found, "tried with 3.11 to 3.13 only", "use Python 3.11, 3.12 or 3.13")


def _headers() -> DoctorLine:
    if (python_include() / "Python.h").is_file():
        return DoctorLine("Python.h", "ok", str(python_include()))
    return DoctorLine("Python.h", "missing", "", "lessons 3, 5, 6 and cffi can't build", "`apt install python3-dev`")


def _gcc() -> DoctorLine:
    c, cxx = programs.gcc(), programs.gxx()
    if c.usable and cxx.usable:
        return DoctorLine("gcc, g++", "ok", f"{_number(c)}, {_number(cxx)}")
    problem = c.problem or cxx.problem or ("g++ was not found" if c.usable else "gcc was not found")
    clang = programs.clang().usable and programs.clangxx().usable
    meaning = "clang is used instead" if clang else "nothing in C or C++ can be built"
    return DoctorLine("gcc, g++", "limited" if clang else "missing", problem, meaning, GCC_REMEDY)


def _clang() -> DoctorLine:
    c, cxx = programs.clang(), programs.clangxx()
    if c.usable and cxx.usable:
        return DoctorLine("clang", "ok", f"{_number(c)} at {c.path}")
    gain = "a save of pybind11 would be judged in 1.2 s instead of 4, of a torch operator in 0.4 s instead of 1"
    problem = c.problem or (cxx.problem if c.usable else "") or "no clang >= 16"
    return DoctorLine("clang", "limited", problem, gain, "`apt install clang-16 mold` (or any newer clang)")


def _linker() -> DoctorLine:
    for program in (programs.mold(), programs.lld()):
        if program.usable:
            return DoctorLine("fast linker", "ok", f"{program.name} {_number(program)}")
    gain = "linking takes some 0.05 s longer, and clang is only used beside a fast linker"
    return DoctorLine("fast linker", "limited", "neither mold nor lld", gain, "`apt install mold`")


def _chosen() -> DoctorLine:
    try:
        chosen = compiler()
    except TutorError as error:
        return DoctorLine("compiler in use", "missing", error.message, "", error.remedy)
    if not chosen.cxx.usable:
        return DoctorLine("compiler in use", "missing", "none", "nothing in C or C++ can be built", GCC_REMEDY)
    found = f"{chosen.family} {_number(chosen.cxx)}" + (f" with {chosen.fast}" if chosen.fast else "")
    return DoctorLine("compiler in use", "ok", found, "MLTUTOR_COMPILER=gcc or clang chooses")


def _package(distribution: str, name: str, meaning: str) -> DoctorLine:
    if package_folder(name) is not None:
        return DoctorLine(distribution, "ok", version(distribution))
    return DoctorLine(distribution, "missing", "", f"needed by {meaning}", f"`pip install {distribution}`")


def _cargo() -> DoctorLine:
    cargo = programs.cargo()
    if cargo.usable:
        return DoctorLine("cargo", "ok", _number(cargo))
    return DoctorLine("cargo", "missing", cargo.problem, "lesson 2 is skipped", RUST_REMEDY)


def _crates() -> DoctorLine:
    locks = sorted(lessons_root().glob("*/*/solution/Cargo.lock"))
    # Crates for other systems are in the lock too; cargo itself knows best whether it could build offline.
    missing = sorted({crate for lock in locks if not _offline(lock.parent) for crate in missing_crates(lock.parent)})
    if not missing:
        return DoctorLine("Rust crates", "ok", "all downloaded")
    few = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
    fetch = f"`cargo fetch --locked --manifest-path {locks[0].parent / 'Cargo.toml'}` with a network"
    return DoctorLine(
        "Rust crates", "limited", f"not downloaded: {few}", "the first build of lesson 2 needs a network",
        f"{fetch}; or copy ~/.cargo/registry from a machine that ran it",
    )  # fmt: skip


def _offline(folder: Path) -> bool:
    cargo = programs.cargo()
    if not missing_crates(folder) or not cargo.usable or cargo.path is None:
        return not missing_crates(folder)
    place = (
        "--manifest-path",
        str(folder / "Cargo.toml"),
        "--filter-platform",
        f"{platform.machine()}-unknown-linux-gnu",
    )
    words = (cargo.path, "metadata", "--locked", "--offline", "--format-version", "1", *place)
    return not programs.run_probe(words)[1]


def _torch() -> DoctorLine:
    release, cuda = torch_versions()
    if release:
        return DoctorLine("torch", "ok", release, f"built for CUDA {cuda}" if cuda else "built without CUDA")
    return DoctorLine("torch", "missing", "", "lesson 7 is skipped", "`pip install torch`")


def _nvcc() -> DoctorLine:
    nvcc, cuda = programs.nvcc(), torch_versions()[1]
    if not nvcc.usable:
        meaning = "the CUDA exercises are skipped; everything has a CPU variant"
        return DoctorLine("nvcc", "missing", nvcc.problem, meaning, CUDA_REMEDY)
    found = f"{_number(nvcc)} at {nvcc.path}"
    if cuda and nvcc.version[:1] != (int(cuda.split(".")[0]),):
        meaning = f"torch is built for CUDA {cuda}: another major version"
        return DoctorLine("nvcc", "limited", found, meaning, f"install the nvcc of CUDA {cuda}")
    return DoctorLine("nvcc", "ok", found)


def _gpu() -> DoctorLine:
    if programs.gpu_capability():
        return DoctorLine("GPU", "ok", programs.gpu_name())
    meaning = "CUDA exercises are compiled and not run"
    remedy = '`mltutor start --launcher "srun --overlap"` checks on a GPU node' if _slurm() else ""
    return DoctorLine("GPU", "limited", "none that nvidia-smi names", meaning, remedy)


def _kernels() -> tuple[DoctorLine, ...]:
    """Where kernels run, what examines them."""
    if not programs.gpu_capability():
        return ()
    program = programs.compute_sanitizer()
    if program.usable:
        return (DoctorLine("compute-sanitizer", "ok", f"{_number(program)} at {program.path}"),)
    meaning = "kernels are not examined for bad accesses and races"
    return (DoctorLine("compute-sanitizer", "limited", program.problem, meaning, f"`pip install {SANITIZER_WHEEL}`"),)


def _slurm() -> bool:
    return shutil.which("srun") is not None


def _symbols() -> DoctorLine:
    program = programs.addr2line()
    if program.usable:
        return DoctorLine("addr2line", "ok", str(program.path))
    return DoctorLine("addr2line", "limited", "", "a crash is reported without its line", "`apt install binutils`")


def file_system(folder: Path) -> DoctorLine:
    """The type of the file system that holds a folder; remote ones deliver no events, so saves are polled."""
    name = f"file system of {folder}"
    real = os.path.realpath(folder)
    try:
        mounts = psutil.disk_partitions(all=True)
    except (OSError, RuntimeError) as error:
        return DoctorLine(name, "limited", f"unknown: {error}")
    holding = [m for m in mounts if real == m.mountpoint or real.startswith(m.mountpoint.rstrip("/") + "/")]
    if not holding:
        return DoctorLine(name, "limited", "unknown")
    kind = max(holding, key=lambda m: len(m.mountpoint)).fstype
    if kind in REMOTE_SYSTEMS or kind.startswith("fuse."):
        return DoctorLine(name, "limited", kind, "remote: saves are noticed by polling, within 0.3 s")
    return DoctorLine(name, "ok", kind)
