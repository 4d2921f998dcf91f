"""One run of checks: collects, forks a child for each, says what became of every one. Loads no learner code."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tutor.core import protocol
from tutor.core.finding import Finding
from tutor.core.verdict import CheckResult, Outcome
from tutor.worker import sanitizer, scratch
from tutor.worker.channel import Channel
from tutor.worker.child import Child, Watch
from tutor.worker.context import CONTEXT, CheckContext, fresh_seed, prepare_process
from tutor.worker.deaths import explain_death
from tutor.worker.integrity import Snapshot, take
from tutor.worker.outcome import PhaseRecorder, check_id, found_code, judge
from tutor.worker.warm import warm_for

Send = Callable[[protocol.Reply], None]

# Plugins that only cost time here, or that would print, patch pytest or handle signals.
_WITHOUT = (
    "cacheprovider terminal legacypath faulthandler junitxml pastebin doctest debugging setuponly setupplan "
    "stepwise unraisableexception threadexception"
)
_OPTIONS = [word for name in _WITHOUT.split() for word in ("-p", f"no:{name}")]
_OPTIONS += ["-p", "tutor.worker.plugin", "-s", "--import-mode=importlib", "-c", os.devnull]
# Bound before learner code loads.
_clock = time.perf_counter
_decode_result = msgspec.json.Decoder(CheckResult).decode


def run_checks(request: protocol.Check, send: Send) -> None:
    """Run the checks of a folder; every announced check is reported, then `Done`."""
    started = time.monotonic()
    folder = scratch.make()
    loop = CheckLoop(request, send, folder)
    sanitizer.begin()
    try:
        os.chdir(folder)
        files = sorted(str(path) for path in Path(request.folder).glob("test_*.py"))
        if files:
            _keep_bytecode_apart()
            pytest.main([*_OPTIONS, f"--rootdir={request.folder}", *files], plugins=[loop])
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - started
    if loop.problems or not loop.results:
        problem = "\n".join(loop.problems) or f"no check was found in {request.folder}"
        send(protocol.Done(request.run_id, "broken", problem, seconds))
        return
    passed = all(result.outcome in (Outcome.PASS, Outcome.SKIPPED) for result in loop.results)
    send(protocol.Done(request.run_id, "ok" if passed else "failed", seconds=seconds))


class CheckLoop:
    """The pytest plugin that replaces the loop over the tests by one forked child a test."""

    def __init__(self, request: protocol.Check, send: Send, scratch: Path) -> None:
        self.request = request
        self.results: list[CheckResult] = []
        self.problems: list[str] = []
        self._send = send
        self._scratch = scratch
        self._seed = request.seed or fresh_seed()
        self._watch = Watch()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A check file that can't be imported is our own mistake."""
        if report.failed:
            self.problems.append(report.longreprtext)

    def pytest_internalerror(self, excrepr: object) -> None:
        """A defect of ours inside the loop: it must be told, not hidden behind checks that never reported."""
        self.problems.append(str(excrepr))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Announce, fork, watch, report."""
        _use_ordinary_bytecode()
        if self.problems:
            return True
        named = _wanted(_named(session.items), self.request.only)
        send, run = self._send, self.request.run_id
        send(protocol.Announced(run, tuple(name for name, _ in named)))
        warm_for({item.path for _, item in named})
        modules = {item.module.__name__: item.module for _, item in named if hasattr(item, "module")}
        snapshot = take(tuple(modules.values()))
        # The last is taken first.
        waiting = sorted(reversed(named), key=lambda pair: found_code(pair[1]) == self.request.first)
        while waiting or self._watch.children:
            while waiting and len(self._watch.children) < max(1, self.request.jobs):
                name, item = waiting.pop()
                send(protocol.Started(run, name))
                self._start(name, item, snapshot)
            for child in self._watch.step():
                self._finish(child)
                if child.killed == "timeout" and child.loading:
                    self._give_up(child, [name for name, _ in reversed(waiting)])
                    waiting.clear()
        return True

    def _give_up(self, stuck: Child, waiting: list[str]) -> None:
        """The learner's module never finished loading: no other check would get further, each for its whole limit."""
        loading = [child for child in self._watch.children.values() if child.loading and not child.killed]
        for child in loading:
            self._watch.end(child)
        for name in [*(child.name for child in loading), *waiting]:
            text = f"not run: the import of your module never ended ({stuck.name})"
            result = CheckResult(name, Outcome.SKIPPED, text)
            self.results.append(result)
            self._send(protocol.Checked(self.request.run_id, result))

    def _start(self, name: str, item: pytest.Item, snapshot: Snapshot) -> None:
        context = CheckContext(self.request.artifact, self._seed)
        item.config.stash[CONTEXT] = context
        number = len(self.results) + len(self._watch.children)
        place = self._scratch / f"check-{number}"

        def body(channel: Channel) -> None:
            place.mkdir()
            os.chdir(place)
            context.say = lambda how_far: channel.send(how_far, None)
            result = run_item(item, name, context, snapshot, place)
            _report(channel, result)

        self._watch.fork(name, body, self.request.limits)

    def _finish(self, child: Child) -> None:
        watched = sanitizer.active()
        result = sanitizer.result_of(child, self.request.artifact) if watched else outcome_of(child, self.request)
        self.results.append(result)
        self._send(protocol.Checked(self.request.run_id, result))


