"""What Linux offers beyond the standard library: prctl, process trees read from /proc, killing all of a tree."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PAGE = os.sysconf("SC_PAGE_SIZE")
_ROUNDS = 50

libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends; exits at once if it has ended already."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends, also after setsid."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def pidfd(pid: int) -> int:
    """A descriptor that tells when this child ends; where there is none the child is ended, and OSError raised."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        kill_tree(pid)
        os.waitpid(pid, 0)
        raise


def begin_session() -> None:
    """`setsid`, in which a low priority stays one."""
    os.setsid()
    keep_niceness()


def keep_niceness() -> None:
    """Give the tasks of this session, as a group, the niceness of this process.

    Where the kernel weighs the sessions first (autogroup, see sched(7)) a nice process that is alone in its own gets as
    much of a processor as anybody.
    """
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    if nice > 0:
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(nice), encoding="ascii")


def take_descriptors() -> tuple[int, int]:
    """(requests, replies) on new descriptors; 0, 1 and 2 can no longer reach the engine."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return requests, replies


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process: `rss` in bytes, `started` in clock ticks since boot (tells a reused pid)."""

    pid: int
    state: str
    parent: int
    session: int
    started: int
    rss: int


def read_process(pid: int) -> ProcessRow | None:
    """The row of a process, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The name may hold spaces and parentheses: fields start behind the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcessRow(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]), int(fields[21]) * PAGE)


def command_line(pid: int) -> bytes:
    """The arguments of a process; a fork without exec has its parent's. Empty when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def all_processes() -> list[ProcessRow]:
    """Every process that /proc shows, zombies included."""
    rows = (read_process(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [row for row in rows if row is not None]


def descendants(root: int) -> list[ProcessRow]:
    """All living processes below `root`, parents before children."""
    below: dict[int, list[ProcessRow]] = {}
    for row in all_processes():
        below.setdefault(row.parent, []).append(row)
    found: list[ProcessRow] = []
    front = [root]
    while front:
        rows = below.get(front.pop(0), [])
        found += [row for row in rows if row.state not in "ZX"]
        front += [row.pid for row in rows]
    return found


def children_of(pid: int) -> list[int]:
    """Pids of the direct children, from the kernel's own list; without one, from a scan."""
    try:
        found: list[int] = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
        return found
    except FileNotFoundError:
        return [row.pid for row in all_processes() if row.parent == pid]
    except OSError:
        return []


def tree_rows(root: int) -> list[ProcessRow]:
    """`root` and what it has started: for the memory watch, which looks often, without a scan of all processes."""
    rows: list[ProcessRow] = []
    front = [root]
    while front and len(rows) < 4096:
        pid = front.pop()
        row = read_process(pid)
        if row is not None and row.state not in "ZX":
            rows.append(row)
            front += children_of(pid)
    return rows


def send_signal(pid: int, number: int) -> None:
    """Signal a process that may be gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill_rows(rows: Iterable[ProcessRow]) -> None:
    """Kill these processes unless their pid has been given to another one since."""
    for row in rows:
        now = read_process(row.pid)
        if now is not None and now.started == row.started:
            send_signal(row.pid, signal.SIGKILL)


def kill_tree(root: int) -> None:
    """Kill `root` and everything below it, setsid or not. `root` is stopped first so that it starts nothing more.

    `root` must adopt orphans: what loses its parent meanwhile stays below it and is found in the next round.
    """
    send_signal(root, signal.SIGSTOP)
    for _ in range(_ROUNDS):
        rows = descendants(root)
        if not rows:
            break
        for row in rows:
            send_signal(row.pid, signal.SIGKILL)
        time.sleep(0.001)
    send_signal(root, signal.SIGKILL)
