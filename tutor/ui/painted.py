"""What the terminal shows already, so that only the cells that differ are sent: over SSH bytes are time.

Textual sends whole widgets. At 80x24 a verdict was 17 to 42 KB; a screen that changes in a few words needs hundreds of
bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

from tutor.ui.wire import Cell, Look, Writer, look_of

_NEVER = Cell("", None)
_SECOND_HALF = ""


class Painted:
    """The cells of the terminal, as far as they are known."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Cell]] = {}

    def forget(self) -> None:
        """Somebody else wrote on the terminal, or its size changed: all will be sent again."""
        self._rows.clear()

    def changes(self, update: CompositorUpdate, width: int, console: Console) -> str:
        """Escape sequences for the cells of an update that differ, which count as shown from here on."""
        system = console._color_system or ColorSystem.TRUECOLOR
        wanted: dict[int, list[Cell]] = {}
        for y, x, strip in _pieces(update):
            row = wanted.setdefault(y, self._row(y, width)[:])
            cells = cells_of(strip, system)[: max(width - x, 0)]
            row[x : x + len(cells)] = cells
        writer = Writer()
        for y in sorted(wanted):
            writer.row(y, self._row(y, width), wanted[y])
        self._rows.update(wanted)
        return writer.text()

    def _row(self, y: int, width: int) -> list[Cell]:
        row = self._rows.get(y)
        return row if row is not None and len(row) == width else [_NEVER] * width


class Sequences:
    """Text for the terminal as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One segment without a style, which Rich passes on."""
        yield Segment(self._text)


def can_be_sparse(update: object) -> bool:
    """True for the two kinds of updates that say where each strip goes."""
    return isinstance(update, LayoutUpdate | ChopsUpdate)


def _pieces(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    """(row, column, strip) of all that an update draws."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            yield from _in_a_row(y, update.region.x, strips)
    elif isinstance(update, ChopsUpdate):
        for y, left, right in update.spans:
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is not None and x < right and end > left:
                    yield y, x, strip


def _in_a_row(y: int, x: int, strips: Iterable[Strip]) -> Iterator[tuple[int, int, Strip]]:
    for strip in strips:
        yield y, x, strip
        x += strip.cell_length


def cells_of(strip: Strip, system: ColorSystem) -> list[Cell]:
    """One entry a column; the second column of a wide character is empty, marks join the character before them."""
    cells: list[Cell] = []
    for text, style, control in strip:
        if control:
            continue
        look = look_of(style, system)
        blank = Cell(" ", look.on_blank())
        if text.isascii() and text.isprintable():  # most of a screen: one column each, in half the time
            cells += [blank if character == " " else Cell(character, look) for character in text]
        else:
            _append(cells, text, look, blank)
    return cells


def _append(cells: list[Cell], text: str, look: Look, blank: Cell) -> None:
    """The cells of a text with characters of any width."""
    for character in text:
        if character == " ":
            cells.append(blank)
            continue
        size = get_character_cell_size(character)
        if size == 0 and cells:
            cells[-1] = Cell(cells[-1].text + character, cells[-1].look)
            continue
        cells.append(Cell(character, look))
        cells.extend([Cell(_SECOND_HALF, look)] * (size - 1))
