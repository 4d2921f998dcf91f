"""Two passes that change what a call meets: a function of the Python API that fails, a buffer that ends at a wall."""

from __future__ import annotations

import array
import ctypes
import sys
from typing import Any

from tutor.core.diagnosis import NativeFinding
from tutor.worker import crash
from tutor.worker.probe import library
from tutor.worker.probe.forked import run_forked
from tutor.worker.probe.injection import chosen_points
from tutor.worker.probe.seen import read_survey
from tutor.worker.statement.look import Looker
from tutor.worker.statement.source import Call, Subject

MOST_POINTS = 24
_MOST_BYTES = 1 << 24


def fail_each(looker: Looker, subject: Subject) -> tuple[list[NativeFinding], str]:
    """Every place that calls a function which can fail does so once; at most one finding a place."""
    counted = looker.survey(subject, 1)
    if counted.value is None:
        return [], "the call can't be followed"
    log = read_survey(counted.value).log
    found: dict[str, NativeFinding] = {}
    for number in chosen_points(log, MOST_POINTS):
        for finding in looker.fail(subject, number, log[number].name):
            found.setdefault(finding.place.text if finding.place else "", finding)
    return list(found.values()), ""


def guard_buffers(looker: Looker, subject: Subject) -> tuple[list[NativeFinding], str]:
    """Each buffer among the arguments ends, then begins, at a page that may not be touched."""
    try:
        call = subject.make()
    except Exception:  # noqa: BLE001 - after a crash calls are looked at that may not be possible by themselves
        return [], "the call can't be made by itself"
    found: dict[str, NativeFinding] = {}
    for number, argument in enumerate(call[1]):
        for side in ("after", "before") if _is_buffer(argument) else ():
            reply = run_forked(lambda n=number, s=side: _guarded(subject, n, s), looker.seconds)  # type: ignore[misc]
            if reply.signal and reply.crash is not None and reply.crash.guard:
                finding = looker.crash(reply, subject)
                found.setdefault(finding.place.text if finding.place else "", finding)
    return list(found.values()), ""


def _is_buffer(value: Any) -> bool:
    if isinstance(value, bytes | bytearray | memoryview | array.array):
        return 0 < memoryview(value).nbytes <= _MOST_BYTES and memoryview(value).c_contiguous
    if _is_a(value, "torch", "Tensor"):
        plain = value.device.type == "cpu" and value.layout is sys.modules["torch"].strided
        return plain and value.is_contiguous() and 0 < value.nbytes <= _MOST_BYTES
    array_like = _is_a(value, "numpy", "ndarray") and 0 < value.nbytes <= _MOST_BYTES
    return array_like and bool(value.flags.c_contiguous) and not value.dtype.hasobject


def _is_a(value: Any, module: str, name: str) -> bool:
    return (type(value).__module__, type(value).__name__) == (module, name)


def _guarded(subject: Subject, number: int, side: str) -> None:
    function, args, keywords = _with_wall(subject.make(), number, side)
    try:
        function(*args, **keywords)
    except Exception:  # noqa: BLE001 - it wants another kind of object: then this can't be looked at
        return


def _with_wall(call: Call, number: int, side: str) -> Call:
    function, args, keywords = call
    value = args[number]
    if _is_a(value, "torch", "Tensor"):
        made = _walled("B", 1, ctypes.string_at(value.data_ptr(), value.nbytes), False, side)
        tensor = sys.modules["torch"].frombuffer(made, dtype=value.dtype).reshape(value.shape)
        return function, (*args[:number], tensor.requires_grad_(value.requires_grad), *args[number + 1 :]), keywords
    view = memoryview(value)
    plain = view.format if view.format and len(view.format) == 1 else "B"
    size = view.itemsize if plain == view.format else 1
    data = view.cast("B").tobytes() if view.ndim else view.tobytes()
    made = _walled(plain, size, data, view.readonly, side)
    if _is_a(value, "numpy", "ndarray"):
        import numpy as np

        made = np.frombuffer(made, value.dtype).reshape(value.shape)
    return function, (*args[:number], made, *args[number + 1 :]), keywords


def _walled(plain: str, size: int, data: bytes, readonly: bool, side: str) -> Any:
    """These bytes in a buffer beside a wall that the crash handler knows."""
    made = library.probe().GuardBuffer(plain, size, (len(data) // size,), None, readonly, side)
    made.fill(data)
    crash.guard(made.wall_low, made.wall_high)
    return made
