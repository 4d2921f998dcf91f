"""The crash handler in the child, and its report turned into the learner's line in the supervisor."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.worker.channel import Crashed
from tutor.worker.places import Place, find_definition, learner_place
from tutor.worker.symbols import split_place, symbol_lines

_library: ctypes.CDLL | None = None
_FAULTS = {signal.SIGSEGV: "Segmentation fault", signal.SIGABRT: "Aborted", signal.SIGBUS: "Bus error"}
_FAULTS |= {signal.SIGFPE: "Arithmetic error (integer division by zero?)", signal.SIGILL: "Illegal instruction"}
_FAULTS |= {signal.SIGXFSZ: "File too large", signal.SIGXCPU: "CPU time limit passed"}
_TRACEBACK_FIELD = 5 * ctypes.sizeof(ctypes.c_void_p)  # offsetof(PyBaseExceptionObject, traceback), Python 3.11 to 3.13
_NO_EXCEPTION = "returned NULL without setting an exception: Python crashes as it adds to the traceback of none"


def use_library(path: str) -> bool:
    """Load the native crash handler for all later children; False when `path` is another library."""
    global _library
    loaded = ctypes.CDLL(path)
    if not hasattr(loaded, "mltutor_crash_install"):
        return False
    loaded.mltutor_crash_guard.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    loaded.mltutor_crash_symbol.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    loaded.mltutor_crash_symbol.restype = ctypes.c_char_p
    _library = loaded
    return True


def install(fd: int) -> None:
    """Report fatal signals of this process on `fd`. Without the native handler Python's stack goes to stderr."""
    os.environ["LIBC_FATAL_STDERR_"] = "1"
    if _library is None:
        faulthandler.enable(2, all_threads=False)
        return
    _library.mltutor_crash_unbuffer()
    _library.mltutor_crash_install(fd)


def guard(low: int, high: int) -> None:
    """Tell the handler that a fault in [low, high) is a read or write past an array."""
    if _library is not None:
        _library.mltutor_crash_guard(low, high)


def broken_contract(report: Crashed | None) -> str:
    """The broken rule of the Python API that a crash in the interpreter proves; empty: it proves none.

    From Python 3.12 on PyTraceBack_Here reads the exception that is set without asking whether there is one. Cython
    calls it for every function that fails, so the interpreter never comes to complain of the missing one itself.
    """
    if report is None or _library is None or report.write or report.address is None:
        return ""
    if int(report.address, 16) != _TRACEBACK_FIELD:
        return ""
    for path, offset in report.frames[:2]:
        if _library.mltutor_crash_symbol(os.fsencode(path), int(offset, 16)) == b"PyTraceBack_Here":
            return _NO_EXCEPTION
    return ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a crashed stack, as addr2line names it; `line` is 0 where it knows none."""

    module: str
    function: str
    file: str
    line: int


def read_frames(report: Crashed, artifact: Artifact) -> list[Frame]:
    """The stack with names and lines, frames of what the learner built only, inlined ones first."""
    ours = {os.path.realpath(path) for path in (artifact.path, *artifact.extra.values()) if path}
    offsets: dict[str, list[str]] = {}
    for module, offset in report.frames:
        if os.path.realpath(module) in ours:
            offsets.setdefault(module, []).append(offset)
    return [frame for module, wanted in offsets.items() for frame in _resolve(module, wanted)]


def _resolve(module: str, offsets: list[str]) -> list[Frame]:
    lines = symbol_lines(module, offsets, functions=True)
    return [Frame(module, name, *split_place(place)) for name, place in zip(lines[::2], lines[1::2], strict=False)]


def crash_place(report: Crashed | None, artifact: Artifact) -> tuple[Place | None, str]:
    """The innermost line of the learner's own files in a crashed stack, and the function it is in.

    Where the compiler gave a line of a macro or an inlined header to the learner's function, that function's own line.
    """
    if report is None:
        return None, ""
    frames = [(frame, frame.function.partition("(")[0]) for frame in read_frames(report, artifact)]
    for frame, function in frames:
        if place := learner_place(artifact, frame.file, frame.line):
            return place, function
    for _, function in frames:
        if place := find_definition(artifact, function):
            return place, function
    return None, ""


def crash_finding(number: int, report: Crashed | None, artifact: Artifact) -> Finding:
    """`out-of-bounds` for a touched guard page, a broken rule of the API, else `crash` with its signal; its line."""
    place, function = crash_place(report, artifact)
    where = f" in {function}" if function and function != "??" else ""
    if place:
        where += f", {place.file}:{place.line}"
    if report is not None and report.guard:
        access = {True: "writes", False: "reads", None: "reads or writes"}[report.write]
        finding = Finding("out-of-bounds", f"{access} past the end of an array{where}")
    elif rule := broken_contract(report):
        finding = Finding("exception-contract", f"{rule}{where}")
    else:
        finding = Finding("crash", f"{signal_name(number)}{where}")
    return finding.at(place.file, place.line) if place else finding


def signal_name(number: int) -> str:
    """What people call a signal: `Segmentation fault`, or its own name."""
    try:
        known = signal.Signals(number)
    except ValueError:
        return f"Killed by signal {number}"
    return _FAULTS.get(known, f"Killed by {known.name}")


def describe_stack(report: Crashed | None, artifact: Artifact) -> str:
    """The learner's part of a crashed stack as text, innermost first."""
    if report is None:
        return ""
    frames = read_frames(report, artifact)
    return "\n".join(f"  {f.function} at {Path(f.file).name}:{f.line}" for f in frames if f.function != "??")