def _keep_bytecode_apart() -> None:
    """Rewritten check files are kept for the next run, but not in the lesson's folder."""
    sys.pycache_prefix = os.environ.get("MLTUTOR_BYTECODE")
    sys.dont_write_bytecode = sys.pycache_prefix is None


def _use_ordinary_bytecode() -> None:
    """From here on imports find the bytecode of installed packages again, and write none."""
    sys.pycache_prefix = None
    sys.dont_write_bytecode = True


def _report(channel: Channel, result: CheckResult) -> None:
    if channel.tampered():
        text = "descriptors that belong to the checker were closed or re-pointed"
        result = _forbid(result, text)
    channel.send("result", result)


def _named(items: list[pytest.Item]) -> list[tuple[str, pytest.Item]]:
    """Items with the ids shown to people; where two files use one name, the file's name goes first."""
    ids = [check_id(item) for item in items]
    return [
        (f"{item.path.stem.removeprefix('test_')}: {name}" if ids.count(name) > 1 else name, item)
        for name, item in zip(ids, items, strict=True)
    ]


def _wanted(named: list[tuple[str, pytest.Item]], only: tuple[str, ...]) -> list[tuple[str, pytest.Item]]:
    return [(name, item) for name, item in named if not only or name in only or item.name in only]


def run_item(item: pytest.Item, name: str, context: CheckContext, snapshot: Snapshot, place: Path) -> CheckResult:
    """In the child: run one test through pytest's own protocol, judge it, and look whether the judge was touched."""
    prepare_process(context.artifact)
    item.config._tmp_path_factory._given_basetemp = place / "tmp"  # type: ignore[attr-defined]
    recorder = PhaseRecorder()
    manager = item.config.pluginmanager
    manager.register(recorder)
    plugins = set(map(id, manager.get_plugins()))
    function = getattr(item, "obj", None)
    started = _clock()
    try:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
    except BaseException as error:  # noqa: BLE001 - pytest lets Exit and KeyboardInterrupt through: the learner's doing
        return _forbid(CheckResult(name, Outcome.FAIL), f"{type(error).__name__} left the check: {error}")
    seconds = _clock() - started
    result = judge(item, recorder.phases, context)
    touched = snapshot.replaced()
    if set(map(id, manager.get_plugins())) != plugins:
        touched.append("pytest's plugins")
    if "runtest" in vars(item) or getattr(item, "obj", None) is not function:
        touched.append("the check itself")
    result = _with(result, id=name, seconds=seconds)
    return _forbid(result, f"your code replaced {', '.join(touched[:5])}") if touched else result


def _with(result: CheckResult, **changes: Any) -> CheckResult:
    return msgspec.structs.replace(result, **changes)


def _forbid(result: CheckResult, text: str) -> CheckResult:
    """The same result, failed for interference."""
    findings = (Finding("forbidden", text), *result.findings)
    return _with(result, outcome=Outcome.FAIL, message=text, findings=findings)


def outcome_of(child: Child, request: protocol.Check) -> CheckResult:
    """What became of a check: its own report when it lived to send one, else how its process died."""
    reports = [message for message in child.messages if message.kind == "result"]
    output = child.output.decode("utf-8", errors="replace")
    died = child.killed or child.status != 0
    if (child.inbox.strangers or child.forked) and not died:
        text = "a process that your code forked ran on into the check: it must end with os._exit"
        return _forbid(CheckResult(child.name, Outcome.FAIL, output=output, seconds=child.seconds), text)
    if reports and not died:
        return _with(_decode_result(reports[-1].body), output=output)
    return explain_death(child, request.artifact, request.limits)
