"""Source code for people: highlighted, and two versions side by side."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from tutor.cli.output import Output, clean

_LEXERS = {".cu": "cuda", ".cuh": "cuda", ".pyx": "cython", ".pxd": "cython"}
_THEME = "ansi_dark"  # the terminal's own sixteen colours: right on dark and light, over SSH and in tmux
_CONTEXT = 3
_BOTH_SIDES_FIT = 60


def show_code(output: Output, name: str, text: str) -> None:
    """The file with colours on a terminal, as it is where it is piped."""
    if output.console.is_terminal:
        output.console.print(_syntax(name, text))
    else:
        output.raw(text.rstrip("\n"))


def show_side_by_side(output: Output, name: str, mine: str, other: str) -> None:
    """Both versions in two columns, equal stretches shortened; one below the other where the screen is narrow."""
    if mine == other:
        output.text(("no difference", "green"), indent=2)
        return
    left, right = (clean(text).removesuffix("\n").split("\n") for text in (mine, other))
    if output.console.width < _BOTH_SIDES_FIT:
        for line in difflib.unified_diff(left, right, "yours", "other", n=_CONTEXT, lineterm=""):
            output.raw(line)
        return
    table = Table(box=None, show_header=False, expand=True, padding=(0, 1, 0, 0))
    for ratio, style in ((0, "dim"), (1, ""), (0, "dim"), (0, "dim"), (1, "")):
        table.add_column(ratio=ratio or None, style=style, overflow="fold", no_wrap=False)
    for row in _rows(output, left, right):
        table.add_row(*row)
    output.console.print(table)


def _rows(output: Output, left: list[str], right: list[str]) -> Iterator[tuple[str | Text, ...]]:
    for tag, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from _equal(output, left, a, b, c, len(left))
            continue
        for i in range(max(b - a, d - c)):
            mine = left[a + i] if a + i < b else None
            theirs = right[c + i] if c + i < d else None
            yield (
                str(a + i + 1) if mine is not None else "",
                Text(mine or "", "red"),
                output.glyphs.rule if mine is not None and theirs is not None else "<" if theirs is None else ">",
                str(c + i + 1) if theirs is not None else "",
                Text(theirs or "", "green"),
            )


def _equal(output: Output, lines: list[str], a: int, b: int, c: int, total: int) -> Iterator[tuple[str | Text, ...]]:
    """Lines a..b that both have; in the middle of a long stretch one row says how many are left out."""
    head = 0 if a == 0 else _CONTEXT
    tail = 0 if b == total else _CONTEXT
    cut = b - a - head - tail
    for i in range(a, b):
        if cut > 1 and a + head <= i < b - tail:
            if i == a + head:
                dots = Text(f"{output.glyphs.ellipsis} {cut} equal lines", "dim")
                yield ("", dots, "", "", Text(""))
            continue
        yield (str(i + 1), Text(lines[i], "dim"), "", str(c + i - a + 1), Text(lines[i], "dim"))


def _syntax(name: str, text: str) -> Syntax:
    suffix = "." + name.rpartition(".")[2]
    lexer = _LEXERS.get(suffix) or Syntax.guess_lexer(name, text)
    return Syntax(clean(text), lexer, theme=_THEME, line_numbers=True, word_wrap=True, background_color="default")
