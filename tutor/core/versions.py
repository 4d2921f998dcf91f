"""Kept versions of the learner's files: what each is, and how far it is from the files as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Literal

from msgspec import Struct

_LONG = 2000


class Version(Struct, frozen=True):
    """`number` names it, `at` is time.time(), `why` says how it came to be kept; `files` are its contents.

    kind: `passed` every check and target, or was `replaced` by what `why` says. digest: that of its runs in the
    history. absent: files that were not there.
    """

    number: int
    at: float
    kind: Literal["replaced", "passed"]
    why: str
    files: Mapping[str, bytes]
    digest: str = ""
    absent: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`passed`, `before reset`."""
        return "passed" if self.kind == "passed" else f"before {self.why}"


class Changes(Struct, frozen=True):
    """Lines of a version that the present files lack (`more`), and lines of theirs that it lacks (`less`)."""

    more: int
    less: int

    @property
    def text(self) -> str:
        """`as now`, `+3 -1 lines`."""
        return f"+{self.more} -{self.less} lines" if self.more or self.less else "as now"


def changes(version: Version, now: Mapping[str, bytes]) -> Changes:
    """Counted over all files of either."""
    more = less = 0
    for name in {*version.files, *now}:
        there, here = (side.get(name, b"").splitlines() for side in (version.files, now))
        matcher = SequenceMatcher(None, here, there, autojunk=len(here) + len(there) > _LONG)
        for tag, a1, a2, b1, b2 in matcher.get_opcodes():
            if tag != "equal":
                less, more = less + a2 - a1, more + b2 - b1
    return Changes(more, less)


def newest_first(versions: tuple[Version, ...]) -> Iterator[Version]:
    """The order in which they are listed."""
    return iter(sorted(versions, key=lambda version: -version.number))
