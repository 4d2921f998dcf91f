"""What `diagnose` says of a statement that calls compiled code of any origin: findings with places in that code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from tutor.core.finding import Finding, Severity
from tutor.core.verdict import SCHEMA

ProblemKind = Literal["usage", "environment"]


@dataclass(frozen=True, slots=True)
class NativePlace:
    """A place in a loaded library: `offset` is the address that addr2line wants, 0 when only the library is known.

    function: its symbol, or the name that Python knows it under. file, line: only where there is debug information.
    """

    library: str
    function: str = ""
    offset: int = 0
    file: str = ""
    line: int | None = None

    @property
    def text(self) -> str:
        """`encode (ujson.cpython-311.so+0x21f0)`, `file.c:41` instead where it is known."""
        where = os.path.basename(self.library) + (f"+{self.offset:#x}" if self.offset else "")
        if self.line:
            where = f"{os.path.basename(self.file)}:{self.line}"
        return f"{self.function} ({where})" if self.function else where

    def document(self) -> dict[str, Any]:
        """`library, function, offset, file, line`."""
        return {
            "library": self.library,
            "function": self.function,
            "offset": f"{self.offset:#x}" if self.offset else "",
            "file": self.file,
            "line": self.line,
        }


@dataclass(frozen=True, slots=True)
class NativeFinding:
    """A finding, the call or statement that shows it, its place, and, of a crash, the stack (innermost first)."""

    finding: Finding
    subject: str
    place: NativePlace | None = None
    stack: tuple[NativePlace, ...] = ()

    def document(self) -> dict[str, Any]:
        """An entry of `findings[]`."""
        finding = self.finding
        return {
            "code": finding.code,
            "message": finding.message,
            "subject": self.subject,
            "place": self.place.document() if self.place else None,
            "stack": [place.document() for place in self.stack],
            "type": finding.type,
            "per_call": finding.per_call,
            "severity": str(finding.severity),
        }


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over one call. `unknown` says why it could not look; empty as a rule."""

    name: str
    subject: str
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why nothing was examined: what the user wrote (`usage`), or what is missing here (`environment`)."""

    kind: ProblemKind
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The whole answer. `libraries` are those whose code the statement ran through; `problem` excludes all else."""

    statement: str
    setup: str
    python: str = ""
    libraries: tuple[str, ...] = ()
    findings: tuple[NativeFinding, ...] = ()
    passes: tuple[Pass, ...] = ()
    seconds: float = 0.0
    problem: Problem | None = None

    @property
    def found(self) -> bool:
        """True when there is more than notes."""
        return any(f.finding.severity is not Severity.NOTE for f in self.findings)

    def document(self) -> dict[str, Any]:
        """The `--json` document."""
        return {
            "schema": SCHEMA,
            "statement": self.statement,
            "setup": self.setup,
            "python": self.python,
            "verdict": "found" if self.found else "clean",
            "libraries": list(self.libraries),
            "findings": [finding.document() for finding in self.findings],
            "passes": [{"name": p.name, "subject": p.subject, "unknown": p.unknown} for p in self.passes],
            "seconds": round(self.seconds, 3),
        }
