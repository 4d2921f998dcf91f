"""The warm process: speaks the worker protocol, forks a supervisor for every run, relays what each says."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tutor.core import protocol
from tutor.worker import integrity, linux, pages, scratch
from tutor.worker.child import keep_from_children

_Work = protocol.Check | protocol.Bench | protocol.Cythonize | protocol.Diagnose
_CHUNK = 1 << 16


@dataclass(slots=True, eq=False)
class Run:
    """One supervisor. `done` is set once its `Done` has been relayed."""

    run_id: int
    pid: int
    pidfd: int
    reader: int
    started: float
    pending: bytes = b""
    done: bool = False
    cancelled: bool = False


class Zygote:
    """The event loop. One thread, so that a fork copies no half-held lock."""

    def __init__(self, flavour: str, gpu: str, requests: int, replies: int, later: list[Callable[[], None]]) -> None:
        self._later, self._settled = later, False
        self._flavour, self._gpu = flavour, gpu
        self._requests, self._replies = requests, replies
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ, None)
        self._runs: dict[int, Run] = {}
        self._pending = b""
        self._open = True

    def serve(self) -> None:
        """Until Quit, or until the engine hangs up: then every run's tree is killed."""
        try:
            while self._open:
                self._turn()
        except BrokenPipeError:
            pass  # hung up while it was told something
        finally:
            for run in list(self._runs.values()):
                linux.kill_tree(run.pid)
            for row in linux.descendants(os.getpid()):
                linux.send_signal(row.pid, signal.SIGKILL)

    def _turn(self) -> None:
        idle = self._later and not self._runs  # a run must not share the machine with what warms the next one
        events = self._selector.select(0 if idle else None)
        if not events and idle:
            self._warm_more()
        for key, _ in events:
            run: Run | None = key.data
            if run is None:
                self._read_requests()
            elif run.run_id not in self._runs:
                continue  # cancelled or reaped by an event before this one: its descriptors are closed
            elif key.fd == run.reader:
                self._relay(run)
            else:
                self._reap(run)

    def _warm_more(self) -> None:
        """One more step of warming up, while nothing else is to do."""
        try:
            self._later.pop(0)()
        except Exception:  # noqa: BLE001 - the worker boundary: without it the first request is slower, no more
            traceback.print_exc()
        if not self._later and not self._settled:
            self._settled = True
            integrity.take_base()
            freeze()
            self._later = pages.collapse_steps()

    def _read_requests(self) -> None:
        data = os.read(self._requests, _CHUNK)
        self._open = bool(data)
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._handle(protocol.decode_request(line))

    def _handle(self, request: protocol.Request) -> None:
        match request:
            case protocol.Quit():
                self._open = False
            case protocol.Cancel(run_id=run_id):
                self._cancel(run_id)
            case protocol.Warm():
                self._warm(request)
            case _:
                self._start(request)

    def send(self, reply: protocol.Reply) -> None:
        """Write one line whole."""
        self._write(protocol.encode(reply) + b"\n")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._replies, view) :]

    def _warm(self, request: protocol.Warm) -> None:
        started = time.monotonic()
        problems = []
        sys.path[:0] = [folder for folder in request.sys_path if folder not in sys.path]
        for name in request.modules:
            problems += _attempt(f"import {name}", lambda name=name: importlib.import_module(name))  # type: ignore[misc]
        for path in request.preload:
            problems += _attempt(f"load {path}", lambda path=path: _preload(path))  # type: ignore[misc]
        if self._settled:
            integrity.take_base()
        freeze()
        outcome = "broken" if problems else "ok"
        self.send(protocol.Done(request.run_id, outcome, "\n".join(problems), time.monotonic() - started))  # type: ignore[arg-type]

    def _start(self, request: _Work) -> None:
        try:
            run = self._fork(request)
        except OSError as error:
            self.send(protocol.Done(request.run_id, "broken", f"can't start a process: {error.strerror}"))
            return
        self._runs[request.run_id] = run
        for fd in (run.pidfd, run.reader):
            self._selector.register(fd, selectors.EVENT_READ, run)

    def _fork(self, request: _Work) -> Run:
        reader, writer = os.pipe()
        try:
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                self._become_supervisor(request, parent, writer)
            return Run(request.run_id, pid, linux.pidfd(pid), reader, time.monotonic())
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)

    def _become_supervisor(self, request: _Work, parent: int, writer: int) -> None:
        code = 1
        try:
            linux.begin_session()
            linux.die_with_parent(parent)
            linux.adopt_orphans()
            for fd in [self._requests, self._replies, *(f for r in self._runs.values() for f in (r.pidfd, r.reader))]:
                os.close(fd)
            self._selector.close()
            self._replies = writer
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            keep_from_children(writer)
            self._perform(request)
            code = 0
        except BaseException:  # noqa: BLE001 - the worker boundary: our own bug is reported, the zygote lives on
            self.send(protocol.Done(request.run_id, "broken", traceback.format_exc()))
        finally:
            os._exit(code)

    def _perform(self, request: _Work) -> None:
        # Imported late but warm already (see warm_flavour): Ready must not wait for a circle of imports.
        if isinstance(request, protocol.Diagnose):
            from tutor.worker.statement.run import run_diagnosis

            run_diagnosis(request, self.send)
            return
        from tutor.worker import bench, cuda, cythonize, supervisor

        device = self._flavour == "cuda"
        match request:
            case protocol.Cythonize():
                cythonize.translate(request, self.send)
            case protocol.Bench() if device and not self._gpu:
                cuda.skip(request, self.send)
            case protocol.Check():
                supervisor.run_checks(request, self.send)
            case protocol.Bench():
                bench.run_bench(request, self.send, device=device)

    def _relay(self, run: Run) -> None:
        data = os.read(run.reader, _CHUNK)
        if not data:
            self._selector.unregister(run.reader)
            return
        *lines, run.pending = (run.pending + data).split(b"\n")
        for line in lines:
            if run.cancelled:
                return
            run.done = run.done or b'"type":"done"' in line[:16]
            self._write(line + b"\n")

    def _cancel(self, run_id: int) -> None:
        run = self._runs.get(run_id)
        if run is None:
            return
        run.cancelled = True
        linux.kill_tree(run.pid)
        self._reap(run)

    def _reap(self, run: Run) -> None:
        while run.reader in self._selector.get_map() and not run.cancelled:
            self._relay(run)
        os.waitpid(run.pid, 0)
        del self._runs[run.run_id]
        for fd in (run.pidfd, run.reader):
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
            os.close(fd)
        self._kill_orphans()
        scratch.remove(run.pid)
        seconds = time.monotonic() - run.started
        if run.cancelled:
            self.send(protocol.Done(run.run_id, "cancelled", seconds=seconds))
        elif not run.done:
            self.send(protocol.Done(run.run_id, "broken", "the supervisor of the run died", seconds))

    def _kill_orphans(self) -> None:
        """What came to the zygote when a supervisor died belongs to no run any more."""
        known = {run.pid for run in self._runs.values()}
        for pid in linux.children_of(os.getpid()):
            if pid in known:
                continue
            for row in linux.descendants(pid):
                linux.send_signal(row.pid, signal.SIGKILL)
            linux.send_signal(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _attempt(what: str, action: Callable[[], object]) -> list[str]:
    try:
        action()
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        return [f"{what}: {error}"]
    return []


def _preload(path: str) -> None:
    from tutor.worker import crash
    from tutor.worker.probe import library

    if not library.use_library(path):
        crash.use_library(path)


def freeze() -> None:
    """Move all that is alive out of the collector's sight: children neither scan nor copy it."""
    gc.collect()
    gc.freeze()


def main(arguments: list[str] | None = None) -> None:
    """`python -m tutor.worker.zygote --flavour plain|torch|cuda|cython|bare`."""
    parser = argparse.ArgumentParser(prog="tutor.worker.zygote")
    parser.add_argument("--flavour", choices=("plain", "torch", "cuda", "cython", "bare"), default="plain")
    flavour = parser.parse_args(arguments).flavour
    born = time.monotonic()
    requests, replies = linux.take_descriptors()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    linux.adopt_orphans()
    linux.keep_niceness()
    from tutor.worker import warm

    with warm.prepare_environment(flavour):
        gpu = warm.warm_flavour(flavour)
        freeze()
        zygote = Zygote(flavour, gpu, requests, replies, warm.later_steps(flavour))
        python = sys.version.partition(" ")[0]
        zygote.send(protocol.Ready(flavour, os.getpid(), python, time.monotonic() - born, gpu=gpu))
        try:
            zygote.serve()
        except msgspec.DecodeError as error:
            raise SystemExit(f"mltutor worker: a request can't be read: {error}") from error
    # No teardown of what was imported: torch's and triton's print complaints of their own there.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
