"""Client of the worker protocol: starts a zygote, carries requests to it and restarts it when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shlex
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Literal

import msgspec

from tutor.core import protocol as p
from tutor.core.errors import WorkerError
from tutor.engine.launch import Listener, Said, python_path, reply_of
from tutor.engine.process import Peer, start_peer

Flavour = Literal["plain", "torch", "cuda", "cython", "bare"]
Prepare = Callable[[], Awaitable[p.Warm | None]]
"""What a start of a zygote imports and preloads before any fork; made while the process starts."""
READY_SECONDS = 180.0
CANCEL_SECONDS = 3.0
LEAVE_SECONDS = 2.0


class _Died(WorkerError):
    """The zygote ended in the middle of a request."""


class Zygote:
    """One warm worker process. Starts when first needed; after a death the next request starts a new one."""

    def __init__(
        self,
        flavour: Flavour,
        launcher: Sequence[str] = (),
        command: Sequence[str] = (),
        prepare: Prepare | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.flavour = flavour
        self.ready: p.Ready | None = None
        worker = tuple(command) or (sys.executable, "-m", "tutor.worker.zygote")
        self._launcher = tuple(launcher)
        self._argv = (*launcher, *prefix, *worker, "--flavour", flavour)
        self._peer: Peer | None = None
        self._replies: dict[int, asyncio.Queue[p.Reply | None]] = {}
        self._said = Said()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._ids = itertools.count(1)
        self._prepare = prepare

    @property
    def running(self) -> bool:
        """True while the process is up and has said it is ready."""
        return self.ready is not None

    @property
    def gpu(self) -> str:
        """The device it can use, or nothing."""
        return self.ready.gpu if self.ready else ""

    def next_id(self) -> int:
        """A run id that no other request to this zygote has."""
        return next(self._ids)

    async def start(self, timeout: float = READY_SECONDS) -> p.Ready:
        """Start it when it is not up. Raises WorkerError with the end of its stderr when it does not get ready.

        A caller that is cancelled leaves the start going on: the next run needs the process too.
        """
        if self.ready is None:
            if self._starting is None or self._starting.done():
                self._starting = asyncio.create_task(self._start(timeout))
            await asyncio.shield(self._starting)
        if self.ready is None:
            raise self._error("the worker ended as soon as it was ready")
        return self.ready

    def heard(self, listener: Listener) -> AbstractContextManager[None]:
        """Inside the block the listener is told what the launcher says until the worker is ready: that it queues."""
        return self._said.heard(listener) if self._launcher else contextlib.nullcontext()

    async def _start(self, timeout: float) -> None:
        launch = asyncio.create_task(self._launch(timeout))
        try:
            warm = await self._prepare() if self._prepare else None
            ready = await launch
        finally:
            launch.cancel()
        if self._peer is None:  # it ended while the rest was prepared, and nobody would say so again
            raise self._died()
        self.ready = ready
        if warm:
            async for _ in self._exchange(msgspec.structs.replace(warm, run_id=self.next_id())):
                pass

    async def request(
        self, message: p.Check | p.Bench | p.Cythonize | p.Diagnose | p.Warm
    ) -> AsyncGenerator[p.Reply, None]:
        """All replies to one request, the `Done` last. Closing it early cancels the request and waits for its end.

        A zygote that dies is started again and gets the request once more, so replies may repeat from the beginning;
        WorkerError when it dies twice.
        """
        for attempt in (1, 2):
            try:
                await self.start()
                async with aclosing(self._exchange(message)) as replies:
                    async for reply in replies:
                        yield reply
                return
            except _Died:
                if attempt == 2:
                    raise self._error("the worker died twice during one request") from None

    async def finish(self, message: p.Check | p.Bench | p.Cythonize | p.Warm) -> p.Done:
        """Only the `Done` of a request. Raises WorkerError as `request` does."""
        async with aclosing(self.request(message)) as replies:
            async for reply in replies:
                if isinstance(reply, p.Done):
                    return reply
        raise self._error("the worker ended a request without saying so")

    async def cancel(self, run_id: int) -> None:
        """Ask for the end of a request and wait for it; a zygote that does not answer is killed."""
        queue = self._replies.get(run_id)
        if queue is None or not self.running:
            return
        try:
            self._send(p.Cancel(run_id))
            async with asyncio.timeout(CANCEL_SECONDS):
                while (reply := await queue.get()) is not None:
                    if isinstance(reply, p.Done):
                        return
        except _Died:
            return
        except TimeoutError:
            await self._end()

    async def close(self) -> None:
        """Ask it to quit, then make sure that its tree is gone."""
        if self._starting:
            self._starting.cancel()
        if self._peer and self.ready:
            with contextlib.suppress(TimeoutError, _Died):
                self._send(p.Quit())
                await asyncio.wait_for(self._peer.process.wait(), 1.0)
        await self._end()

    async def _launch(self, timeout: float) -> p.Ready:
        await self._end()
        self._said.begin()
        peer = self._peer = await start_peer(self._argv, python_path())
        self._background(self._read_stderr(peer))
        reply: p.Ready | None = None
        try:
            reply = await self._patiently(self._first(peer), timeout)
        except TimeoutError:
            raise self._error(f"the worker did not get ready within {timeout:.0f} s") from None
        else:
            self._said.ready()
            self._background(self._read(peer))
            return reply
        finally:
            if reply is None:
                await self._end()

    async def _patiently(self, first: Coroutine[None, None, p.Ready], timeout: float) -> p.Ready:
        """The first reply. A launcher that says something may queue for hours: the learner sees it and can leave."""
        task = asyncio.ensure_future(first)
        try:
            await asyncio.wait({task}, timeout=timeout)
            if not task.done() and not (self._launcher and self._said.text):
                raise TimeoutError
            return await task
        finally:
            task.cancel()

    async def _first(self, peer: Peer) -> p.Ready:
        assert peer.process.stdout
        line = await peer.process.stdout.readline()
        if not line:
            await asyncio.sleep(0.1)
            raise self._error("the worker ended before it was ready")
        reply = reply_of(line)
        if not isinstance(reply, p.Ready) or reply.protocol != p.PROTOCOL:
            raise self._error(f"the worker does not speak protocol {p.PROTOCOL}: {line[:200]!r}")
        return reply

    async def _exchange(
        self, message: p.Check | p.Bench | p.Cythonize | p.Diagnose | p.Warm
    ) -> AsyncGenerator[p.Reply, None]:
        run_id = message.run_id
        queue: asyncio.Queue[p.Reply | None] = asyncio.Queue()
        self._replies[run_id] = queue
        done = False
        try:
            self._send(message)
            while not done:
                reply = await queue.get()
                if reply is None:
                    done = True
                    raise self._died()
                done = isinstance(reply, p.Done)
                yield reply
        finally:
            if not done:
                await asyncio.shield(self.cancel(run_id))
            self._replies.pop(run_id, None)

    def _send(self, message: p.Request) -> None:
        if self._peer is None or self._peer.process.stdin is None or self._peer.process.stdin.is_closing():
            raise self._died()
        self._peer.process.stdin.write(p.encode(message) + b"\n")

    async def _read(self, peer: Peer) -> None:
        assert peer.process.stdout
        with contextlib.suppress(ValueError):  # a line over the limit: as good as dead
            while line := await peer.process.stdout.readline():
                self._deliver(line)
        if self._peer is peer:
            await self._end()

    def _deliver(self, line: bytes) -> None:
        reply = reply_of(line)
        if reply is None:
            self._said.add(b"not a reply: " + line[:200])
        elif not isinstance(reply, p.Ready) and (queue := self._replies.get(reply.run_id)):
            queue.put_nowait(reply)

    async def _read_stderr(self, peer: Peer) -> None:
        assert peer.process.stderr
        while chunk := await peer.process.stderr.read(1 << 16):
            self._said.add(chunk)

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        """Kill the tree, tell whoever waits, and reap."""
        peer, self._peer, queued = self._peer, None, self._launcher and self.ready is None
        self.ready = None
        for queue in self._replies.values():
            queue.put_nowait(None)
        if peer is None:
            return
        if queued and peer.process.returncode is None:
            # Told to go, a launcher takes its job out of the queue; killed, it would leave it there.
            peer.tree.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(peer.process.wait(), LEAVE_SECONDS)
        peer.tree.kill()
        if peer.process.stdin:
            peer.process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(peer.process.wait(), 2.0)

    def _died(self) -> _Died:
        said = self._error("the worker ended in the middle of a request")
        return _Died(said.message, said.remedy)

    def _error(self, message: str) -> WorkerError:
        tail = self._said.text
        by_hand = f"Try the launcher by hand: {shlex.join(self._launcher)} true" if self._launcher else ""
        said = f"{message} ({' '.join(self._argv)})" + (f"\n{tail}" if tail else "")
        return WorkerError(said, by_hand or "Run: mltutor doctor")
