"""From what the probe saw to suspects: defects by code, type and site, before anyone knows their lines."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tutor.worker.contract import complaint
from tutor.worker.probe.seen import Exhumed, LedgerRow, Survey, SurvivorRow, WatchedRow
from tutor.worker.probe.sites import NOWHERE, Site

# Where the reference to what a container holds was got, when the object itself was never handed to the API.
_GETTERS = re.compile(r"Py\w+_(Get|Next|Fast|Items|Values|Keys)|PyIter_Next")
# Fewer small blocks may come from malloc's cache of a thread, which its books call used all the time.
BOOKS_FROM = 24


@dataclass(frozen=True, slots=True)
class Subject:
    """An object that is watched: its path (`arg0[3]`) and the name of its type."""

    path: str
    type: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """A defect. `sites` are where its line may be, the best first; `text` follows the function's name in a message.

    series: of the panel. what: the row's name there.
    """

    code: str
    text: str
    type: str = ""
    per_call: float | None = None
    sites: tuple[Site, ...] = ()
    what: str = ""
    series: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, tuple[Site, ...]]:
        """The same in a pass with more calls."""
        return self.code, self.type, self.what, self.sites[:1]


def suspect_freed(seen: Exhumed) -> list[Suspect]:
    """Uses of freed objects and calls without the GIL; each is a proof by itself."""
    found = [
        Suspect("gil-missing", f"calls {row.name} without the GIL", sites=(row.site,), what=row.name)
        for row in seen.without_gil
    ]
    if (use := seen.use) is not None:
        how = {"in the result": "returns", "kept": "keeps", "released again": "releases"}.get(use.how, "uses")
        via = f" ({use.how})" if use.how.startswith("Py") else ""
        sites = tuple(site for site in (use.used, use.freed, use.taken) if site != NOWHERE)
        text = f"{how} {_article(use.type)} after it was freed{via}"
        found.append(Suspect("use-after-free", text, use.type, sites=sites))
    return found + suspect_contract(seen.exception)


def suspect_contract(exception: str) -> list[Suspect]:
    """The interpreter's own complaint about NULL and exceptions that do not go together."""
    said = complaint(exception)
    return [Suspect("exception-contract", said)] if said else []


def suspect_overruns(seen: Survey) -> list[Suspect]:
    """Blocks that were written past their end: each is a proof by itself. Known is where the block was taken."""
    found = []
    for row in seen.overruns:
        what = f"{_article(row.type)} object" if row.type else f"a block of {row.bytes:,} bytes"
        text = f"writes {row.past} byte{'s' * (row.past != 1)} past the end of {what} made here"
        sites = (row.site,) if row.site != NOWHERE else ()
        found.append(Suspect("out-of-bounds", text, row.type, sites=sites))
    return found


def suspect_leaks(seen: Survey, subjects: Sequence[Subject]) -> list[Suspect]:
    """References, blocks, memory and buffers that every call gains or loses. A lazy first allocation is none."""
    found = _survivors(seen) + _ledger(seen)
    by_index = {row.index: row for row in seen.watched}
    for row in seen.watched:
        suspect = _watched(row, subjects[row.index], seen.calls, _container_use(row, subjects, by_index))
        if suspect is not None:
            found.append(suspect)
    return found


def _survivors(seen: Survey) -> list[Suspect]:
    groups: dict[tuple[str, Site, Site, str], list[SurvivorRow]] = defaultdict(list)
    for row in seen.survivors:
        groups[row.type, row.site, row.last_use, row.last_name].append(row)
    found = []
    for (kind, site, last, name), rows in groups.items():
        series = _cumulated((row.call for row in rows), seen.calls)
        if not _grows(series):
            continue
        per_call = (series[-1] - series[0]) / (seen.calls - 1)
        if not kind:
            size = sum(row.bytes for row in rows) / (seen.calls - 1)
            text = f"keeps {size:,.0f} bytes a call, from Python's allocator"
            found.append(Suspect("memory-leak", text, "", size, (site,), "memory", series))
            continue
        used = f", last used by {name}" if name else ", made here"
        number = f"1 {kind}" if per_call == 1 else f"{per_call:.3g} objects of type {kind}"
        # The release is missing after the last use; where there is none, all that is known is where it was made.
        sites = tuple(s for s in (last, site) if s != NOWHERE)
        found.append(Suspect("ref-leak", f"leaks {number} a call{used}", kind, per_call, sites, f"new {kind}", series))
    return found


def _ledger(seen: Survey) -> list[Suspect]:
    groups: dict[Site, list[LedgerRow]] = defaultdict(list)
    for row in seen.ledger:
        groups[row.site].append(row)
    found = []
    total = sum(row.bytes for row in seen.ledger)
    for site, rows in groups.items():
        series = _cumulated((row.call for row in rows), seen.calls, [row.bytes for row in rows])
        # What another library freed for the learner is on no book of ours, but on malloc's.
        if not _grows(series) or (seen.calls >= BOOKS_FROM and seen.grown < 0.5 * total):
            continue
        size = sum(row.bytes for row in rows) / (seen.calls - 1)
        found.append(Suspect("memory-leak", f"keeps {size:,.0f} bytes a call", "", size, (site,), "memory", series))
    return found


def _cumulated(calls: Iterable[int], number: int, weights: Sequence[float] | None = None) -> tuple[float, ...]:
    gained = [0.0] * number
    for i, call in enumerate(calls):
        gained[call] += weights[i] if weights else 1
    total = 0.0
    return tuple(total := total + step for step in gained)


def _grows(series: Sequence[float]) -> bool:
    return len(series) > 1 and all(b > a for a, b in itertools.pairwise(series))


def _watched(row: WatchedRow, subject: Subject, calls: int, container_use: Site) -> Suspect | None:
    steps = [b - a for a, b in itertools.pairwise(row.series)]
    per_call = round((row.series[-1] - row.series[0] - row.leaked) / max(1, len(steps)), 2)
    series = tuple(float(value) for value in row.series)
    sites = tuple(site for site in (row.last_use, container_use) if site != NOWHERE)
    path, kind = subject.path, subject.type
    if row.owed >= calls:
        text = f"returns {path} ({kind}) without taking a reference to it"
        return Suspect("borrowed-return", text, kind, -row.owed / calls, sites, path, series)
    if not steps or not (all(s > 0 for s in steps) or all(s < 0 for s in steps)) or abs(per_call) < 0.5:
        return None
    if row.buffers >= calls and per_call > 0:
        text = f"acquires a buffer of {path} ({kind}) that it does not release, {row.buffers / calls:.3g} a call"
        return Suspect("buffer-not-released", text, kind, row.buffers / calls, (row.buffer_site,), path, series)
    count = f"{abs(per_call):g} reference{'s' * (abs(per_call) != 1)}"
    if per_call > 0:
        return Suspect("ref-leak", f"{path} ({kind}) gains {count} a call", kind, per_call, sites, path, series)
    return Suspect("ref-underflow", f"{path} ({kind}) loses {count} a call", kind, per_call, sites, path, series)


def _container_use(row: WatchedRow, subjects: Sequence[Subject], by_index: dict[int, WatchedRow]) -> Site:
    """Where the container of an item was last asked for something."""
    path = subjects[row.index].path
    for other in by_index.values():
        parent = subjects[other.index].path
        if path != parent and path.startswith(parent) and _GETTERS.match(other.last_call):
            return other.last_use
    return NOWHERE


def _article(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
