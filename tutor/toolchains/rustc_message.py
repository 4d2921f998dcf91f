"""A message of rustc as it prints it: the head, and the remarks in the picture below it, with their lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SOURCE = re.compile(r"^\s*(?P<line>\d+) [|~+-] ?(?P<text>.*)$")
_LABEL = re.compile(r"^\s*\| (?P<text>.*)$")
_MARKERS = re.compile(r"^[\s|^_-]+")
_ARROW = re.compile(r"^\s*--> .*:(?P<line>\d+):\d+$")
# The snippets after one of these belong to a suggestion or to another place.
_APPENDIX = re.compile(r"^(?:note|help)(?::| )|^\s*= ")
_QUOTED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Label:
    """A remark of rustc below a line: the line's number, its text, the remark."""

    line: int
    source: str
    says: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of rustc: its first sentence, the line it stands on, the remarks in its picture."""

    text: str
    here: int
    labels: tuple[Label, ...]

    @property
    def name(self) -> str:
        """The first thing in backticks."""
        found = _QUOTED.search(self.text)
        return f"`{found[1].lstrip('*')}`" if found else "this value"

    def find(self, pattern: str) -> Label | None:
        """The first remark that matches."""
        return next((label for label in self.labels if re.search(pattern, label.says)), None)

    def place(self, label: Label | None, show: bool = False) -> str:
        """`on line 7`, with the line's code on demand; `here` when it is the line of the message."""
        if label is None or label.line == self.here:
            return "here"
        return f"on line {label.line} ({_short(label.source)})" if show else f"on line {label.line}"


def read_message(text: str, following: Iterable[str]) -> Message:
    """The message whose head line says `text`; `following` are the lines below it."""
    here, line, source = 0, 0, ""
    labels: list[Label] = []
    for row in following:
        if _APPENDIX.match(row):
            break
        if (arrow := _ARROW.match(row)) and not here:
            here = int(arrow["line"])
        elif found := _SOURCE.match(row):
            line, source = int(found["line"]), found["text"].strip()
        elif line and (found := _LABEL.match(row)):
            says = _MARKERS.sub("", found["text"])
            if says:
                labels.append(Label(line, source, says))
    return Message(text, here, tuple(labels))


def _short(source: str) -> str:
    source = source.removesuffix("{").rstrip()
    return f"`{source if len(source) <= 60 else source[:57] + '...'}`"
