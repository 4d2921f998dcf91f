"""A finding: one named defect with its code, the learner's file and line, and how bad it is."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


class Severity(StrEnum):
    """How much a finding matters; an error fails the run, the others inform."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


# Stable: tests, fault declarations and --json use these codes. The text says what the code means.
CODES: dict[str, str] = {
    "ref-leak": "a reference is taken and never given back",
    "ref-underflow": "a reference is given back that was never taken",
    "borrowed-return": "a borrowed reference is returned or stored without an INCREF",
    "use-after-free": "an object is used after its last reference went away",
    "buffer-not-released": "a buffer was acquired and not released",
    "memory-leak": "memory is allocated and never freed",
    "out-of-bounds": "a read or write past the end of an array",
    "gil-held": "the GIL is held through work that does not need it",
    "gil-missing": "the Python API is called without the GIL",
    "data-race": "two threads touch the same memory and one writes",
    "undefined": "the language does not say what this does",
    "exception-contract": "NULL without an exception, or a result with one set",
    "error-path": "wrong when a call in the middle fails",
    "type-leak": "a heap type's dealloc does not release its type or a field",
    "gc-missing": "a container type the garbage collector can't see through",
    "layout": "wrong on a strided, transposed, reversed, 0-d, empty or misaligned input",
    "dtype": "wrong, or silently converted, on another dtype or byte order",
    "hidden-copy": "memory grows although no copy was promised",
    "lifetime": "the result outlives its owner, or a pinned buffer is not pinned",
    "schema": "the operator's schema does not say what it does (mutation, aliasing)",
    "fake-kernel": "the fake kernel is missing or disagrees with the real one",
    "autograd-registration": "autograd is not registered for the operator",
    "gradient": "the backward computes a wrong gradient",
    "wrong-result": "the result is wrong",
    "numerics": "the result loses precision or changes floating-point modes",
    "cuda-stream": "a kernel runs on the wrong stream",
    "cuda-race": "a CUDA kernel misses a barrier",
    "cuda-memcheck": "a CUDA kernel touches memory it does not own",
    "crash": "the process was killed by a signal",
    "timeout": "the time limit passed",
    "output-flood": "more was printed than is kept",
    "out-of-memory": "the memory limit passed",
    "forbidden": "the code interferes with how it is checked",
    "build": "the code does not build",
    "slow": "slower than the target",
}


class Finding(Struct, frozen=True):
    """One named defect. `line` is 1-based; `type` and `per_call` are set by reference and memory findings."""

    code: str
    message: str
    file: str = ""
    line: int | None = None
    type: str = ""
    per_call: float | None = None
    severity: Severity = Severity.ERROR

    def at(self, file: str, line: int | None) -> Finding:
        """The same finding, placed on a line of the learner's file."""
        return replace(self, file=file, line=line)

    @property
    def place(self) -> str:
        """`file:line`, `file`, or nothing."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file
