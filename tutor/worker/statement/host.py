"""The process that runs the user's setup once and forks every pass from there; it tells each result as it comes."""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tutor.core.diagnosis import NativeFinding, Pass, Problem
from tutor.core.finding import Finding
from tutor.core.protocol import Diagnose
from tutor.worker.channel import Channel
from tutor.worker.contract import complaint
from tutor.worker.probe import library
from tutor.worker.probe.forked import LEFT, Reply, run_forked
from tutor.worker.statement import books, cycles, faults, libraries, source
from tutor.worker.statement.immutable import examine_immutable
from tutor.worker.statement.look import Looker, unattributed
from tutor.worker.statement.naming import Names, blamed
from tutor.worker.statement.source import Subject

SETUP = "the setup"
_CONTRACT = "exception-contract"
_SLOWER = 200  # under watch, at most
_LEAKS = ("ref-leak", "memory-leak", "buffer-not-released", "ref-underflow", "borrowed-return")
# Memory that is broken: what comes later would only crash.
_BROKEN = ("use-after-free", "crash", "ref-underflow", "borrowed-return")


class Host:
    """One diagnosis. What it has to say goes through `channel` at once, as the process may be killed any time."""

    def __init__(self, request: Diagnose, channel: Channel) -> None:
        self._request, self._channel = request, channel
        self._seconds, self._once = request.seconds, 0.0
        self._names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
        self._found: list[NativeFinding] = []
        self._whole = ""
        self._complaint = ""

    def run(self) -> None:
        """Everything, unless there is a problem or the first run has ended it."""
        self._channel.send("python", sys.version.partition(" ")[0])
        problem = self._set_up()
        if problem is None and not self._found:
            whole = source.whole_statement(self._request.statement, self._names)
            self._whole = whole.label
            problem = self._first_run(whole)
            if problem is None:
                problem = self._examine(whole)
            if self._complaint and not any(f.finding.code == _CONTRACT for f in self._found):
                self._tell(NativeFinding(Finding(_CONTRACT, self._complaint), whole.label))
                problem = None
        if problem is not None:
            self._channel.send("problem", problem)

    # ---- the user's own code ----

    def _set_up(self) -> Problem | None:
        self._channel.send("stage", SETUP)
        sys.path.insert(0, os.getcwd())
        try:
            exec(compile(self._request.setup, "<setup>", "exec"), self._names)
        except ModuleNotFoundError as error:
            return missing_module(error.name or str(error))
        except BaseException as error:  # noqa: BLE001 - the worker boundary: it is told to the user
            text = _describe(error, "<setup>")
            if not complaint(text):
                return Problem("usage", f"the setup raises {text}", "-s must run without an exception")
            self._tell(NativeFinding(Finding(_CONTRACT, text), SETUP))
        return None

    def _first_run(self, whole: Subject) -> Problem | None:
        """The statement once, with nothing watched: an exception is the user's, a death is a finding."""
        self._channel.send("stage", "the statement")
        reply = run_forked(lambda: _run_once(whole), self._seconds)
        if reply.value is None:
            self._died(reply, whole)
            return None
        name, text, module, *imported = reply.value
        if module:
            return missing_module(module)
        if name == "SystemExit":
            self._tell(NativeFinding(Finding("forbidden", f"Ends the process: {text}"), whole.label))
        elif complaint(text):
            self._complaint = text
        elif name:
            return Problem("usage", f"the statement raises {text}", "it must run without an exception to be examined")
        for late in imported:
            # What the statement itself imports must be there before it is watched.
            with suppress(Exception):
                importlib.import_module(late)
        return None

    def _died(self, reply: Reply, whole: Subject) -> None:
        """A statement that does not come back; the crash is looked at again, with freed objects kept."""
        names = Names(libraries.attach_all(self._guessed(whole)))
        looker = Looker(names, _nothing, books.Books(), self._seconds)
        if reply.late:
            stack = names.stack(reply.crash)
            text = f"Still running after {self._seconds:g} s"
            self._tell(NativeFinding(Finding("timeout", text), whole.label, blamed(stack), stack))
        elif reply.signal:
            for finding in [*self._cause(looker, whole), looker.crash(reply, whole)]:
                self._tell(finding)
        elif reply.error == LEFT:
            self._tell(
                NativeFinding(Finding("forbidden", "Ends the process without an exception (os._exit)"), whole.label)
            )

    def _cause(self, looker: Looker, whole: Subject) -> list[NativeFinding]:
        """What may strike later than it is done: a freed object used, memory past the end of a block or a buffer."""
        found = looker.freed(whole)[0] + looker.overruns(whole)
        for call in source.calls_of(self._request.statement, self._names):
            found += faults.guard_buffers(looker, call)[0]
        return [f for f in found if f.finding.code != "crash"]

    def _guessed(self, whole: Subject) -> list[str]:
        """Libraries of the functions that the statement names, as it can't be run to find out."""
        mine = set(sys.modules) - _WORKER
        imported = [p for p in libraries.loaded_extensions() if any(_file(m) == p for m in mine)]
        return list(dict.fromkeys([*self._called(), *imported]))

    def _called(self) -> list[str]:
        called = source.called_names(self._request.statement, self._names)
        return [path for function in called if (path := libraries.library_behind(function))]

    # ---- the passes ----

    def _examine(self, whole: Subject) -> Problem | None:
        if self._found:
            return None
        self._channel.send("stage", "the passes")
        calls = source.calls_of(self._request.statement, self._names)
        entered = libraries.entered_libraries(whole, self._seconds * 2)
        entered = list(dict.fromkeys([*entered, *self._called()]))
        if not entered:
            return Problem(
                "usage",
                "the statement calls no extension module: there is nothing to look at",
                "functions that are built into Python itself, and code written in Python, are not watched",
            )
        self._channel.send("libraries", entered)
        attached = libraries.attach_all([*libraries.suspected(entered), *libraries.bundled_libraries()])
        kept = self._books(whole)
        looker = Looker(Names(attached), _nothing, kept, self._seconds, self._once)
        alone = calls if source.only_calls(self._request.statement) else ()
        for subject in alone or (*calls, whole):
            if not self._look(looker, subject):
                return None
        # One call may lose what another has made: then only both together show it.
        if alone and kept.grows and not self._leaks() and not self._look(looker, whole):
            return None
        self._conclude(whole, kept)
        return None

    def _leaks(self) -> bool:
        return any(f.finding.code in _LEAKS for f in self._found)

    def _books(self, whole: Subject) -> books.Books:
        reply = run_forked(lambda: books.time_once(whole.make()[0]), self._seconds)
        if reply.value is None:
            kept = books.Books(unknown="it does not survive a few runs")
        else:
            self._once = reply.value
            self._seconds = max(self._seconds, min(60.0, reply.value * _SLOWER))
            kept = books.keep_books(whole, _nothing, reply.value, self._seconds)
        self._channel.send("pass", Pass("books", whole.label, kept.unknown))
        return kept

    def _look(self, looker: Looker, subject: Subject) -> bool:
        """False when memory is broken: later passes would only crash."""
        passes: list[tuple[str, Callable[[Subject], tuple[list[NativeFinding], str]]]] = [
            ("freed objects", looker.freed),
            ("references and memory", looker.leaks),
        ]
        if not subject.whole:
            passes.append(("the GIL", looker.gil))
            passes.append(("guarded buffers", lambda s: _buffers(looker, s)))
            passes.append(("cycles", lambda s: cycles.examine_cycles(looker, s)))
            if self._request.faults:
                passes.append(("failures", lambda s: faults.fail_each(looker, s)))
        for name, look in passes:
            found, unknown = look(subject)
            if any(f.finding.code in _BROKEN for f in found) and name == "freed objects":
                found = [*self._better(looker, subject, found), *faults.guard_buffers(looker, subject)[0]]
            self._channel.send("pass", Pass(name, subject.label, unknown))
            for finding in found:
                self._tell(finding)
            if any(f.finding.code in _BROKEN for f in found):
                return False
        return True

    @staticmethod
    def _better(looker: Looker, subject: Subject, found: list[NativeFinding]) -> list[NativeFinding]:
        """What says more: what is freed too early was given back too often, and a crash has its cause elsewhere."""
        causes = ("ref-underflow", "borrowed-return", "out-of-bounds")
        return [f for f in looker.leaks(subject)[0] if f.finding.code in causes] or found

    def _conclude(self, whole: Subject, kept: books.Books) -> None:
        """What the books say of growth that no pass has named."""
        if not self._leaks():
            for finding in unattributed(kept, whole):
                self._tell(finding)

    def _tell(self, finding: NativeFinding) -> None:
        """Once each: the whole statement shows again what its calls have shown."""
        code, kind = finding.finding.code, finding.finding.type
        for known in self._found:
            alike = (known.finding.code, known.finding.type) == (code, kind)
            if alike and (known.place == finding.place or finding.subject == self._whole):
                return
        self._found.append(finding)
        self._channel.send("finding", finding)


