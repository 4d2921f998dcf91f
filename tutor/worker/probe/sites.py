"""Places in compiled code, (target, offset) of the probe, as lines of the learner's files."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tutor.core.protocol import Artifact
from tutor.worker.places import Place, learner_place
from tutor.worker.symbols import split_place, symbol_lines

Site = tuple[int, int]
NOWHERE: Site = (-1, 0)


def find_places(artifact: Artifact, sites: Iterable[Site]) -> dict[Site, Place]:
    """The learner's innermost line of each site that has one (through inlined functions, too)."""
    wanted = sorted({site for site in sites if site[0] >= 0})
    found: dict[Site, Place] = {}
    if not wanted:
        return found
    for site, frames in zip(wanted, _symbolise(artifact.path, [offset for _, offset in wanted]), strict=False):
        places = (learner_place(artifact, file, line) for file, line in frames)
        place = next((place for place in places if place is not None), None)
        if place is not None:
            found[site] = place
    return found


def _symbolise(path: str, offsets: list[int]) -> list[list[tuple[str, int]]]:
    """(file, line) of each offset, innermost first; empty where no tool is there or it says nothing."""
    groups: list[list[tuple[str, int]]] = []
    for line in symbol_lines(path, [f"{offset:#x}" for offset in offsets], functions=False):
        if re.fullmatch(r"0x[0-9a-f]+", line):
            groups.append([])
        elif groups:
            groups[-1].append(split_place(line))
    return groups
