"""The only place that starts programs: own session, bounded output and time, and the whole process tree killed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tutor.core.errors import EnvironmentMissing, WorkspaceError
from tutor.toolchains.base import Command

OUTPUT_CAP = 1 << 20
CUT = "\n[output cut here: more than 1 MiB]\n"
MARK = "MLTUTOR_TREE"
LOW = 15  # niceness of what nobody waits for


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: `code` as in subprocess (-N: signal N), stdout and stderr as one text, wall seconds."""

    code: int
    output: str
    seconds: float
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """True when it ended by itself with code 0."""
        return self.code == 0 and not self.timed_out


class ProcessTree:
    """A started program and everything it started, found by process group, parentage and a mark in the environment."""

    def __init__(self, pid: int, mark: str) -> None:
        self.pid = pid
        self.mark = mark

    def kill(self) -> None:
        """SIGKILL the whole tree, `setsid` and reparented descendants too. Takes a few ms; never raises."""
        self.signal(signal.SIGKILL)
        for pid in marked(self.mark):
            _send(pid, signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the group and to every descendant that left it."""
        descendants: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            descendants = psutil.Process(self.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        for process in descendants:
            _send(process.pid, number)


def marked(mark: str) -> Iterable[int]:
    """Pids of living processes that inherited this mark, however they were detached."""
    needle = f"{MARK}={mark}".encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if needle in Path(entry.path, "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


@functools.cache
def _dying_with_us() -> tuple[str, ...]:
    """Words before a command that make the kernel kill it when we die, even by SIGKILL; none where there is no setpriv.

    Not `preexec_fn`, which does the same: it forbids vfork, and fork costs this process 15 to 30 ms instead of 1.
    """
    words = (shutil.which("setpriv") or "", "--pdeathsig", "KILL", "--")
    if not words[0]:
        return ()
    probe = subprocess.run([*words, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return words if probe.returncode == 0 else ()


def _full(argv: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """The command with its program's path, so that setpriv is not the one to find it missing."""
    found = shutil.which(argv[0], path=env.get("PATH"))
    if found is None:
        missing = f"can't run `{argv[0]}`: it is not there, or may not be run"
        raise EnvironmentMissing(missing, "mltutor doctor says what is missing")
    return (*_dying_with_us(), found, *argv[1:])


class _Collector(asyncio.SubprocessProtocol):
    """Gathers output up to a cap and tells apart `exited` and `end of output` (a grandchild may hold the pipe)."""

    def __init__(self, on_output: Callable[[str], None] | None, cap: int) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.flooded: asyncio.Future[None] = loop.create_future()
        self._on_output, self._cap = on_output, cap
        self._data = bytearray()

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        assert isinstance(data, bytes)
        room = self._cap - len(self._data)
        self._data += data[:room]
        if len(data) > room and not self.flooded.done():
            self._data += CUT.encode()
            self._cap = len(self._data)
            self.flooded.set_result(None)
        if self._on_output and room > 0:
            self._on_output(data[:room].decode("utf-8", "replace"))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1 and not self.ended.done():
            self.ended.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "replace")


async def run_command(
    command: Command,
    on_output: Callable[[str], None] | None = None,
    *,
    low: bool = False,
    on_start: Callable[[ProcessTree], None] | None = None,
    output_cap: int = OUTPUT_CAP,
) -> CommandResult:
    """Run one command to its end. Cancelling kills its whole tree before CancelledError goes on.

    low: idle I/O class and nice LOW. on_start: receives the tree, so that the caller can stop and continue it.
    Raises EnvironmentMissing when the program is not there, WorkspaceError when the machine can't start processes.
    """
    started = time.perf_counter()
    transport, protocol, tree = await _start(command, _Collector(on_output, output_cap))
    if low:
        lower(tree.pid)
    if on_start:
        on_start(tree)
    try:
        finished = await _until_done(protocol, command.timeout)
        if not finished or not protocol.ended.done():
            tree.kill()
            await _until_done(protocol, 5.0)
    except asyncio.CancelledError:
        tree.kill()
        await asyncio.wait({protocol.exited}, timeout=1.0)
        raise
    finally:
        transport.close()
    code = transport.get_returncode()
    seconds = time.perf_counter() - started
    timed_out = not finished and not protocol.flooded.done()
    return CommandResult(-signal.SIGKILL if code is None else code, protocol.text, seconds, timed_out)


