"""Precompiled headers: when one may be used, how it is made, and what to do when a compiler rejects it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tutor.toolchains.base import Command, WarmTask
from tutor.toolchains.compilers import PLAIN_ENV, Compiler, Language, atomic
from tutor.toolchains.packages import digest, native_root, version
from tutor.toolchains.settings import settings

_REJECTED = re.compile(
    r"-Winvalid-pch|PCH file|precompiled (?:header|file)|was built (?:with|for)|internal compiler error|"
    r"has been modified since the precompiled|\.gch: (?:not used|too large)|compiler/header mismatch",
    re.I,
)
_switched_off: set[Path] = set()
_wanted: dict[Path, WarmTask] = {}


@dataclass(frozen=True, slots=True)
class Header:
    """A header of native/pch that is precompiled. `packages` decide its key; `codegen`: clang also makes an object.

    seconds: what making it takes with clang and with gcc, told while the learner waits.
    """

    name: str
    language: Language
    packages: tuple[str, ...] = ()
    codegen: bool = False
    seconds: tuple[float, float] = (2.0, 2.0)

    @property
    def source(self) -> Path:
        """The header text."""
        return native_root() / "pch" / f"{self.name}.h"


@dataclass(frozen=True, slots=True)
class Precompiled:
    """One header for one compiler and one set of words: `compile` and `link` words that use it, empty when unready."""

    header: Header
    compiler: Compiler
    flags: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Its own folder; the name holds everything that must match."""
        # clang takes an -O1 header into an -O3 build, gcc 12 dies of it: there the level is part of the key.
        counted = [f for f in self.flags if self.compiler.family == "gcc" or not f.startswith("-O")]
        text = self.header.source.read_text(encoding="utf-8")
        key = digest(self.compiler.identity, *counted, text, *(version(p) for p in self.header.packages))
        return settings().cache / "pch" / f"{self.header.name}-{key}"

    @property
    def file(self) -> Path:
        """The precompiled header."""
        return self.folder / f"{self.header.name}.{'pch' if self.compiler.family == 'clang' else 'h.gch'}"

    @property
    def object(self) -> Path | None:
        """The object with the code of the header's templates, where there is one."""
        return self.folder / f"{self.header.name}.o" if self.header.codegen and self._is_clang else None

    @property
    def ready(self) -> bool:
        """True when all of it is there and no compiler has rejected it."""
        made = self.file.is_file() and (self.object is None or self.object.is_file())
        return made and self.folder not in _switched_off

    @property
    def _is_clang(self) -> bool:
        return self.compiler.family == "clang"

    def words(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(words for the compiler, words for the linker)."""
        if not self.ready:
            return (), ()
        if self._is_clang:
            return ("-include-pch", str(self.file)), (str(self.object),) if self.object else ()
        return ("-Winvalid-pch", "-include", str(self.folder / f"{self.header.name}.h")), ()

    def task(self) -> WarmTask:
        """The commands that make it."""
        label = f"precompiled header {self.header.name}"
        driver = self.compiler.driver(self.header.language)
        kind = ("-x", f"{self.header.language}-header")
        copy = self.folder / f"{self.header.name}.h"
        steps = [Command(("install", "-D", str(self.header.source), str(copy)), native_root(), label, PLAIN_ENV)]
        if self._is_clang:
            instantiate = ("-fpch-instantiate-templates",) if self.header.language == "c++" else ()
            codegen = ("-fpch-codegen",) if self.header.codegen else ()
            words = (driver, *self.flags, *instantiate, *codegen, *kind, str(copy))
        else:
            words = (driver, *self.flags, *kind, str(copy))
        steps.append(atomic(words, self.file, native_root(), label))
        if self.object is not None:
            # The object is made of the header file alone; -w: it has no source line anybody could mend.
            steps.append(
                atomic((driver, "-O3", "-fPIC", "-w", "-c", str(self.file)), self.object, native_root(), label)
            )
        seconds = self.header.seconds[0 if self._is_clang else 1]
        return WarmTask(self.folder.name, label, tuple(steps), self.object or self.file, seconds)

    def want(self) -> None:
        """Ask for it: the toolchain's next `warm()` makes it."""
        if not self.ready and self.folder not in _switched_off:
            _wanted[self.folder] = self.task()


def wanted(names: Sequence[str]) -> tuple[WarmTask, ...]:
    """Tasks that plans of this process have asked for since, by header name."""
    return tuple(t for t in _wanted.values() if t.label.rsplit(" ", 1)[-1] in names and not t.target.is_file())


def rejected(output: str) -> bool:
    """Whether a compiler's output speaks of a precompiled header that it did not take (or that made it crash)."""
    return bool(_REJECTED.search(output))


def switch_off(command: Command) -> bool:
    """Give up the precompiled header that this command used: it is removed. False when it used none."""
    place = settings().cache / "pch"
    folders = {Path(word).parent for word in command.argv if Path(word).is_relative_to(place)}
    folders = {folder for folder in folders if folder.parent == place and folder not in _switched_off}
    for folder in folders:
        _switched_off.add(folder)
        shutil.rmtree(folder, ignore_errors=True)
    return bool(folders)
