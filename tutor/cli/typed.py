"""Lines that are typed, for an event loop that must not wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable

_CHUNK = 1 << 16


async def typed_lines() -> AsyncIterator[str]:
    """Lines of stdin as they come; ends with it.

    Read by a thread: waited for by the loop, a terminal would not block any more, for stdout too, and a longer text
    that it does not take at once would be an error. From the descriptor: a thread that sits in `sys.stdin` holds the
    lock that Python takes when it ends.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(line: bytes | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is over, nobody listens
            loop.call_soon_threadsafe(lines.put_nowait, line)

    threading.Thread(target=_read, args=(put,), name="typed", daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line.decode(errors="replace")


def _read(put: Callable[[bytes | None], None]) -> None:
    """Every line of stdin, then None; a closed stdin has none."""
    pending = b""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        descriptor = sys.stdin.fileno()
        while data := os.read(descriptor, _CHUNK):
            *whole, pending = (pending + data).split(b"\n")
            for line in whole:
                put(line)
    if pending:
        put(pending)
    put(None)
