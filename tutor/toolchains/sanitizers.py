"""The sanitizers of the second wave: which fit an exercise, the words they add to a build, where their runtimes lie."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tutor.core.exercise import Exercise, ToolchainName
from tutor.toolchains import programs
from tutor.toolchains.compilers import PLAIN_ENV, Compiler, compiler_for, gcc

TOOLCHAINS: tuple[ToolchainName, ...] = ("cxx", "cext", "cython", "pybind11", "cffi", "torch", "cuda")
# Code that never starts or lets in a thread has nothing that ThreadSanitizer could see.
_THREADS = re.compile(
    r"std::(?:j?thread|async)|pthread_create|thrd_create|Py_BEGIN_ALLOW_THREADS|PyEval_SaveThread"
    r"|gil_scoped_release|\bnogil\b"
)
_OPENMP = re.compile(r"\bprange\b|#\s*pragma\s+omp|\bomp_")
_SHARED = re.compile(r"\b__shared__\b")
_BARRIER = re.compile(r"\b__sync(?:threads|warp)\b|\bcooperative_groups\b")


@dataclass(frozen=True, slots=True)
class Sanitizer:
    """One instrumented build. `runtimes` are preloaded into the worker, whose Python is not instrumented.

    kernels: it is a tool of compute-sanitizer, which instruments the kernels of an ordinary build as they are loaded.
    """

    name: str
    title: str
    flags: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    kernels: bool = False

    def prefix(self, log: Path) -> tuple[str, ...]:
        """What starts a worker under it. `missing` must be empty. log: the file that compute-sanitizer writes."""
        preload = " ".join(str(runtime_path(name)) for name in self.runtimes)
        variables = {"LD_PRELOAD": preload, "MLTUTOR_SANITIZER": self.name, **dict(self.options)}
        if self.kernels:
            variables["MLTUTOR_SANITIZER_LOG"] = str(log)
        words = tuple(f"{name}={value}" for name, value in variables.items() if value)
        return ("nice", "-n", "10", *self._fixed_addresses(), "env", *words, *self._tool(log))

    def _fixed_addresses(self) -> tuple[str, ...]:
        """ThreadSanitizer keeps its shadow at fixed addresses, which much randomness may have given away."""
        return ("setarch", platform.machine(), "-R") if self is THREAD and shutil.which("setarch") else ()

    def _tool(self, log: Path) -> tuple[str, ...]:
        path = programs.compute_sanitizer().path
        if not self.kernels or path is None:
            return ()
        return (
            path,
            "--tool",
            self.name,
            "--target-processes",
            "all",
            "--show-backtrace",
            "no",
            "--log-file",
            str(log),
        )

    def missing(self) -> str:
        """Why it can't run here; empty when it can."""
        if self.kernels:
            return _kernels_missing()
        if not programs.gcc().usable:
            return "gcc is not installed"
        lost = [name for name in self.runtimes if runtime_path(name) is None]
        return f"{', '.join(lost)} of gcc is not installed" if lost else ""


ADDRESS = Sanitizer(
    "address",
    "AddressSanitizer + UBSan",
    # object-size repeats, less clearly and earlier, what AddressSanitizer says with the place of the allocation
    ("-O1", "-fsanitize=address,undefined", "-fno-sanitize=object-size,vptr,alignment"),
    ("libasan.so", "libubsan.so"),
    (
        ("ASAN_OPTIONS", "detect_leaks=0:exitcode=66:allocator_may_return_null=1:detect_stack_use_after_return=1"),
        ("UBSAN_OPTIONS", "print_stacktrace=0"),
        # its own small blocks hide from AddressSanitizer what happens inside an arena
        ("PYTHONMALLOC", "malloc"),
    ),
)
THREAD = Sanitizer(
    "thread",
    "ThreadSanitizer",
    ("-O1", "-fsanitize=thread"),
    ("libtsan.so",),
    (("TSAN_OPTIONS", "die_after_fork=0:exitcode=66:report_signal_unsafe=0"),),
)
SANITIZER_WHEEL = "nvidia-cuda-sanitizer-api"
# PyTorch's allocator keeps freed blocks: an access past a tensor would land in memory that is its own.
_EACH_TENSOR_ALONE = (("PYTORCH_NO_CUDA_MEMORY_CACHING", "1"),)
MEMCHECK = Sanitizer("memcheck", "compute-sanitizer memcheck", options=_EACH_TENSOR_ALONE, kernels=True)
RACECHECK = Sanitizer("racecheck", "compute-sanitizer racecheck", kernels=True)
SYNCCHECK = Sanitizer("synccheck", "compute-sanitizer synccheck", kernels=True)
# What a solution is proven by: ThreadSanitizer takes minutes where a hundred checks fork.
PROVEN = tuple(one.name for one in (ADDRESS, MEMCHECK, RACECHECK, SYNCCHECK))
BY_NAME = {one.name: one for one in (ADDRESS, THREAD, MEMCHECK, RACECHECK, SYNCCHECK)}


@dataclass(frozen=True, slots=True)
class Choice:
    """A sanitizer and, when it can't look at this exercise, why not."""

    sanitizer: Sanitizer
    problem: str = ""


def choices(exercise: Exercise, text: str) -> tuple[Choice, ...]:
    """What the second wave of an exercise runs; `text` is the source. Empty where there is nothing to instrument."""
    if exercise.toolchain not in TOOLCHAINS or all(name.endswith(".py") for name in exercise.files):
        return ()
    if exercise.toolchain == "cuda":
        return _kernel_choices(text)
    chosen = [Choice(ADDRESS, ADDRESS.missing())]
    if _OPENMP.search(text):
        # Its barriers are futexes that ThreadSanitizer does not see: every reduction would look like a race.
        chosen.append(Choice(THREAD, "gcc's OpenMP library hides its barriers from ThreadSanitizer"))
    elif _THREADS.search(text):
        chosen.append(Choice(THREAD, THREAD.missing()))
    return tuple(chosen)


def _kernel_choices(text: str) -> tuple[Choice, ...]:
    """Races are looked for in shared memory only, so a kernel without it has none to show."""
    fit = ((MEMCHECK, True), (RACECHECK, bool(_SHARED.search(text))), (SYNCCHECK, bool(_BARRIER.search(text))))
    return tuple(Choice(one, one.missing()) for one, fits in fit if fits)


def _kernels_missing() -> str:
    found = programs.compute_sanitizer()
    if not found.usable:
        return found.problem or f"compute-sanitizer is not installed (`pip install {SANITIZER_WHEEL}`)"
    return "" if programs.gpu_capability() else "there is no GPU"


def sanitizing(flags: tuple[str, ...], name: str) -> Compiler:
    """The compiler of a build: gcc for an instrumented one, as it brings the runtimes along."""
    return gcc() if name else compiler_for(flags)


@lru_cache(maxsize=8)
def runtime_path(name: str) -> Path | None:
    """Where gcc keeps a runtime; None when it is not there."""
    driver = programs.gcc().path
    if driver is None:
        return None
    argv = (driver, f"-print-file-name={name}")
    try:
        said = subprocess.run(argv, capture_output=True, text=True, timeout=10, env=dict(PLAIN_ENV), check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    path = Path(said.strip())
    return path.resolve() if path.is_absolute() and path.exists() else None
