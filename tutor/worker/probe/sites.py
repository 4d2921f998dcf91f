"""Places in compiled code, (target, offset) of the probe, as lines of the learner's files."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable

from tutor.core.protocol import Artifact
from tutor.worker.places import Place, learner_place

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
    addresses = [f"{offset:#x}" for offset in offsets]
    if tool := shutil.which("addr2line"):
        argv = [tool, "-a", "-i", "-e", path, *addresses]
    elif tool := shutil.which("llvm-symbolizer"):
        argv = [tool, "--output-style=GNU", "-a", "-i", "--no-functions", "-e", path, *addresses]
    else:
        return []
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    groups: list[list[tuple[str, int]]] = []
    for line in done.stdout.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            groups.append([])
        elif groups:
            file, _, number = line.partition(" ")[0].rpartition(":")
            groups[-1].append((file, int(number) if number.isdigit() else 0))
    return groups
