"""One forked process that runs learner code: how it is set up, watched, bounded and ended."""

from __future__ import annotations

import io
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tutor.core.protocol import Limits
from tutor.worker import crash
from tutor.worker.channel import Channel, Envelope, Inbox, open_channel
from tutor.worker.limits import TICK, apply_limits, grown_bytes
from tutor.worker.linux import (
    ProcessRow,
    all_processes,
    begin_session,
    children_of,
    command_line,
    descendants,
    die_with_parent,
    kill_rows,
    read_process,
    send_signal,
)
from tutor.worker.torch_fork import renew_thread_pool

Killed = Literal["", "timeout", "out-of-memory", "output-flood"]
# How long the crash handler gets to say where the code was before the whole group is killed.
GRACE = 0.3
BROKEN_EXIT = 113
_private: set[int] = set()


def keep_from_children(fd: int) -> None:
    """Close this descriptor of the supervisor in every child: through it learner code could speak to the engine."""
    _private.add(fd)


@dataclass(slots=True, eq=False)
class Child:
    """The supervisor's view of one child. `status` is the wait status once it has ended.

    forked: when it ended, a copy of it (a fork without exec) was still running.
    """

    name: str
    pid: int
    inbox: Inbox
    output_fd: int
    pidfd: int
    limits: Limits
    at_fork: int
    started: float = field(default_factory=time.monotonic)
    messages: list[Envelope] = field(default_factory=list)
    output: bytearray = field(default_factory=bytearray)
    killed: Killed = ""
    kill_at: float | None = None
    status: int | None = None
    ended: float = 0.0
    forked: bool = False
    seen: dict[int, ProcessRow] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall seconds from the fork to the end, or until now."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def loading(self) -> bool:
        """True from when it began to load the learner's module until that was loaded."""
        kinds = [message.kind for message in self.messages]
        return "loading" in kinds and "loaded" not in kinds

    def condemn(self, why: Killed, now: float) -> None:
        """Begin to end it: SIGABRT lets the crash handler name the line, SIGKILL follows."""
        if not self.killed:
            self.killed, self.kill_at = why, now + GRACE
            send_signal(self.pid, signal.SIGABRT)


class Watch:
    """All children of a supervisor: reads what they say, enforces their limits, reaps them."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.children: dict[int, Child] = {}
        self._checked = 0.0

    def fork(self, name: str, body: Callable[[Channel], None], limits: Limits) -> Child:
        """Fork a child that runs `body`. It never returns there; ending without a message is its own fault."""
        ours, theirs, token = open_channel()
        reader, writer = os.pipe()
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._run_child(parent, theirs, token, writer, body, limits)
        theirs.close()
        os.close(writer)
        os.set_blocking(reader, False)
        row = read_process(pid) or read_process(parent)
        child = Child(name, pid, Inbox(ours, token), reader, os.pidfd_open(pid), limits, row.rss if row else 0)
        for fd in (child.pidfd, ours.fileno(), reader):
            self._selector.register(fd, selectors.EVENT_READ, child)
        self.children[pid] = child
        return child

    def _run_child(
        self,
        parent: int,
        end: socket.socket,
        token: str,
        output: int,
        body: Callable[[Channel], None],
        limits: Limits,
    ) -> None:
        leave = os._exit
        try:
            begin_session()
            die_with_parent(parent)
            self._forget_siblings()
            _point_standard_streams(output)
            apply_limits(limits)
            channel = Channel(end, token)
            crash.install(channel.fd)
            renew_thread_pool()
            body(channel)
            leave(0)
        except BaseException:  # noqa: BLE001 - the worker boundary: nothing may run past the fork
            traceback.print_exc()
            sys.stderr.flush()
        leave(BROKEN_EXIT)

    def _forget_siblings(self) -> None:
        """In the child: close every descriptor of the supervisor and of the other children."""
        for child in self.children.values():
            for fd in (child.pidfd, child.inbox.socket.fileno(), child.output_fd):
                os.close(fd)
        for fd in _private:
            os.close(fd)
        self._selector.close()

    def step(self, timeout: float = TICK) -> list[Child]:
        """Wait up to `timeout` seconds for news; returns the children that have ended meanwhile."""
        ended = []
        for key, _ in self._selector.select(min(timeout, TICK)):
            child: Child = key.data
            if child.status is not None:
                continue
            if key.fd == child.pidfd:
                self._reap(child)
                ended.append(child)
            elif key.fd == child.output_fd:
                self._read_output(child)
            else:
                self._read_messages(child)
        self._enforce()
        return ended

    def _read_messages(self, child: Child) -> None:
        child.messages += child.inbox.take(child.pid)
        if child.inbox.closed:
            self._drop(child.inbox.socket.fileno())

    def _read_output(self, child: Child) -> None:
        while True:
            try:
                data = os.read(child.output_fd, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self._drop(child.output_fd)
                return
            room = child.limits.output_bytes - len(child.output)
            child.output += data[: max(0, room)]
            if len(data) > room:
                child.condemn("output-flood", time.monotonic())
                return

    def _drop(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def _enforce(self) -> None:
        now = time.monotonic()
        if now - self._checked < TICK:
            return
        self._checked = now
        for child in self.children.values():
            if child.kill_at is not None and now >= child.kill_at:
                kill_rows(descendants(child.pid))
                send_signal(child.pid, signal.SIGKILL)
            elif now - child.started > child.limits.seconds:
                child.condemn("timeout", now)
            elif grown_bytes(child.pid, child.at_fork) > child.limits.rss_bytes:
                child.condemn("out-of-memory", now)

    def _reap(self, child: Child) -> None:
        # Orphans of the child are ours by now (we adopt them); looking through all of /proc costs milliseconds.
        orphans = set(children_of(os.getpid())) - set(self.children)
        if orphans:
            # Before the zombie is collected its pid can't be reused, so its session's number is still its own.
            leftovers = [row for row in all_processes() if row.session == child.pid and row.pid != child.pid]
            ours = command_line(os.getpid())
            child.forked = any(command_line(row.pid) == ours for row in leftovers if row.state != "Z")
            kill_rows(leftovers)
        child.status = os.waitpid(child.pid, 0)[1]
        child.ended = time.monotonic()
        self._read_messages(child)
        self._read_output(child)
        for fd in (child.pidfd, child.output_fd, child.inbox.socket.fileno()):
            self._drop(fd)
        os.close(child.pidfd)
        os.close(child.output_fd)
        child.inbox.socket.close()
        del self.children[child.pid]
        if orphans and not self.children:
            self._kill_strays()

    def _kill_strays(self) -> None:
        """Kill what escaped its session: with no child left, everything below the supervisor is a leftover."""
        rows = descendants(os.getpid())
        kill_rows(rows)
        for row in all_processes():
            if row.parent == os.getpid() and row.state == "Z":
                os.waitpid(row.pid, os.WNOHANG)

    def end(self, child: Child) -> None:
        """Kill a child that is no longer needed and reap it."""
        if child.status is None:
            kill_rows(descendants(child.pid))
            send_signal(child.pid, signal.SIGKILL)
            self._reap(child)


def _point_standard_streams(output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(null)
    if output > 2:
        os.close(output)
    # What was printed before a crash must not sit in a buffer.
    sys.stdout = _unbuffered(1)
    sys.stderr = _unbuffered(2)


def _unbuffered(fd: int) -> io.TextIOWrapper:
    raw = io.FileIO(fd, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
