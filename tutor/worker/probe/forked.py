"""Runs one pass in a forked child: what it says, or how it died, and never longer than allowed."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from tutor.worker import crash
from tutor.worker.channel import Crashed
from tutor.worker.torch_fork import renew_thread_pool

_CHUNK = 1 << 18


GRACE = 0.3
LEFT = "it left without a word"


@dataclass(frozen=True, slots=True)
class Reply:
    """`value` is what the body returned, JSON-decoded; else `signal` says what killed it, `error` what it raised.

    late: it was killed because its time was up; `crash` is where it was then. LEFT as `error`: it ended itself.
    """

    value: Any = None
    signal: int = 0
    crash: Crashed | None = None
    error: str = ""
    late: bool = False


def run_forked(body: Callable[[], Any], seconds: float = 10.0) -> Reply:
    """Run `body` in a copy of this process; its value must be JSON. What it prints is dropped."""
    said, saying = os.pipe()
    crashed, crashing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python >= 3.12 warns of other threads; the child only runs the body and leaves.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _run(body, saying, crashing)
    os.close(saying)
    os.close(crashing)
    try:
        text, late = _read(said, pid, time.monotonic() + seconds)
        status = os.waitpid(pid, 0)[1]
        report = _decode_crash(_read_rest(crashed))
    finally:
        os.close(said)
        os.close(crashed)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return _reply(text, number, report, late)


def _reply(text: bytes, number: int, report: Crashed | None, late: bool) -> Reply:
    if late or number or not text:
        return Reply(signal=number, crash=report, late=late, error="" if late or number else LEFT)
    kind, value = msgspec.json.decode(text)
    return Reply(value=value) if kind == "value" else Reply(error=str(value))


def _run(body: Callable[[], Any], saying: int, crashing: int) -> None:
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        crash.install(crashing)
        renew_thread_pool()
        try:
            answer = ("value", body())
        except Exception as error:  # noqa: BLE001 - the worker boundary: the parent hears of it
            answer = ("error", f"{type(error).__name__}: {error}")
        text = memoryview(msgspec.json.encode(answer))
        while text:
            text = text[os.write(saying, text) :]
    finally:
        # Nothing may be torn down: what was over-released would crash here.
        os._exit(0)


def _read(fd: int, pid: int, deadline: float) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            _end(fd, pid)
            return b"", True
        part = os.read(fd, _CHUNK)
        if not part:
            return b"".join(parts), False
        parts.append(part)


def _end(fd: int, pid: int) -> None:
    """Kill it; it gets a moment to say where it is."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGABRT)
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and not (select.select([fd], [], [], GRACE)[0] and not os.read(fd, _CHUNK)):
            pass
        os.kill(pid, signal.SIGKILL)


def _read_rest(fd: int) -> bytes:
    os.set_blocking(fd, False)
    with suppress(BlockingIOError):
        return os.read(fd, _CHUNK)
    return b""


def _decode_crash(text: bytes) -> Crashed | None:
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(text.partition(b"\n")[0], type=Crashed)
    return None
