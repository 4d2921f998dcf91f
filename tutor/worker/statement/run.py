"""The supervisor's side of a diagnosis: forks the host, keeps it within its limits, and says what became of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from tutor.core import protocol
from tutor.core.diagnosis import Diagnosis, NativeFinding, Pass, Problem
from tutor.core.finding import Finding
from tutor.worker.channel import Envelope
from tutor.worker.child import BROKEN_EXIT, Child, Watch
from tutor.worker.crash import broken_contract, signal_name
from tutor.worker.probe import library
from tutor.worker.statement.host import SETUP, run_host
from tutor.worker.statement.naming import Names, blamed

# Threads that a library has started are not there in a fork: whoever waits for them waits for good.
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def run_diagnosis(request: protocol.Diagnose, send: Callable[[protocol.Reply], None]) -> None:
    """One `Diagnosed`, then `Done`."""
    if library.probe() is None:
        problem = Problem("environment", f"{library.NOT_CHECKED}: the probe works on x86-64 Linux only")
        send(protocol.Diagnosed(request.run_id, Diagnosis(request.statement, request.setup, problem=problem)))
        send(protocol.Done(request.run_id, "ok"))
        return
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    watch = Watch()
    child = watch.fork("diagnose", lambda channel: run_host(request, channel), request.limits)
    while watch.children:
        watch.step()
    if not child.killed and child.status is not None and os.waitstatus_to_exitcode(child.status) == BROKEN_EXIT:
        text = child.output.decode(errors="replace")
        send(protocol.Done(request.run_id, "broken", text, child.seconds))
        return
    diagnosis = _read(request, child)
    send(protocol.Diagnosed(request.run_id, diagnosis))
    send(protocol.Done(request.run_id, "ok", seconds=child.seconds))


def _read(request: protocol.Diagnose, child: Child) -> Diagnosis:
    """What the host said until it ended, and how, where that was not its own doing."""
    said: dict[str, list[Envelope]] = {}
    for message in child.messages:
        said.setdefault(message.kind, []).append(message)

    def all_of(kind: str, into: Any) -> list[Any]:
        return [msgspec.json.decode(message.body, type=into) for message in said.get(kind, [])]

    problems = all_of("problem", Problem)
    findings = all_of("finding", NativeFinding)
    stages = all_of("stage", str) or [SETUP]
    if "seconds" not in said and not problems:
        findings += _death(child, stages[-1])
    return Diagnosis(
        request.statement,
        request.setup,
        python=next(iter(all_of("python", str)), ""),
        libraries=tuple(next(iter(all_of("libraries", list[str])), [])),
        findings=tuple(findings),
        passes=tuple(all_of("pass", Pass)),
        seconds=child.seconds,
        problem=next(iter(problems), None),
    )


def _death(child: Child, stage: str) -> list[NativeFinding]:
    # What the host itself runs is the setup; after that it waits for the forks.
    stack = Names([]).stack(child.inbox.crash) if stage == SETUP else ()
    status = child.status or 0
    if child.killed:
        texts = {
            "timeout": f"Still running after {child.limits.seconds:g} s in all",
            "out-of-memory": f"More than {child.limits.rss_bytes / 2**20:,.0f} MiB of memory in use",
            "output-flood": f"More than {child.limits.output_bytes / 2**10:,.0f} KiB printed",
        }
        finding = Finding(child.killed, texts[child.killed])
    elif os.WIFSIGNALED(status):
        rule = broken_contract(child.inbox.crash)
        finding = Finding("exception-contract", rule) if rule else Finding("crash", signal_name(os.WTERMSIG(status)))
    else:
        text = f"Ends the process (exit code {os.WEXITSTATUS(status)})"
        output = child.output.decode(errors="replace").strip().splitlines()
        finding = Finding("forbidden", f"{text}: {output[-1]}" if output else text)
    return [NativeFinding(finding, stage, blamed(stack), stack)]
