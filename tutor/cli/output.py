"""What the commands print through: width, colour, signs, and text from outside that must not steer the terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from tutor.ui.glyphs import ASCII, UNICODE, Glyphs
from tutor.ui.terminal import speaks_utf8

PIPED_WIDTH = 100
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Console(Console):
    """A console that leaves a closed pipe to the entry point, which owns exit codes."""

    def on_broken_pipe(self) -> None:
        # rich calls this while it handles the BrokenPipeError
        raise


class Output(Struct, frozen=True):
    """A console, the signs that fit it, and whether a JSON document was asked for instead of text."""

    console: Console
    glyphs: Glyphs
    as_json: bool

    @classmethod
    def make(cls, as_json: bool, plain: bool) -> Output:
        """For the present stdout: ASCII where it is not UTF-8 (or `plain`), colour where a terminal has it."""
        ascii_only = plain or not _speaks_utf8()
        dumb = plain or os.environ.get("TERM") in ("dumb", "unknown") or bool(os.environ.get("NO_COLOR"))
        console = _Console(
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=False,
            width=_width(),
            no_color=dumb,
            color_system=None if dumb or not sys.stdout.isatty() else "auto",
            safe_box=True,
        )
        return cls(console, ASCII if ascii_only else UNICODE, as_json)

    def text(self, *parts: str | tuple[str, str], indent: int = 0) -> None:
        """Print one line made of strings and (string, style) pairs; wrapped lines keep the indentation."""
        line = Text.assemble(*(clean(p) if isinstance(p, str) else (clean(p[0]), p[1]) for p in parts))
        for part in line.wrap(self.console, max(20, self.console.width - indent)):
            part.rstrip()
            part.pad_left(indent)
            self.console.print(part, soft_wrap=True)

    def raw(self, text: str, style: str = "") -> None:
        """Print text as it is, never wrapped: paths, code, output."""
        self.console.print(Text(clean(text), style), soft_wrap=True)

    def blank(self) -> None:
        """An empty line."""
        self.console.print()

    def document(self, document: dict[str, Any]) -> None:
        """Print one JSON document. Lone surrogates of undecodable bytes become question marks."""
        import json

        print(json.dumps(document, indent=1, ensure_ascii=False).encode(errors="replace").decode())


def clean(text: str) -> str:
    """Text from a compiler or a learner without anything that moves the cursor, colours or rings."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _ESCAPES.sub("", text).replace("\r\n", "\n").expandtabs(4))


def _speaks_utf8() -> bool:
    return speaks_utf8(os.environ, getattr(sys.stdout, "encoding", None) or "ascii")


def _width() -> int | None:
    if sys.stdout.isatty():
        return None
    return max(40, shutil.get_terminal_size((PIPED_WIDTH, 24)).columns)


def interactive() -> bool:
    """True when a person can be asked: both ends are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()
