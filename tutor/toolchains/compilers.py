"""Chooses gcc or clang and the linker, and knows the words every build of a learner's file gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tutor.core.errors import EnvironmentMissing
from tutor.toolchains import programs
from tutor.toolchains.base import Availability, Command, Program
from tutor.toolchains.packages import digest, machine, python_include
from tutor.toolchains.settings import settings

Language = Literal["c", "c++"]
CXX_STANDARD = "c++20"
GCC_REMEDY = "install a compiler: `apt install g++` (Debian, Ubuntu), `dnf install gcc-c++` (Fedora)"
SUFFIXES: dict[str, Language] = {".c": "c", ".cc": "c++", ".cpp": "c++", ".cxx": "c++"}
HEADERS = (".h", ".hpp", ".hh", ".cuh", ".inc")
# Colour, carets and quotes as in a plain terminal, so that one parser reads gcc of every language.
PLAIN_ENV = {"LC_ALL": "C", "TERM": "dumb", "CCACHE_DISABLE": "1"}


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C and a C++ driver of one family, and the linker they call (`fast` names it, "" for the default)."""

    family: Literal["gcc", "clang"]
    c: Program
    cxx: Program
    linker_flags: tuple[str, ...] = ()
    fast: str = ""

    def driver(self, language: Language) -> str:
        """Path of the driver. Raises EnvironmentMissing when there is none."""
        program = self.c if language == "c" else self.cxx
        if not program.usable or program.path is None:
            raise EnvironmentMissing(f"no usable {program.name}: {program.problem or 'not found'}", GCC_REMEDY)
        return program.path

    @property
    def identity(self) -> str:
        """Changes whenever the compiler, the linker or the machine does."""
        return digest(self.family, self.c.path, self.c.version, self.cxx.version, self.linker_flags, machine())


def compiler() -> Compiler:
    """The compiler in force: clang >= 16 with mold or lld where both are there, else gcc, else clang alone."""
    choice = settings().compiler
    if choice == "gcc":
        return gcc()
    fast = programs.mold().usable or programs.lld().usable
    has_clang = programs.clang().usable and programs.clangxx().usable
    if has_clang and (fast or choice == "clang" or not programs.gxx().usable):
        return Compiler("clang", programs.clang(), programs.clangxx(), *_clang_linker())
    if choice == "clang":
        problem = programs.clang().problem or programs.clangxx().problem or "not found"
        raise EnvironmentMissing(f"no usable clang >= 16: {problem}", "`apt install clang-16 mold`, or unset it")
    return gcc()


def compiler_for(flags: Sequence[str]) -> Compiler:
    """The compiler in force; for OpenMP gcc, which brings its library along, where clang's is not installed."""
    chosen = compiler()
    if "-fopenmp" in flags and chosen.family == "clang" and not programs.clang_openmp() and programs.gcc().usable:
        return gcc()
    return chosen


def gcc() -> Compiler:
    """gcc, whatever else is there."""
    return Compiler("gcc", programs.gcc(), programs.gxx(), *_gcc_linker())


def _clang_linker() -> tuple[tuple[str, ...], str]:
    for program in (programs.mold(), programs.lld()):
        if program.usable:
            return (f"--ld-path={program.path}",), program.name
    return (), ""


def _gcc_linker() -> tuple[tuple[str, ...], str]:
    # gcc finds a linker by name only; it knows the word mold since 12.1.
    if programs.mold().usable and programs.gcc().version >= (12, 1):
        return ("-fuse-ld=mold",), "mold"
    return (), ""


def available(language: Language = "c++", python: bool = False) -> Availability:
    """Whether C or C++ can be compiled here, with Python.h when `python`."""
    try:
        chosen = compiler()
        chosen.driver(language)
    except EnvironmentMissing as error:
        return Availability(False, missing=error.message, remedy=error.remedy)
    if python and not (python_include() / "Python.h").is_file():
        return Availability(False, missing=f"Python.h is not in {python_include()}", remedy="`apt install python3-dev`")
    program = chosen.c if language == "c" else chosen.cxx
    number = ".".join(map(str, program.version))
    return Availability(True, f"{program.name} {number}" + (f" with {chosen.fast}" if chosen.fast else ""))


def base_flags(optimise: bool = True) -> tuple[str, ...]:
    """Words of every compilation: one optimised build serves checks and benchmark."""
    level = "-O3" if optimise else "-O1"
    # Without sibling calls every call of the API leaves a frame: a defect found in it has its line.
    # DWARF 4: where folders are mapped to `.`, addr2line of binutils 2.40 takes clang's DWARF 5 lines of a header for
    # lines of the file that includes it.
    lines = ("-gdwarf-4", "-g1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")
    return (level, "-march=native", *lines, "-fPIC", "-Wall", "-fdiagnostics-color=never")


def language_flags(chosen: Compiler, language: Language, std: str = "") -> tuple[str, ...]:
    """The standard (C++20 unless asked otherwise), what must stop a C build, columns in bytes as clang counts them."""
    program = chosen.c if language == "c" else chosen.cxx
    # Since gcc 11 a tab counts as the columns to the next tab stop; before there was no such option.
    bytewise = ("-fdiagnostics-column-unit=byte",) if chosen.family == "gcc" and program.version >= (11,) else ()
    if language == "c++":
        return (f"-std={std if std.startswith(('c++', 'gnu++')) else CXX_STANDARD}", *bytewise)
    asked = (f"-std={std}",) if std and "++" not in std else ()
    # gcc < 14 only warns, and the module then fails to load: the line is known here and not there.
    return (*asked, "-Werror=implicit-function-declaration", *bytewise)


def shorten_paths(*folders: Path) -> tuple[str, ...]:
    """Debug information that shows plain file names instead of the folder of a snapshot."""
    return tuple(f"-fdebug-prefix-map={folder}=." for folder in folders)


# Output goes beside the target first: a killed or doubled command never leaves half a file under the final name.
_ATOMIC = 'out=$1; shift; mkdir -p "${out%/*}" && "$@" -o "$out.$$" && mv -f "$out.$$" "$out"'


def atomic(argv: Sequence[str], target: Path, cwd: Path, label: str, timeout: float = 300.0) -> Command:
    """`argv -o target`, where `target` appears complete or not at all."""
    words = ("sh", "-c", _ATOMIC, "sh", str(target), *argv)
    return Command(words, cwd, label, PLAIN_ENV, timeout)
