"""Finds the line of a key in a TOML text, so that an error about a value can point at it."""

from __future__ import annotations

import re

_HEADER = re.compile(r"^\s*(\[\[?)\s*([\w.\-\"' ]+?)\s*\]\]?\s*(?:#.*)?$")
_STEP = re.compile(r"\.?([\w\-]+)|\[(\d+)\]")

Path = tuple[str | int, ...]


def parse_path(text: str) -> Path:
    """`$.bench[0].target` -> ("bench", 0, "target")."""
    return tuple(int(index) if index else name for name, index in _STEP.findall(text.removeprefix("$")))


def line_of(text: str, path: Path) -> int | None:
    """The 1-based line of the key that `path` leads to, or of its nearest parent that stands in the text."""
    while path:
        line = _exact(text, path)
        if line is not None:
            return line
        path = path[:-1]
    return None


def _exact(text: str, path: Path) -> int | None:
    tables: dict[str, int] = {}
    here: Path = ()
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.match(line)
        if header:
            name = header[2].strip()
            here = tuple(part.strip(" \"'") for part in name.split("."))
            if header[1] == "[[":
                tables[name] = tables.get(name, -1) + 1
                here = (*here, tables[name])
            if here == path:
                return number
        elif _assigns(line, here, path):
            return number
    return None


def _assigns(line: str, here: Path, path: Path) -> bool:
    key, equals, _ = line.partition("=")
    if not equals or key.lstrip().startswith("#"):
        return False
    return here + tuple(part.strip(" \t\"'") for part in key.split(".")) == path
