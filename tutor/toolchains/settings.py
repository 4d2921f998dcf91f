"""Where the toolchains keep what they make once, and which compiler the user asked for."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from tutor.core.errors import UsageError

CompilerChoice = Literal["auto", "gcc", "clang"]
_CHOICES = ("auto", "gcc", "clang")


@dataclass(frozen=True, slots=True)
class Settings:
    """cache: folder of precompiled headers, native libraries, crates. compiler: `auto`, `gcc` or `clang`."""

    cache: Path
    compiler: CompilerChoice


_current: list[Settings] = []


def configure(cache: Path, compiler: CompilerChoice = "auto") -> Settings:
    """Set both for this process; MLTUTOR_COMPILER overrides `compiler`. Raises UsageError for another word."""
    chosen = os.environ.get("MLTUTOR_COMPILER") or compiler
    if chosen not in _CHOICES:
        raise UsageError(f"MLTUTOR_COMPILER is {chosen!r}", f"use one of {', '.join(_CHOICES)}")
    _current[:] = [Settings(cache.absolute(), cast(CompilerChoice, chosen))]
    return _current[0]


def settings() -> Settings:
    """The settings in force; a folder of this user below the temporary folder where nobody configured one."""
    if not _current:
        configure(Path(tempfile.gettempdir()) / f"mltutor-{os.getuid()}")
    return _current[0]
