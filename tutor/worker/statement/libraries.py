"""Which loaded libraries a statement runs through, found by running it once with all of them watched."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from tutor.worker.probe import library
from tutor.worker.probe.forked import run_forked
from tutor.worker.statement.source import Subject

# To read the relocations of the largest libraries (torch, MKL) would take seconds, and Python is not called there.
_MOST_BYTES = 64 << 20
_OURS = re.compile(r"/_probe\b")


def loaded_extensions() -> list[str]:
    """Paths of the extension modules that are imported, ours not."""
    found: dict[str, None] = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith(tuple(EXTENSION_SUFFIXES)) and os.path.isfile(path):
            found.setdefault(path)
    return [path for path in found if not _OURS.search(path)]


def bundled_libraries() -> list[str]:
    """Other loaded libraries that come with packages, not with the system: a wheel's own libjpeg, a ctypes library."""
    extensions = {os.path.realpath(path) for path in loaded_extensions()}
    text = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    mapped = dict.fromkeys(re.findall(r"(/\S+\.so[.\d]*)$", text, re.MULTILINE))
    return [path for path in mapped if _bundled(path) and os.path.realpath(path) not in extensions]


def _bundled(path: str) -> bool:
    if _OURS.search(path) or os.path.basename(path).startswith(("libpython", "crash")):
        return False
    standard = sysconfig.get_paths()["platstdlib"]
    if "-packages/" in path:
        return os.path.getsize(path) < _MOST_BYTES
    system = path.startswith(("/lib", "/usr/lib", standard, os.path.join(sys.base_prefix, "lib")))
    return not system and os.path.isfile(path) and os.path.getsize(path) < _MOST_BYTES


def entered_libraries(whole: Subject, seconds: float) -> list[str]:
    """Extension modules whose code calls Python or allocates when the statement runs once; in a forked child.

    Other libraries where there is none: all of torch's functions but a few are in one, an operator is in its own.
    """
    return _entered(whole, seconds, loaded_extensions()) or _entered(whole, seconds, bundled_libraries())


def _entered(whole: Subject, seconds: float, candidates: list[str]) -> list[str]:
    def body() -> Any:
        probe = library.probe()
        numbers = [_attach(path) for path in candidates]
        entered = set(probe.entered(whole.prepare))
        return [path for path, number in zip(candidates, numbers, strict=True) if number in entered]

    found = run_forked(body, seconds).value
    return list(found) if found is not None else []


def suspected(paths: list[str]) -> list[str]:
    """Without those of Python itself, where there are others: what datetime makes for its caller is the caller's."""
    standard = os.path.realpath(sysconfig.get_config_var("DESTSHARED") or sysconfig.get_paths()["platstdlib"])
    others = [path for path in paths if not os.path.realpath(path).startswith(standard)]
    return others or paths


def _attach(path: str) -> int:
    try:
        number, _ = library.probe().attach(path, bundled=not path.endswith(tuple(EXTENSION_SUFFIXES)))
    except OSError:
        return -1
    return int(number)


def library_behind(function: Any) -> str:
    """The library that a callable's C function lies in; empty for what is written in Python."""
    probe = library.probe()
    entries = probe.entries(function) or probe.entries(getattr(function, "__func__", None))
    for _, address in entries:
        place = probe.locate(address)
        if place and place[0].endswith(tuple(EXTENSION_SUFFIXES)):
            return str(place[0])
    return ""


def attach_all(paths: list[str]) -> list[str]:
    """Watch these from now on, also in what is forked; the attached ones by their number."""
    library.probe().learn_types()
    attached: list[str] = []
    for path in paths:
        if _attach(path) == len(attached):
            attached.append(path)
    return attached
