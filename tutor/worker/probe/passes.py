"""The passes over one call, each in a forked child: freed objects first, then references and memory, then again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.core.verdict import CallReport
from tutor.worker.crash import crash_finding
from tutor.worker.fixtures.calls import call_name, called_place
from tutor.worker.fixtures.closure import reachable
from tutor.worker.places import Place
from tutor.worker.probe import library
from tutor.worker.probe.forked import Reply, run_forked
from tutor.worker.probe.seen import Survey, read_exhumed, read_survey
from tutor.worker.probe.sites import Site, find_places
from tutor.worker.probe.suspects import (
    BOOKS_FROM,
    Subject,
    Suspect,
    suspect_contract,
    suspect_freed,
    suspect_leaks,
    suspect_overruns,
)

# Calls of a survey: the series of an object has room for so many; books of malloc are judged from so many on.
MOST_CALLS = 64
LEAST_CONFIRMING = BOOKS_FROM
_ROWS = 8


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the passes say about a call. `unknown` says why something could not be looked at; empty as a rule."""

    findings: tuple[Finding, ...] = ()
    rows: tuple[CallReport, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """A call to look at: the learner's artifact, a callable and its arguments."""

    artifact: Artifact
    call: Callable[..., Any]
    args: tuple[Any, ...]

    def survey(self, calls: int, fail_at: int = -1, confirming: int = 0) -> Reply:
        """[seen, seen again or None]: `calls` calls with references, blocks and memory counted.

        Where that shows a leak, `confirming` more calls are counted (0: none).
        """

        def body() -> Any:
            # Before the calls: they may change what the arguments hold.
            subjects, objects = self.subjects(), [value for _, value in reachable(self.args)]
            library.attach(self.artifact)
            survey = library.probe().survey
            first = survey(self.call, self.args, objects, min(calls, MOST_CALLS), fail_at)
            if not confirming or not suspect_leaks(read_survey(first), subjects):
                return [first, None]
            return [first, survey(self.call, self.args, objects, confirming, fail_at)]

        return run_forked(body)

    def exhume(self) -> Reply:
        """One call with freed objects kept."""

        def body() -> Any:
            library.attach(self.artifact)
            return library.probe().exhume(self.call, self.args)

        return run_forked(body)

    def intervals(self, calls: int) -> Reply:
        """How long `calls` calls held the GIL, with nothing else watched."""

        def body() -> Any:
            library.attach_gil(self.artifact)
            return library.probe().intervals(self.call, self.args, calls)

        return run_forked(body)

    def subjects(self) -> list[Subject]:
        """The objects that a survey watches, in its order."""
        return [Subject(path, type(value).__name__) for path, value in reachable(self.args)]


def diagnose(probed: Probed, calls: int = 6) -> Diagnosis:
    """All passes; a defect that stops the process or breaks its memory ends them, as later ones would only crash."""
    reply = probed.exhume()
    if reply.value is None:
        return _broken(probed, reply)
    freed = suspect_freed(read_exhumed(reply.value))
    if any(suspect.code == "use-after-free" for suspect in freed):
        return Diagnosis(place_suspects(probed, freed))
    reply = probed.survey(calls, confirming=_more(calls))
    if reply.value is None:
        return _broken(probed, reply)
    seen, subjects = read_survey(reply.value[0]), probed.subjects()
    leaks = _confirmed(reply, subjects)
    contract = [] if freed else suspect_contract(seen.exception)
    findings = place_suspects(probed, [*freed, *suspect_overruns(seen), *leaks, *contract])
    return Diagnosis(findings, _rows(seen, subjects, leaks, findings))


def find_leak(probed: Probed, calls: int = 6) -> Finding | None:
    """The first thing that every call takes and keeps, with its line; None when the probe sees none."""
    reply = probed.survey(calls, confirming=_more(calls))
    if reply.value is None:
        return None
    leaks = _confirmed(reply, probed.subjects())
    leaks.sort(key=lambda suspect: suspect.code != "memory-leak")
    kept = [suspect for suspect in leaks if suspect.code in {"memory-leak", "ref-leak"} and suspect.sites]
    return place_suspects(probed, kept[:1])[0] if kept else None


def _more(calls: int) -> int:
    return min(MOST_CALLS, max(LEAST_CONFIRMING, 4 * calls))


def _confirmed(reply: Reply, subjects: Sequence[Subject]) -> list[Suspect]:
    """Suspects that four times as many calls show again: caches and tables that grow now and then do not."""
    first, later = reply.value
    if later is None:
        return []
    again = {suspect.key: suspect.per_call or 0 for suspect in suspect_leaks(read_survey(later), subjects)}
    suspects = suspect_leaks(read_survey(first), subjects)
    return [s for s in suspects if s.key in again and abs(again[s.key] - (s.per_call or 0)) < 0.5]


def _broken(probed: Probed, reply: Reply) -> Diagnosis:
    if reply.signal and not reply.late:
        return Diagnosis((crash_finding(reply.signal, reply.crash, probed.artifact),))
    why = "the call takes too long to be watched" if reply.late else reply.error
    return Diagnosis(unknown=f"{library.NOT_CHECKED}: {why}")


def place_suspects(probed: Probed, suspects: Sequence[Suspect], when: str = "") -> tuple[Finding, ...]:
    """Findings with their lines, and with the line of the function where the compiler left no better one."""
    places = find_places(probed.artifact, [site for suspect in suspects for site in suspect.sites])
    function = called_place(probed.artifact, probed.call)
    name = call_name(probed.call)
    found = []
    for suspect in suspects:
        text = f"{name}: {when}{suspect.text}" if suspect.text.startswith("arg") else f"{name} {suspect.text}{when}"
        finding = Finding(suspect.code, text, type=suspect.type, per_call=suspect.per_call)
        place = _place(suspect.sites, places) or function
        found.append(finding.at(place.file, place.line) if place else finding)
    return tuple(found)


def _place(sites: tuple[Site, ...], places: dict[Site, Place]) -> Place | None:
    return next((places[site] for site in sites if site in places), None)


def _rows(
    seen: Survey, subjects: Sequence[Subject], leaks: Sequence[Suspect], findings: Sequence[Finding]
) -> tuple[CallReport, ...]:
    """Rows of the panel: what changed with its line, then the first arguments that did not."""
    lines = {(f.code, f.type, f.per_call): f.place for f in findings}
    rows = [
        CallReport(s.what, s.type, s.per_call or 0.0, lines.get((s.code, s.type, s.per_call), ""), s.series)
        for s in leaks
        if s.what
    ]
    named = {row.what for row in rows}
    for row in seen.watched:
        subject = subjects[row.index]
        if subject.path not in named and len(rows) < _ROWS and subject.path.startswith("arg"):
            rows.append(CallReport(subject.path, subject.type, 0.0, series=tuple(map(float, row.series))))
    return tuple(rows)
