"""Names for places in libraries that may be stripped: debug lines, symbols, or the functions that Python can see."""

from __future__ import annotations

import os
import struct
import sys
import types
from collections.abc import Iterator
from typing import Any

from tutor.core.diagnosis import NativePlace
from tutor.worker.channel import Crashed
from tutor.worker.probe import library
from tutor.worker.probe.sites import NOWHERE, Site
from tutor.worker.symbols import split_place, symbol_lines

_SYMTAB = 2
_FRAMES = 12


class Names:
    """Knows the attached libraries by their number."""

    def __init__(self, libraries: list[str]) -> None:
        self._libraries = libraries
        self._visible: dict[int, str] | None = None

    def place(self, site: Site) -> NativePlace | None:
        """The place of a site of the probe; None for no site."""
        target, offset = site
        if site == NOWHERE or not 0 <= target < len(self._libraries):
            return None
        begin, exported = library.probe().function_at(target, offset)
        return self._named(self._libraries[target], offset, int(begin), str(exported))

    def stack(self, crash: Crashed | None) -> tuple[NativePlace, ...]:
        """The frames of a crash in libraries, the interpreter and the C library left out, innermost first."""
        frames = [(path, int(offset, 16)) for path, offset in (crash.frames if crash else [])]
        known = [(path, offset) for path, offset in frames if path and not _is_runtime(path)]
        return tuple(self._frame(path, offset) for path, offset in known[:_FRAMES])

    def of_function(self, function: Any) -> NativePlace | None:
        """Where the C function behind a callable begins; None for Python's own and what is written in Python."""
        probe = library.probe()
        for _, address in probe.entries(function) or probe.entries(getattr(function, "__func__", None)):
            place = probe.locate(address)
            if place and (number := self._number(place[0])) >= 0:
                return self._named(self._libraries[number], int(place[1]), int(address), "")
        return None

    def _number(self, path: str) -> int:
        real = os.path.realpath(path)
        return next((i for i, known in enumerate(self._libraries) if os.path.realpath(known) == real), -1)

    def _frame(self, path: str, offset: int) -> NativePlace:
        number = self._number(path)
        begin, exported = library.probe().function_at(number, offset) if number >= 0 else (0, "")
        return self._named(path, offset, int(begin), str(exported))

    def _named(self, path: str, offset: int, begin: int, exported: str) -> NativePlace:
        if has_symbols(path):
            lines = symbol_lines(path, [f"{offset:#x}"], functions=True)
            frames = [(name, *split_place(place)) for name, place in zip(lines[::2], lines[1::2], strict=False)]
            # Py_DECREF is not the one to blame.
            own = [frame for frame in frames if frame[0] != "??" and "/include/python" not in frame[1]]
            if own:
                function, file, line = own[0]
                return NativePlace(path, function.partition("(")[0], offset, file if line else "", line or None)
        if self._visible is None:
            self._visible = dict(_visible_functions({os.path.realpath(known) for known in self._libraries}))
        return NativePlace(path, self._visible.get(begin, exported) if begin else exported, offset)


def blamed(stack: tuple[NativePlace, ...]) -> NativePlace | None:
    """The innermost frame of a crash that is not code which Cython puts into every module."""
    own = (place for place in stack if not place.function.startswith("__Pyx_"))
    return next(own, stack[0] if stack else None)


def has_symbols(path: str) -> bool:
    """Whether a library was left its symbol table; without it the nearest exported name would be a wrong one."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            start, size, count = struct.unpack_from("<Q", head, 40)[0], *struct.unpack_from("<HH", head, 58)
            file.seek(start)
            sections = file.read(size * count)
    except (OSError, struct.error):
        return False
    kinds = (struct.unpack_from("<I", sections, i + 4)[0] for i in range(0, len(sections) - size + 1, size or 1))
    return head[:4] == b"\x7fELF" and any(kind == _SYMTAB for kind in kinds)


def _is_runtime(path: str) -> bool:
    name = os.path.basename(path)
    return name.startswith(("libc.", "libc-", "ld-", "libpython", "python", "_probe", "crash", "libgcc", "libpthread"))


def _visible_functions(paths: set[str]) -> Iterator[tuple[int, str]]:
    """(address, name) of the functions that the modules of these libraries show to Python."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(module, types.ModuleType) and isinstance(path, str) and os.path.realpath(path) in paths:
            yield from _members(module.__name__, vars(module))


def _members(owner: str, members: Any) -> Iterator[tuple[int, str]]:
    for name, value in list(members.items()):
        for own, address in library.probe().entries(value):
            full = f"{owner}.{name}"
            yield address, f"{full}.{own}" if isinstance(value, type) else full
        if isinstance(value, type) and value.__module__ == owner.partition(":")[0]:
            for inner, part in list(vars(value).items()):
                for _, address in library.probe().entries(part):
                    yield address, f"{owner}.{name}.{inner}"
