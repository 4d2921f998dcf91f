"""Finds the commands that the documents and mltutor's own messages tell people to type."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "workspace/*.md", "benchmarks/*.md", "lessons/**/*.md")
    for path in ROOT.glob(pattern)
)
SOURCES = sorted((ROOT / "tutor").rglob("*.py"))
PROGRAMS = ("mltutor", "make", "python", "python3", "pip", "cargo", "rustc")
EXAMPLE = "capi-refs"  # what stands for EXERCISE, ID and the {exercise.id} of a message

_FENCE = re.compile(r"^```[^\n]*\n.*?^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_WORD = "|".join(PROGRAMS)
# A line of a block may hold several commands: in columns, or "a / b".
_BESIDE = re.compile(rf"(?:\s{{2,}}| / )(?=(?:{_WORD}) )")
_COMMAND = re.compile(rf"(?:{_WORD}) \S")
_OPTIONAL = re.compile(r"\[([^\[\]]+)\]")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|\b(?:EXERCISE|ID)\b")


@dataclass(frozen=True)
class Command:
    """One command and where it stands."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.text}"

    @property
    def program(self) -> str:
        return self.text.split()[0]

    def spellings(self) -> list[list[str]]:
        """Its words, without and with what stands in [brackets], placeholders filled in."""
        texts = {_OPTIONAL.sub("", self.text), _OPTIONAL.sub(r"\1", self.text)}
        return [_filled(text) for text in sorted(texts, key=len)]


def _filled(text: str) -> list[str]:
    words = shlex.split(_PLACEHOLDER.sub(EXAMPLE, text), comments=True)
    return [word for word in words if word != "..."]


def in_document(path: Path) -> list[Command]:
    """The commands in the blocks and the `spans` of a Markdown file."""
    text = path.read_text(encoding="utf-8")
    prose = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    return [*_in_blocks(path, text), *_in_spans(path, prose)]


def in_source(path: Path) -> list[Command]:
    """The `mltutor ...` that the messages of a module name."""
    found = _in_spans(path, path.read_text(encoding="utf-8"))
    return [command for command in found if command.program == "mltutor"]


def options(path: Path) -> list[Command]:
    """The `--options` that a document names by themselves."""
    prose = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), path.read_text(encoding="utf-8"))
    return [one for one in _spans(path, prose) if re.match(r"--[a-z]", one.text)]


def sessions(path: Path) -> list[Command]:
    """The `$ ` lines of each block, as one script: what a reader types one after the other."""
    text = path.read_text(encoding="utf-8")
    found = []
    for block in _FENCE.finditer(text):
        lines = [line.removeprefix("$ ") for line in block[0].splitlines() if line.startswith("$ ")]
        if lines:
            found.append(Command(path, text.count("\n", 0, block.start()) + 1, "\n".join(lines)))
    return found


def _in_blocks(path: Path, text: str) -> Iterator[Command]:
    for block in _FENCE.finditer(text):
        first = text.count("\n", 0, block.start()) + 1
        for number, line in enumerate(block[0].splitlines()[1:-1], first + 1):
            if _COMMAND.match(line):
                yield from (Command(path, number, one.strip()) for one in _BESIDE.split(line))


def _in_spans(path: Path, prose: str) -> Iterator[Command]:
    return (one for one in _spans(path, prose) if _COMMAND.match(one.text))


def _spans(path: Path, prose: str) -> Iterator[Command]:
    for span in _SPAN.finditer(prose):
        yield Command(path, prose.count("\n", 0, span.start()) + 1, " ".join(span[1].split()))


def told() -> list[Command]:
    """Every command of every document and message, each spelling once."""
    found = itertools.chain(*map(in_document, DOCUMENTS), *map(in_source, SOURCES))
    once: dict[str, Command] = {}
    for command in found:
        once.setdefault(command.text.partition("  #")[0].strip(), command)
    return list(once.values())
