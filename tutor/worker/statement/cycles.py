"""Whether the collector can free what an object of a native type holds, when it holds it in a cycle."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from tutor.core.diagnosis import NativeFinding
from tutor.core.finding import Finding, Severity
from tutor.worker.probe.forked import run_forked
from tutor.worker.statement.look import Looker
from tutor.worker.statement.source import Call, Subject

_HAVE_GC = 1 << 14


class Held:
    """What a type is given in the place of an argument."""


def examine_cycles(looker: Looker, subject: Subject) -> tuple[list[NativeFinding], str]:
    """For a call that makes an object of a native type: each argument in turn is put into a cycle with the object.

    A note where the type never said that it takes part in collection.
    """
    kind = subject.make()[0]
    place = looker.names.of_function(kind)
    if not isinstance(kind, type) or place is None:
        return [], ""
    # A call that crashes, or wants other arguments, says nothing of cycles.
    numbers = run_forked(lambda: _never_freed(subject.make()), looker.seconds).value or []
    severity = Severity.ERROR if kind.__flags__ & _HAVE_GC else Severity.NOTE
    why = "its traverse does not visit it" if kind.__flags__ & _HAVE_GC else "it has no Py_TPFLAGS_HAVE_GC"
    text = "{} keeps arg{}, and a cycle through it is never freed: {}"
    found = [
        Finding("gc-missing", text.format(kind.__name__, n, why), type=kind.__name__, severity=severity)
        for n in numbers
    ]
    return [NativeFinding(finding, subject.label, place) for finding in found], ""


def _never_freed(call: Call) -> list[int]:
    gc.unfreeze()
    return [n for n in range(len(call[1])) if not _outlives(call, n, False) and _outlives(call, n, True)]


def _outlives(call: Call, number: int, cycle: bool) -> bool:
    """Whether the argument is there after all that knew it is gone; also when the object can't be made with it."""
    function, args, keywords = call
    held: Any = Held()
    watch = weakref.ref(held)
    try:
        made = function(*args[:number], held, *args[number + 1 :], **keywords)
    except Exception:  # noqa: BLE001 - it wants another kind of object
        return True
    if cycle:
        held.back = made
    del made, held
    gc.collect()
    return watch() is not None
