"""Heap types of a learner's module: whether an object gives back its type and fields, and the collector sees them."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.worker.crash import crash_finding
from tutor.worker.places import find_symbol
from tutor.worker.probe import library
from tutor.worker.probe.forked import run_forked

_OBJECTS = 20
_HEAPTYPE = 1 << 9
_HAVE_GC = 1 << 14


class Sentinel:
    """What an object of the type is given to hold."""


def examine_type(artifact: Artifact, kind: type, make: Callable[[Any], Any]) -> tuple[Finding, ...]:
    """Findings (`type-leak`, `gc-missing`) on a type; `make(x)` makes an object of it that holds `x`.

    In a forked child, as a broken type may crash the collector.
    """
    reply = run_forked(lambda: _examine(kind, make))
    place = find_symbol(artifact, kind.__name__)
    if reply.signal and not reply.late:
        found = [crash_finding(reply.signal, reply.crash, artifact)]
    elif reply.value is None:
        found = []
    else:
        found = [Finding(code, text, type=kind.__name__, per_call=per_call) for code, text, per_call in reply.value]
    return tuple(f.at(place.file, place.line) if place and f.line is None else f for f in found)


def _examine(kind: type, make: Callable[[Any], Any]) -> list[tuple[str, str, float | None]]:
    name = kind.__name__
    gc.collect()
    found = [*_leaks(kind, name, make)]
    if not found:
        found += _blind(kind, name, make)
    return found


def _leaks(kind: type, name: str, make: Callable[[Any], Any]) -> list[tuple[str, str, float | None]]:
    held = Sentinel()
    make(held)
    types, fields = sys.getrefcount(kind), sys.getrefcount(held)
    for _ in range(_OBJECTS):
        make(held)
    gc.collect()
    found: list[tuple[str, str, float | None]] = []
    if kind.__flags__ & _HEAPTYPE and (slope := (sys.getrefcount(kind) - types) / _OBJECTS) >= 0.9:
        text = f"{name}'s dealloc does not release its type: Py_DECREF(type) after tp_free"
        found.append(("type-leak", text, slope))
    if (slope := (sys.getrefcount(held) - fields) / _OBJECTS) >= 0.9:
        found.append(("type-leak", f"{name}'s dealloc does not release what a field holds", slope))
    return found


def _blind(kind: type, name: str, make: Callable[[Any], Any]) -> list[tuple[str, str, float | None]]:
    """What the collector can't see or undo, the first reason only."""
    held = Sentinel()
    object_ = make(held)
    if not kind.__flags__ & _HAVE_GC:
        if _survives(make):
            return [("gc-missing", f"{name} holds objects but has no Py_TPFLAGS_HAVE_GC: a cycle is never freed", None)]
        return []
    referents = gc.get_referents(object_)
    if not any(value is held for value in referents):
        return [("gc-missing", f"{name}'s traverse does not visit a field: a cycle through it is never freed", None)]
    if kind.__flags__ & _HEAPTYPE and not any(value is kind for value in referents):
        return [("gc-missing", f"{name}'s traverse does not visit its type: Py_VISIT(Py_TYPE(self))", None)]
    del referents
    # Asked directly: in a cycle with a dict or a list those would be cleared instead.
    if not library.probe().clear(object_) or any(value is held for value in gc.get_referents(object_)):
        return [("gc-missing", f"{name}'s clear does not clear a field: a cycle through it is never freed", None)]
    if _tracked_while_dying(make):
        return [("gc-missing", f"{name}'s dealloc clears fields before PyObject_GC_UnTrack(self)", None)]
    return []


def _survives(make: Callable[[Any], Any]) -> bool:
    """Whether a cycle through an object outlives a collection."""
    held = Sentinel()
    watch = weakref.ref(held)
    held.back = make(held)  # type: ignore[attr-defined]
    del held
    gc.collect()
    return watch() is not None


def _tracked_while_dying(make: Callable[[Any], Any]) -> bool:
    """Whether the collector still tracks an object when its dealloc releases the fields."""
    seen: list[bool] = []

    class Last(Sentinel):
        address = 0

        def __del__(self) -> None:
            seen.append(bool(library.probe().is_tracked(self.address)))

    held = Last()
    made = make(held)
    held.address = id(made)
    del held, made
    return any(seen)
