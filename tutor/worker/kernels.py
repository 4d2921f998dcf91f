"""What compute-sanitizer wrote about kernels, as findings on the learner's lines.

Source: NVIDIA, Compute Sanitizer documentation (memcheck, racecheck, synccheck).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.worker.places import Place, learner_place

# compute-sanitizer is another process: what it has to say of a check may come a moment after the check's end.
_SETTLED, _AT_MOST = 0.2, 3.0
_MARK = re.compile(r"^=========( ?)", re.M)
_PLACE = r"at (?:[^\n]*?) in (?P<file>[^\s:]+):(?P<line>\d+)"
_ACCESS = re.compile(
    r"Invalid __(?P<space>\w+)__ (?P<kind>\w+) of size (?P<size>\d+) bytes\s+" + _PLACE +
    r"(?:\s+by thread (?P<thread>\([\d,]+\)) in block (?P<block>\([\d,]+\)))?"
)  # fmt: skip
_NEAREST = re.compile(
    r"and is ([\d,]+) bytes (after|before|inside) the nearest allocation at \S+ of size ([\d,]+) bytes"
)
_RACE = re.compile(
    r"Error: Race reported between (?P<first>\w+) access " + _PLACE + r"(?P<others>(?:\s+and \w+ access at [^\n]+)+)"
)
_OTHER = re.compile(r"and (\w+) access at [^\n]*? in [^\s:]+:(\d+)")
_BARRIER = re.compile(r"Barrier error detected\. (?P<what>[^\n]+?)\.?\s+" + _PLACE)
_read: dict[str, int] = {}


def begin(path: str) -> None:
    """From here on: what stands in the log is of an earlier run."""
    _read[path] = os.path.getsize(path) if os.path.exists(path) else 0


def news(path: str) -> str:
    """What was written to the log since it was asked last, once nothing more comes."""
    until, size, since = time.monotonic() + _AT_MOST, -1, 0.0
    while time.monotonic() < until and (size < 0 or time.monotonic() - since < _SETTLED):
        now = os.path.getsize(path) if os.path.exists(path) else 0
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.02)
    start = _read.get(path, 0)
    _read[path] = max(size, 0)
    if size <= start:
        return ""
    with Path(path).open("rb") as file:
        file.seek(start)
        return file.read(size - start).decode("utf-8", "replace")


def reports(output: str, artifact: Artifact) -> Iterator[Finding]:
    """Findings of all reports about kernels of the learner."""
    if "=========" not in output:
        return
    text = _MARK.sub("", output)
    yield from _accesses(text, artifact)
    yield from _shared_races(text, artifact)
    for match in _BARRIER.finditer(text):
        place = _place(match, artifact)
        if place:
            message = f"{match['what']} (compute-sanitizer synccheck)"
            yield Finding("cuda-race", message, place.file, place.line)


def _accesses(text: str, artifact: Artifact) -> Iterator[Finding]:
    for match in _ACCESS.finditer(text):
        place = _place(match, artifact)
        if place is None:
            continue
        near = _NEAREST.search(text, match.end(), match.end() + 300)
        words = f"{match['kind']}s {match['size']} bytes of {match['space']} memory"
        if near:
            away, side, size = near.groups()
            where = {"after": "past the end of", "before": "before", "inside": "into"}[side]
            words += f", {away} bytes {where} a block of {size} bytes"
        yield Finding("cuda-memcheck", f"{words} (compute-sanitizer memcheck)", place.file, place.line)


def _shared_races(text: str, artifact: Artifact) -> Iterator[Finding]:
    for match in _RACE.finditer(text):
        place = _place(match, artifact)
        if place is None:
            continue
        others = [f"{kind.lower()} in line {line}" for kind, line in _OTHER.findall(match["others"])]
        what = (
            f"a {match['first'].lower()} here and a {' and a '.join(others)} of shared memory with no barrier between"
        )
        yield Finding("cuda-race", f"{what} (compute-sanitizer racecheck)", place.file, place.line)


def _place(match: re.Match[str], artifact: Artifact) -> Place | None:
    return learner_place(artifact, match["file"], int(match["line"]))