def _buffers(looker: Looker, subject: Subject) -> tuple[list[NativeFinding], str]:
    found, unknown = faults.guard_buffers(looker, subject)
    return [*found, *examine_immutable(looker, subject)], unknown


_WORKER = frozenset(sys.modules)


def _nothing() -> None:
    pass


def _file(name: str) -> str:
    return str(getattr(sys.modules[name], "__file__", "") or "")


def _run_once(whole: Subject) -> list[str]:
    """Name, text and missing module of its exception (empty: none), then the modules that it imported."""
    function, _, _ = whole.make()
    before = set(sys.modules)
    said = ["", "", ""]
    try:
        function()
    except ModuleNotFoundError as error:
        return [type(error).__name__, str(error), error.name or str(error)]
    except BaseException as error:  # noqa: BLE001 - the worker boundary: it is told to the user
        said = [type(error).__name__, _describe(error, source.NAME), ""]
    return [*said, *(name for name in sys.modules if name not in before)]


def missing_module(name: str) -> Problem:
    """For the user: which module, and where it was looked for."""
    return Problem(
        "environment", f"there is no module {name} in {sys.prefix}", f"{sys.executable} -m pip install {name}"
    )


def _describe(error: BaseException, file: str) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" in line {lines[-1]}" if lines else ""
    said = f": {error}" if str(error) else ""
    return f"{type(error).__name__}{said}{where}"


def run_host(request: Diagnose, channel: Channel) -> None:
    """In a forked child of the supervisor."""
    assert library.probe() is not None
    started = time.monotonic()
    Host(request, channel).run()
    channel.send("seconds", time.monotonic() - started)