async def _start(
    command: Command, collector: _Collector
) -> tuple[asyncio.SubprocessTransport, _Collector, ProcessTree]:
    mark = secrets.token_hex(8)
    env = environment(command.env, mark)
    argv = _full(command.argv, env)
    try:
        transport, protocol = await asyncio.get_running_loop().subprocess_exec(
            lambda: collector,
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=command.cwd,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise _cannot_start(command.argv, error) from error
    return transport, protocol, ProcessTree(transport.get_pid(), mark)


async def _until_done(protocol: _Collector, timeout: float) -> bool:
    """Wait for the exit and then shortly for the rest of the output; False on time-out or flood."""
    await asyncio.wait({protocol.exited, protocol.flooded}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    if not protocol.exited.done():
        return False
    await asyncio.wait({protocol.ended}, timeout=1.0)
    return True


def environment(extra: Mapping[str, str], mark: str) -> dict[str, str]:
    """The child's environment: messages in English, this tree's mark, then the command's own words."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "en", MARK: mark, **extra}


def lower(pid: int) -> None:
    """Give a process that leads a session, and what it will start, the lowest claim on processor and disk."""
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        process.nice(LOW)
        process.ionice(psutil.IOPRIO_CLASS_IDLE)
        # Where the kernel weighs sessions against each other (autogroup) niceness counts only inside one.
        Path(f"/proc/{pid}/autogroup").write_text(str(LOW), encoding="ascii")


@dataclass(slots=True)
class Peer:
    """A long-lived process that is spoken to over its pipes."""

    process: asyncio.subprocess.Process
    tree: ProcessTree


async def start_peer(argv: Sequence[str], env: Mapping[str, str], limit: int = 1 << 26) -> Peer:
    """Start a process with piped stdin, stdout and stderr. `limit` bounds one line of output, in bytes.

    Raises EnvironmentMissing when the program is not there.
    """
    mark = secrets.token_hex(8)
    words = environment(env, mark)
    full = _full(argv, words)
    try:
        process = await asyncio.create_subprocess_exec(
            *full,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=words,
            start_new_session=True,
            limit=limit,
        )
    except OSError as error:
        raise _cannot_start(argv, error) from error
    return Peer(process, ProcessTree(process.pid, mark))


def _cannot_start(argv: Sequence[str], error: OSError) -> WorkspaceError:
    return WorkspaceError(f"can't start `{argv[0]}`: {error}", "Free memory, processes or disk, then save again.")


async def run_attached(argv: Sequence[str]) -> int:
    """Run a program on this terminal until it ends, such as the learner's editor; its exit code."""
    done = await asyncio.to_thread(subprocess.run, tuple(argv), check=False)
    return done.returncode


async def run_beside(argv: Sequence[str], patience: float = 5.0) -> tuple[int, str]:
    """Start a program with a window or pane of its own: its exit code and what it said on stderr.

    One that is still there after `patience` seconds has its window (0): it lives on without us.
    """
    with tempfile.TemporaryFile() as said:  # no pipe: nobody reads it later, and it outlives us
        nothing = subprocess.DEVNULL
        process = subprocess.Popen(tuple(argv), stdin=nothing, stdout=nothing, stderr=said, start_new_session=True)
        deadline = time.monotonic() + patience
        while (code := process.poll()) is None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        said.seek(0)
        return (code, said.read().decode(errors="replace").strip()) if code is not None else (0, "")
