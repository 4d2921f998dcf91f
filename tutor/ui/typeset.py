"""How text becomes lines of a panel: cleaned, wrapped with a hanging indent, times and ratios in few cells."""

from __future__ import annotations

import contextlib
import re
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from textual.content import Content

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?")
_CONTROL = {code: None for code in (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))}
_SURROGATE = re.compile("[\ud800-\udfff]")

Part = tuple[str, str]


def clean(text: str, tab: int = 8) -> str:
    """The text without escape sequences, control characters, lone surrogates and tabs: safe to put on a screen."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n")).translate(_CONTROL)
    return _SURROGATE.sub("\ufffd", text).expandtabs(tab)


def wrap(text: str, width: int, indent: int = 0) -> list[str]:
    """Cleaned text as lines of at most `width` cells, each indented; blank lines are kept."""
    room = max(width - indent, 8)
    lines: list[str] = []
    for line in clean(text).splitlines() or [""]:
        lead = len(line) - len(line.lstrip())
        pieces = textwrap.wrap(line, room, subsequent_indent=" " * min(lead, room // 2), drop_whitespace=True)
        lines.extend(" " * indent + piece for piece in pieces or [""])
    return lines


def fit(text: str, width: int, ellipsis: str) -> str:
    """The cleaned single-line text cut to `width` cells, an ellipsis where something was lost."""
    text = clean(text).replace("\n", " ")
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)).rstrip() + ellipsis if width > 0 else ""


def pad(text: str, width: int) -> str:
    """The text cut or filled to exactly `width` cells."""
    return set_cell_size(text, max(width, 0))


def spread(left: Iterable[Part], right: Iterable[Part], width: int, ellipsis: str) -> Content:
    """One line: `left` at the left edge, `right` at the right one; the right side goes first to its room."""
    right = tuple(right)
    room = max(width - sum(cell_len(text) for text, _ in right) - (1 if right else 0), 0)
    parts: list[Part] = []
    for text, style in left:
        text = fit(text, room, ellipsis)
        room -= cell_len(text)
        parts.append((text, style))
    return Content.assemble(*parts, " " * (room + (1 if right else 0)), *right)


def homely(path: Path) -> str:
    """A path as people write it: `~/mltutor/...` below their home."""
    with contextlib.suppress(ValueError, RuntimeError):
        return f"~/{path.relative_to(Path.home())}"
    return str(path)


def stack(lines: Iterable[Content | str | Part]) -> Content:
    """Lines put under each other."""
    made = [line if isinstance(line, Content) else _one(line) for line in lines]
    return Content("\n").join(made)


def _one(line: str | Part) -> Content:
    return Content(line) if isinstance(line, str) else Content.assemble(line)


def paragraph(text: str, width: int, indent: int = 0, style: str = "") -> list[Part]:
    """Wrapped lines of one style, for `stack`."""
    return [(line, style) for line in wrap(text, width, indent)]


def seconds(value: float, micro: str = "µ") -> str:
    """A time in three digits: `31.2 µs`, `4.10 ms`, `0.31 s`, `12.4 s`."""
    if value <= 0:
        return "0 s"
    for factor, unit in ((1e-6, "ns"), (1e-3, f"{micro}s"), (1e-1, "ms")):
        if value < factor:
            scaled = value / {"ns": 1e-9, "ms": 1e-3}.get(unit, 1e-6)
            return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f} {unit}"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def ratio(value: float, times: str = "×") -> str:
    """A speedup: `0.87×`, `2.14×`, `12.4×`, `150×`."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}{times}"


def clock(at: float) -> str:
    """Local time of day, `14:02:31`."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def plural(count: int, noun: str) -> str:
    """`1 check`, `3 checks`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def amount(value: float, unit: str) -> str:
    """A large number with three digits and a decimal prefix: `9.81 GB/s`, `118 Gflop/s`, `84.0 kB`."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f} {prefix}{unit}"
    return f"{value:.0f} {unit}"
