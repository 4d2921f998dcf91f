"""Source text in colours, drawn line by line: only what is on screen costs anything."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tutor.ui.typeset import clean

Line = list[Segment]

# Sixteen-colour styles by Pygments token prefix, the longest match wins.
_STYLES = {
    "Comment": Style(dim=True),
    "Comment.Preproc": Style(color="magenta"),
    "Keyword": Style(color="magenta"),
    "Keyword.Type": Style(color="cyan"),
    "Name.Function": Style(bold=True),
    "Name.Class": Style(bold=True),
    "Name.Decorator": Style(color="cyan"),
    "Literal.String": Style(color="green"),
    "Literal.Number": Style(color="yellow"),
    "Operator.Word": Style(color="magenta"),
}
_PLAIN, _BOLD = Style(), Style(bold=True)
_MATCH, _HERE = Style(bold=True, underline=True), Style(bold=True, reverse=True)
_LARGE = 400_000


def _style(token: str) -> Style:
    while token:
        if token in _STYLES:
            return _STYLES[token]
        token = token.rpartition(".")[0]
    return _PLAIN


def highlight(source: str, name: str) -> list[Line]:
    """Lines of styled segments for a file of this name; plain when the language is unknown or the file is large."""
    text = clean(source, tab=4)
    if len(text) > _LARGE or not name:
        return [[Segment(line)] for line in text.splitlines()]
    from pygments.lexers import get_lexer_for_filename  # type: ignore[import-untyped]
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]

    try:
        lexer = get_lexer_for_filename(name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return [[Segment(line)] for line in text.splitlines()]
    lines: list[Line] = [[]]
    for token, value in lexer.get_tokens(text):
        style = _style(str(token).removeprefix("Token."))
        for count, piece in enumerate(value.split("\n")):
            if count:
                lines.append([])
            if piece:
                lines[-1].append(Segment(piece, style))
    return lines[:-1] if not lines[-1] else lines


# Words that the tools colour, as they do; a whole line counts once.
_SAID = (
    (re.compile(r"^== .* ==$"), _BOLD),
    (re.compile(r"\b(?:fatal )?error(?:\[\w+\])?:"), Style(color="red", bold=True)),
    (re.compile(r"\bwarning:"), Style(color="magenta", bold=True)),
    (re.compile(r"\b(?:note|help):"), Style(color="cyan", bold=True)),
    (re.compile(r"^[\s|]*[~^][~^\s|-]*$"), Style(color="green", bold=True)),
    (re.compile(r"^E  .*$"), Style(color="red")),
)


def paint(output: str) -> list[Line]:
    """What compilers and checks said, with the colours they would give it on a terminal."""
    return [_painted(line) for line in clean(output, tab=4).splitlines()]


def _painted(line: str) -> Line:
    for pattern, style in _SAID:
        found = pattern.search(line)
        if found:
            parts = (line[: found.start()], None), (found.group(), style), (line[found.end() :], None)
            return [Segment(text, look) for text, look in parts if text]
    return [Segment(line)]


class Listing(ScrollView, can_focus=True):
    """Lines that scroll both ways and can be searched."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []
        self._matches: list[int] = []
        self._pattern: re.Pattern[str] | None = None
        self._at = 0

    @property
    def found(self) -> int:
        """How many lines match."""
        return len(self._matches)

    def search(self, words: str) -> int:
        """Mark every line that holds these words (small letters stand for both); how many there are."""
        flags = re.IGNORECASE if words == words.lower() else 0
        self._pattern = re.compile(re.escape(words), flags) if words else None
        hit = self._pattern.search if self._pattern else lambda text: None
        self._matches = [at for at, strip in enumerate(self._strips) if hit(strip.text)]
        self._at = next((i for i, at in enumerate(self._matches) if at >= self.scroll_offset.y), 0)
        self.refresh()
        return len(self._matches)

    def step(self, step: int) -> int | None:
        """Go that many matches on, round at the ends; which one it is now, or None without any."""
        if not self._matches:
            return None
        self._at = (self._at + step) % len(self._matches)
        self.scroll_to(y=max(self._matches[self._at] - self.size.height // 3, 0), animate=False)
        self.refresh()
        return self._at

    def put(self, lines: Sequence[Line]) -> None:
        """Show these lines from the top."""
        self._strips = [Strip(line) for line in lines]
        width = max((strip.cell_length for strip in self._strips), default=0)
        self.virtual_size = Size(width, len(self._strips))
        self.scroll_home(animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        left, top = self.scroll_offset
        width, at = self.size.width, top + y
        if at >= len(self._strips):
            return Strip.blank(width, self.rich_style)
        strip = self._strips[at]
        if self._pattern and (found := self._pattern.search(strip.text)):
            here = bool(self._matches) and at == self._matches[self._at]
            strip = _marked(strip, found, _HERE if here else _MATCH)
        return strip.crop_extend(left, left + width, self.rich_style).apply_style(self.rich_style)


def _marked(strip: Strip, found: re.Match[str], style: Style) -> Strip:
    """The strip with the match in another style: underlined, the one that was gone to reversed."""
    start = cell_len(strip.text[: found.start()])
    end = start + cell_len(found.group())
    before, there, after = strip.crop(0, start), strip.crop(start, end), strip.crop(end)
    return Strip.join([before, Strip([Segment(there.text, style)]), after])
