"""Where things are in the learner's files: compiled lines, traceback lines, and the line of a function by its name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tutor.core.protocol import Artifact

_CYTHON_MARK = re.compile(r'/\* "(?:[^"]*/)?([^"/]+)":(\d+)')


@dataclass(frozen=True, slots=True)
class Place:
    """A line (1-based) of a learner's file, by the name the learner knows it under."""

    file: str
    line: int


@lru_cache(maxsize=64)
def _lines(path: str) -> tuple[str, ...]:
    try:
        return tuple(Path(path).read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError:
        return ()


def learner_place(artifact: Artifact, file: str, line: int) -> Place | None:
    """The learner's line for a file and line that a compiler or a traceback names; None when it isn't theirs."""
    if line <= 0 or not file:
        return None
    name = learner_file(artifact, file)
    if name is not None:
        return Place(name, line)
    return _cython_place(artifact, file, line) if file.endswith((".c", ".cpp", ".cc")) else None


def learner_file(artifact: Artifact, file: str) -> str | None:
    """The learner's name of a path: the same file, or the same trailing path where the build moved it."""
    real = os.path.realpath(file)
    for name, path in artifact.sources.items():
        if os.path.realpath(path) == real:
            return name
    for name in artifact.sources:
        if file == name or file.endswith("/" + name) or (os.path.basename(file) == file and Path(name).name == file):
            return name
    return None


def _cython_place(artifact: Artifact, file: str, line: int) -> Place | None:
    """Cython writes the .pyx line above what it made of it."""
    for text in reversed(_lines(file)[:line]):
        mark = _CYTHON_MARK.search(text)
        if mark:
            name = learner_file(artifact, mark.group(1))
            return Place(name, int(mark.group(2))) if name else None
    return None


def find_symbol(artifact: Artifact, text: str) -> Place | None:
    """Where `text` is defined in the learner's files: a function or class of that name, else the first line with it.

    A Python-visible name of a C extension leads through its method table to the C function.
    """
    if not text:
        return None
    return find_definition(artifact, text) or _first(artifact, re.compile(re.escape(text)))


def find_definition(artifact: Artifact, name: str) -> Place | None:
    """Where the learner's files define the function or class `name`; None when they only mention it."""
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        return None
    for known in (_method_table_name(artifact, name), name):
        place = _definition(artifact, known) if known else None
        if place:
            return place
    return None


def _definition(artifact: Artifact, name: str) -> Place | None:
    n = re.escape(name)
    keyword = re.compile(rf"^\s*(?:async\s+)?(?:pub\s+)?(?:cdef\s+|cpdef\s+)?(?:def|fn|class|struct|impl)\s.*?\b{n}\b")
    cdef = re.compile(rf"^\s*c(?:p)?def\s[^=]*\b{n}\s*\(")
    # C: starts in column 0 (or in a namespace, indented), names a type before it, and is no declaration or call.
    c_like = re.compile(rf"^(?!.*;\s*$)(?!\s*(?:return|else|if|//|\*|#))[\w:<>,&*\s\[\]]*\b{n}\s*\((?!.*\)\s*;)")
    macro = re.compile(rf"^\s*\w+\(\s*{n}\s*,")
    for pattern in (keyword, cdef, c_like, macro):
        place = _first(artifact, pattern)
        if place:
            return place
    return None


def _method_table_name(artifact: Artifact, name: str) -> str:
    table = re.compile(rf'\{{\s*"{re.escape(name)}"\s*,\s*(?:\([\w\s*]+\)\s*)*&?(\w+)')
    binding = re.compile(rf'\b(?:def|impl)\(\s*"{re.escape(name)}"\s*,\s*(?:TORCH_BOX\()?&?(?:\w+::)*(\w+)')
    for path in artifact.sources.values():
        for pattern in (table, binding):
            match = pattern.search("\n".join(_lines(path)))
            if match:
                return match.group(1)
    return ""


def _first(artifact: Artifact, pattern: re.Pattern[str]) -> Place | None:
    for name, path in artifact.sources.items():
        for number, line in enumerate(_lines(path), start=1):
            if pattern.search(line):
                return Place(name, number)
    return None
