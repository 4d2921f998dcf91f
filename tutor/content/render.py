"""Makes the solution and the starter of a marked source file: `@gap`, `@end`, and `//| ` or `#| ` between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tutor.core.errors import ContentError

_OPEN = re.compile(r"^\s*(?://|#)\s*@gap\b.*$")
_CLOSE = re.compile(r"^\s*(?://|#)\s*@end\b.*$")
_STARTER = re.compile(r"^(\s*)(?://|#)\| ?(.*)$", re.DOTALL)
_REMEDY = "a gap is `// @gap`, solution lines, `//| starter lines`, `// @end` (with # in Python-like files)"

Kind = Literal["plain", "solution", "starter"]


def render_solution(raw: str, file: Path = Path("solution")) -> str:
    """The text without markers and starter lines. Raises ContentError on markers that don't match."""
    return "".join(line for kind, line in _lines(raw, file) if kind != "starter")


def render_starter(raw: str, file: Path = Path("solution")) -> str:
    """The text with each gap's solution lines replaced by its starter lines. Raises ContentError as above."""
    return "".join(line for kind, line in _lines(raw, file) if kind != "solution")


def _lines(raw: str, file: Path) -> Iterator[tuple[Kind, str]]:
    opened: int | None = None
    for number, line in enumerate(_split(raw), 1):
        bare = line.rstrip("\r\n")
        starter = _STARTER.match(line)
        if _OPEN.match(bare):
            if opened:
                raise ContentError(file, f"@gap inside the gap of line {opened}", line=number, remedy=_REMEDY)
            opened = number
        elif _CLOSE.match(bare):
            if not opened:
                raise ContentError(file, "@end without @gap", line=number, remedy=_REMEDY)
            opened = None
        elif starter and not opened:
            raise ContentError(file, "a starter line outside a gap", line=number, remedy=_REMEDY)
        elif starter:
            text = starter[2]
            yield "starter", (starter[1] + text if text.strip() else text)
        else:
            yield ("solution" if opened else "plain"), line
    if opened:
        raise ContentError(file, "@gap without @end", line=opened, remedy=_REMEDY)


def _split(raw: str) -> list[str]:
    """Lines with their ends. str.splitlines would also split at form feeds, which compilers don't."""
    return [line for line in re.split(r"(?<=\n)", raw) if line]
