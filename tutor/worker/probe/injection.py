"""What a call does when a call of the Python API in its middle fails: every place is made to fail once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tutor.core.finding import Finding
from tutor.worker.crash import crash_place
from tutor.worker.probe.forked import Reply
from tutor.worker.probe.passes import Probed, place_suspects
from tutor.worker.probe.seen import FailPoint, read_survey
from tutor.worker.probe.sites import NOWHERE, find_places
from tutor.worker.probe.suspects import Subject, Suspect, suspect_contract, suspect_leaks

MOST_POINTS = 24
_CALLS = 4


def fail_each(probed: Probed, most: int = MOST_POINTS) -> tuple[Finding, ...]:
    """Findings (`error-path`) for leaks, crashes and broken promises after a failure, at most one a place.

    Places that are passed more than once fail the first and, while `most` allows, the second time.
    """
    counted = probed.survey(1)
    if counted.value is None:
        return ()
    log = read_survey(counted.value[0]).log
    subjects = probed.subjects()
    found: dict[tuple[str, int | None], Finding] = {}
    for number in chosen_points(log, most):
        for finding in _fail_one(probed, subjects, log[number], number):
            found.setdefault((finding.file, finding.line), finding)
    return tuple(found.values())


def chosen_points(log: Sequence[FailPoint], most: int) -> list[int]:
    """Numbers of the calls that are made to fail: the first at each place, then the second at each."""
    rounds: list[list[int]] = [[], []]
    passed: dict[tuple[int, int], int] = {}
    for number, point in enumerate(log):
        if point.site == NOWHERE:
            continue
        times = passed.get(point.site, 0)
        passed[point.site] = times + 1
        if times < len(rounds):
            rounds[times].append(number)
    return [*rounds[0], *rounds[1]][:most]


def _fail_one(probed: Probed, subjects: Sequence[Subject], point: FailPoint, number: int) -> tuple[Finding, ...]:
    reply = probed.survey(_CALLS, fail_at=number)
    place = find_places(probed.artifact, [point.site]).get(point.site)
    when = f" when {point.name}{f' in line {place.line}' if place else ''} fails"
    if reply.value is None:
        return _death(probed, reply, point, when)
    seen = read_survey(reply.value[0])
    if seen.failed is None:
        return ()
    suspects = suspect_leaks(seen, subjects) + suspect_contract(seen.exception)
    sites = [suspect.sites or (point.site,) for suspect in suspects]
    moved = [replace(s, code="error-path", sites=where) for s, where in zip(suspects, sites, strict=True)]
    return place_suspects(probed, moved, when)


def _death(probed: Probed, reply: Reply, point: FailPoint, when: str) -> tuple[Finding, ...]:
    if reply.late or not reply.signal:
        return ()
    suspect = Suspect("error-path", "crashes", sites=(point.site,))
    (finding,) = place_suspects(probed, [suspect], when)
    place, _ = crash_place(reply.crash, probed.artifact)
    return (finding.at(place.file, place.line) if place else finding,)
