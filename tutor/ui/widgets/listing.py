"""Source text in colours, drawn line by line: only what is on screen costs anything."""

from __future__ import annotations

from collections.abc import Sequence

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
_PLAIN = Style()
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


class Listing(ScrollView, can_focus=True):
    """Lines that scroll both ways."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []

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
        strip = self._strips[at].crop_extend(left, left + width, self.rich_style)
        return strip.apply_style(self.rich_style)
