"""Builds the tutor's own C libraries of native/NAME: once, into the cache, for every toolchain that links them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tutor.core.errors import ContentError
from tutor.core.protocol import Artifact
from tutor.toolchains.base import BuildPlan, Command
from tutor.toolchains.compilers import HEADERS, SUFFIXES, Language, atomic, base_flags, compiler, language_flags
from tutor.toolchains.packages import digest, native_root
from tutor.toolchains.settings import settings


@dataclass(frozen=True, slots=True)
class NativeLibrary:
    """`path` of lib<name>.so in the cache, the folder of its headers, the key of its content, what makes it."""

    name: str
    path: Path
    include: Path
    key: str
    argv: tuple[str, ...]

    @property
    def link_words(self) -> tuple[str, ...]:
        """What a linker needs to find it, now and when it is loaded."""
        return (f"-L{self.path.parent}", f"-Wl,-rpath,{self.path.parent}", f"-l{self.name}")

    @property
    def steps(self) -> tuple[Command, ...]:
        """The command that makes it; none when it is there."""
        if self.path.is_file():
            return ()
        return (atomic(self.argv, self.path, self.include, f"lib{self.name}"),)


def native_library(name: str) -> NativeLibrary:
    """The library made of all C and C++ files of native/<name>. Raises ContentError when there are none."""
    folder = native_root() / name
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    sources = [f for f in files if f.suffix in SUFFIXES]
    if not sources:
        raise ContentError(folder, f"there is no C library `{name}` in native/", key="native")
    chosen = compiler()
    language: Language = "c++" if any(SUFFIXES[f.suffix] == "c++" for f in sources) else "c"
    flags = (*base_flags(), *(language_flags(chosen, "c++") if language == "c++" else ()))
    link = ("-shared", *chosen.linker_flags, "-Wl,-z,defs", f"-Wl,-soname,lib{name}.so")
    argv = (chosen.driver(language), *flags, f"-fdebug-prefix-map={folder}=.", *link)
    argv += (*(f.name for f in sources), "-lm", "-lpthread")
    texts = [f.read_bytes().hex() for f in files if f.suffix in SUFFIXES or f.suffix in HEADERS]
    key = digest(chosen.identity, *argv[1:], *texts)
    return NativeLibrary(name, settings().cache / "native" / f"{name}-{key}" / f"lib{name}.so", folder, key, argv)


def native_libraries(names: Iterable[str]) -> tuple[NativeLibrary, ...]:
    """The libraries an exercise names."""
    return tuple(native_library(name) for name in names)


def build_native(name: str) -> BuildPlan:
    """A plan for one library: `artifact.path` is where it lies in the cache, `stages` is empty when it is made."""
    library = native_library(name)
    stages = (library.steps,) if library.steps else ()
    return BuildPlan(stages, Artifact("library", name, str(library.path)), library.key)
