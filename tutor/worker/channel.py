"""The private line between a check and its supervisor: messages that the kernel signs with the sender's pid."""

from __future__ import annotations

import os
import resource
import secrets
import socket
import struct
from contextlib import suppress
from typing import Any

import msgspec

_CREDENTIALS = struct.Struct("3i")
_CHUNK = 1 << 18


class Envelope(msgspec.Struct, frozen=True):
    """One message. `token` is known to the two ends only; `body` is JSON of a type that `kind` names."""

    token: str
    kind: str
    body: msgspec.Raw


class Crashed(msgspec.Struct, frozen=True):
    """What the crash handler writes: innermost frame first, each a module's path and an offset in hex."""

    signal: int
    address: str | None = None
    guard: bool = False
    write: bool | None = None
    frames: list[tuple[str, str]] = []


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Envelope).decode
_decode_crash = msgspec.json.Decoder(Crashed).decode


class Channel:
    """The child's end: kept at a high descriptor, so that what code does to low ones shows on stdout first."""

    def __init__(self, end: socket.socket, token: str) -> None:
        top = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16)
        self.fd = _move_high(end.detach(), top - 1)
        self._token = token
        self._canary = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._identity = self._identities()
        self._pending = b""

    def send(self, kind: str, body: Any) -> None:
        """Send one message whole; raises OSError when the descriptor is gone."""
        line = memoryview(_encode(Envelope(self._token, kind, msgspec.Raw(_encode(body)))) + b"\n")
        while line:
            line = line[os.write(self.fd, line) :]

    def receive(self) -> bytes:
        """The next line from the supervisor; empty when it has hung up."""
        while b"\n" not in self._pending:
            chunk = os.read(self.fd, _CHUNK)
            if not chunk:
                return b""
            self._pending += chunk
        line, self._pending = self._pending.split(b"\n", 1)
        return line

    def tampered(self) -> bool:
        """True when the descriptors the worker relies on were closed or re-pointed."""
        return self._identities() != self._identity

    def _identities(self) -> list[tuple[int, int] | None]:
        return [_identity(fd) for fd in (0, 1, 2, self._canary, self.fd)]


def _identity(fd: int) -> tuple[int, int] | None:
    with suppress(OSError):
        status = os.fstat(fd)
        return status.st_dev, status.st_ino
    return None


def _move_high(fd: int, wanted: int) -> int:
    os.dup2(fd, wanted, inheritable=False)
    os.close(fd)
    return wanted


class Inbox:
    """The supervisor's end: takes messages from one pid only and remembers who else wrote."""

    def __init__(self, end: socket.socket, token: str) -> None:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket = end
        self.crash: Crashed | None = None
        self.strangers = 0
        self.closed = False
        self._token = token
        self._pending = b""

    def send(self, line: bytes) -> None:
        """Send one line to the child; a child that is gone is noticed elsewhere."""
        with suppress(OSError):
            self.socket.setblocking(True)
            self.socket.sendall(line + b"\n")
        with suppress(OSError):  # also after a failed send: `take` must never wait
            self.socket.setblocking(False)

    def take(self, pid: int) -> list[Envelope]:
        """All messages that have arrived from process `pid`."""
        while not self.closed:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(_CHUNK, socket.CMSG_SPACE(_CREDENTIALS.size))
            except BlockingIOError:
                break
            except OSError:
                self.closed = True
                break
            self.closed = not data
            if _sender(ancillary) == pid:
                self._pending += data
            elif data:
                self.strangers += 1
        *lines, self._pending = self._pending.split(b"\n")
        return [message for message in map(self._read, lines) if message is not None]

    def _read(self, line: bytes) -> Envelope | None:
        try:
            message = _decode(line)
        except msgspec.DecodeError:
            with suppress(msgspec.DecodeError):
                self.crash = self.crash or _decode_crash(line)
            return None
        if not secrets.compare_digest(message.token, self._token):
            self.strangers += 1
            return None
        return message


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(_CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0])
    return -1


def open_channel() -> tuple[socket.socket, socket.socket, str]:
    """(supervisor's end, child's end, token) of a new channel."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    # Set before the fork: credentials are attached only to what is sent while the option is on.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs, secrets.token_hex(16)
