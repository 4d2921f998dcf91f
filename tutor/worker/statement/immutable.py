"""Whether a call writes into what must never change: everybody who has seen the object relies on it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tutor.core.diagnosis import NativeFinding
from tutor.core.finding import Finding
from tutor.worker.probe.forked import run_forked
from tutor.worker.statement.look import Looker
from tutor.worker.statement.source import Subject

_MOST_BYTES = 1 << 24


def examine_immutable(looker: Looker, subject: Subject) -> list[NativeFinding]:
    """Bytes, texts and tuples among the arguments and what they hold, compared with copies from before the call."""
    changed = run_forked(lambda: _changed(subject), looker.seconds).value or []
    place = looker.entry(subject)
    found = [
        Finding("undefined", f"{path} ({kind}) is written to, and {kind} objects may not change", type=kind)
        for path, kind in changed
    ]
    return [NativeFinding(finding, subject.label, place) for finding in found]


def _changed(subject: Subject) -> list[tuple[str, str]]:
    call = subject.make()
    held = [(path, value, _copy(value)) for path, value in subject.objects(call) if _is_immutable(value)]
    function, args, keywords = call
    # What it did until it raised counts as well.
    with suppress(Exception):
        function(*args, **keywords)
    return [(path, type(value).__name__) for path, value, before in held if _copy(value) != before]


def _is_immutable(value: Any) -> bool:
    return type(value) in (bytes, str, tuple) and len(value) <= _MOST_BYTES


def _copy(value: Any) -> list[int] | bytearray:
    """Memory of its own. Of a tuple it is who its items are: that they change is their own affair."""
    if isinstance(value, tuple):
        return [id(item) for item in value]
    return bytearray(value.encode("utf-32", "surrogatepass") if isinstance(value, str) else value)
