"""Explains known errors: one sentence, the line they name, and the fix."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tutor.toolchains.explanations import ENTRIES, Entry

_PLACE = re.compile(r"([\w./+-]+\.(?:c|cc|cpp|cxx|cu|h|hpp|pyx|rs|py))[:(](\d+)")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an error means. `environment`: the machine lacks something, the learner's code is not at fault."""

    key: str
    sentence: str
    fix: str
    file: str = ""
    line: int | None = None
    environment: bool = False

    @property
    def text(self) -> str:
        """Sentence and fix, as a finding shows them."""
        return f"{self.sentence} {self.fix}"


def explain(raw: str) -> list[Explanation]:
    """Explanations of all known errors in a tool's or Python's output, in the order in which they stand there."""
    found: dict[str, tuple[int, Explanation]] = {}
    for entry in ENTRIES:
        match = entry.pattern.search(raw)
        if match is not None:
            found[entry.key] = match.start(), _explanation(entry, match, raw)
    for entry in ENTRIES:
        for hidden in entry.hides if entry.key in found else ():
            found.pop(hidden, None)
    return [explanation for _, explanation in sorted(found.values(), key=lambda pair: pair[0])]


def enrich(message: str, raw: str) -> str:
    """A tool's message with its explanation in front of it, or as it is. `raw` is the output around it."""
    own = explain(message)
    if not own:
        # Some errors are only known by what stands around them (a header's name, a note).
        own = [e for e in explain(raw) if _AROUND.get(e.key) and _AROUND[e.key] in message]
    return f"{own[0].text} ({message})" if own else message


# Entry key -> what the message itself says when the entry's pattern needs the lines around it.
_AROUND = {"missing-semicolon-macro": "expected", "cuda-keyword-in-cpp": "does not name a type"}


def _explanation(entry: Entry, match: re.Match[str], raw: str) -> Explanation:
    groups = {name: (value or "").strip("'`\u2018\u2019\"") for name, value in match.groupdict().items()}
    start = raw.rfind("\n", 0, match.start()) + 1
    end = raw.find("\n", match.end())
    place = _PLACE.search(raw[start : end if end >= 0 else len(raw)])
    return Explanation(
        entry.key,
        entry.sentence.format_map(groups),
        entry.fix.format_map(groups),
        place[1] if place else "",
        int(place[2]) if place else None,
        entry.environment,
    )
