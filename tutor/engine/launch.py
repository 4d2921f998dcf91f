"""What a worker says on its two pipes, and the launcher before it on stderr; what it needs to import this package."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from tutor.content.resources import checkout_root
from tutor.core import protocol as p

_KEPT = 4000
Listener = Callable[[str], None]


class Said:
    """The end of a process's stderr. Listeners get the newest line until the process is ready."""

    def __init__(self) -> None:
        self._bytes = b""
        self._listeners: list[Listener] = []
        self._waiting = False

    def begin(self) -> None:
        """A process starts."""
        self._bytes, self._waiting = b"", True

    def ready(self) -> None:
        """What comes now is no longer why it is waited for."""
        self._waiting = False

    def add(self, chunk: bytes) -> None:
        """Something was written."""
        self._bytes = (self._bytes + chunk)[-_KEPT:]
        self._tell(self._listeners)

    @property
    def text(self) -> str:
        """All that is kept."""
        return self._bytes.decode("utf-8", "replace").strip()

    @contextmanager
    def heard(self, listener: Listener) -> Iterator[None]:
        """Inside the block the listener is told, what was said before it came too."""
        self._listeners.append(listener)
        try:
            self._tell([listener])
            yield
        finally:
            self._listeners.remove(listener)

    def _tell(self, listeners: list[Listener]) -> None:
        if self._waiting and self.text:
            for listener in listeners:
                listener(self.text.splitlines()[-1])


def python_path() -> dict[str, str]:
    """Lets the worker import this package when it runs from a checkout that is not installed."""
    root = checkout_root()
    if root is None:
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))}


def reply_of(line: bytes) -> p.Reply | None:
    """The reply that a line of a worker's stdout is; None when it is none."""
    try:
        reply: p.Reply = p.decode_reply(line)
    except msgspec.DecodeError:
        return None
    return reply
