"""Cells as the fewest bytes that make a terminal show them: looks, the codes between two looks, moves and erasures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.color import ColorSystem
from rich.style import Style

# A colour by number or by red, green and blue is one code.
_CODE = re.compile(r"[34]8;5;\d+|[34]8;2;\d+;\d+;\d+|\d+")
_ERASE = "\x1b[K"
# Erasing so many blanks is not longer than sending them.
_ERASED = 10
# Farther than this the cursor is moved; nearer, what lies between may be shorter.
_NEAR = 12


class Look(NamedTuple):
    """What of a style can be seen, as SGR parameters; the empty one is the terminal's own."""

    attributes: tuple[str, ...] = ()
    front: str = ""
    back: str = ""
    link: str = ""

    @property
    def lined(self) -> bool:
        """True where a blank shows more than its background."""
        return not _LINED.isdisjoint(self.attributes)

    def on_blank(self) -> Look:
        """As much of it as a blank shows."""
        return self if self.lined or self.link else Look(back=self.back)


class Cell(NamedTuple):
    """A column. `text` is empty for the second half of a wide character and where nothing is known."""

    text: str
    look: Look | None


PLAIN = Look()
BLANK = Cell(" ", PLAIN)
# Underline, reverse, strike, double underline, frame, circle, overline.
_LINED = frozenset(("4", "7", "9", "21", "51", "52", "53"))


@lru_cache(maxsize=4096)
def look_of(style: Style | None, system: ColorSystem) -> Look:
    """The look of a Rich style with a terminal's colours."""
    if not style:
        return PLAIN
    attributes, front, back = [], "", ""
    for code in _CODE.findall(style._make_ansi_codes(system)):
        kind = int(code.partition(";")[0])
        if 30 <= kind <= 39 or 90 <= kind <= 97:
            front = "" if kind == 39 else code
        elif 40 <= kind <= 49 or 100 <= kind <= 107:
            back = "" if kind == 49 else code
        else:
            attributes.append(code)
    return Look(tuple(attributes), front, back, style.link or "")


@lru_cache(maxsize=4096)
def between(old: Look, new: Look) -> str:
    """The shortest sequence that turns one look into another."""
    link = f"\x1b]8;;{new.link}\x1b\\" if new.link != old.link else ""
    if old[:3] == new[:3]:
        return link
    anew = ["0", *new.attributes, new.front, new.back]
    if new[:3] == PLAIN[:3]:
        return f"{link}\x1b[m"
    ways = [anew[1:] if old[:3] == PLAIN[:3] else anew]
    if set(old.attributes) <= set(new.attributes):
        added = [code for code in new.attributes if code not in old.attributes]
        front = "" if new.front == old.front else new.front or "39"
        back = "" if new.back == old.back else new.back or "49"
        ways.append([*added, front, back])
    return link + min((f"\x1b[{';'.join(filter(None, way))}m" for way in ways), key=len)


class Writer:
    """Gathers what is sent in one update; knows where the cursor is and how it writes."""

    def __init__(self) -> None:
        self._sent: list[str] = []
        self._look = PLAIN
        self._at: tuple[int, int] | None = None

    def row(self, y: int, shown: Sequence[Cell], wanted: Sequence[Cell]) -> None:
        """Turn a row that shows `shown` into `wanted`."""
        end = len(wanted)
        while end > 0 and wanted[end - 1] == BLANK:
            end -= 1
        x = 0
        while x < end:
            if shown[x] == wanted[x]:
                x += 1
                continue
            while x > 0 and not wanted[x].text and wanted[x].look:
                x -= 1
            x = self._run(y, x, end, shown, wanted)
        stale = [x for x in range(end, len(wanted)) if shown[x] != BLANK]
        if stale:
            self._blank(y, stale[0], stale[-1] + 1, len(wanted))

    def text(self) -> str:
        """Everything, with the terminal's own look at the end."""
        return "".join(self._sent) + between(self._look, PLAIN)

    def _run(self, y: int, x: int, end: int, shown: Sequence[Cell], wanted: Sequence[Cell]) -> int:
        """Send the cells from `x` on that differ without a gap; returns the column after them."""
        self._go(y, x, wanted)
        while x < end and (shown[x] != wanted[x] or not wanted[x].text):
            blanks = _blanks(wanted, x, end)
            if blanks >= _ERASED:
                self._turn(_look_for(BLANK, self._look))
                self._sent.append(f"\x1b[{blanks}X")
                return x + blanks
            if wanted[x].text:
                self._put(wanted[x])
            x += 1
        # At the right edge terminals differ in where the cursor is.
        self._at = (y, x) if x < len(wanted) else None
        return x

    def _blank(self, y: int, start: int, stop: int, width: int) -> None:
        """Make these cells blank; all to the right of them are."""
        self._go(y, start, ())
        self._turn(_look_for(BLANK, self._look))
        if stop - start <= len(_ERASE):
            self._sent.append(" " * (stop - start))
            self._at = (y, stop) if stop < width else None
        else:
            self._sent.append(_ERASE)

    def _put(self, cell: Cell) -> None:
        self._turn(_look_for(cell, self._look))
        self._sent.append(cell.text)

    def _turn(self, look: Look) -> None:
        self._sent.append(between(self._look, look))
        self._look = look

    def _go(self, y: int, x: int, wanted: Sequence[Cell]) -> None:
        """Move to a column: absolutely, so that a character of another width here and there shifts nothing else."""
        if self._at == (y, x):
            return
        if self._at is None or self._at[0] != y:
            self._sent.append(f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H")
        else:
            move = f"\x1b[{x + 1}G"
            again, look = self._again(wanted[self._at[1] : x])
            if 0 < len(again.encode()) <= len(move):
                self._sent.append(again)
                self._look = look
            else:
                self._sent.append(move)
        self._at = (y, x)

    def _again(self, cells: Sequence[Cell]) -> tuple[str, Look]:
        """The bytes of cells that are on the terminal already; none where they are too many or not known."""
        sent, look = "", self._look
        if not 0 < len(cells) <= _NEAR or any(cell.look is None for cell in cells) or not cells[0].text:
            return sent, look
        for cell in cells:
            before, look = look, _look_for(cell, look)
            sent += between(before, look) + cell.text
        return sent, look


def _look_for(cell: Cell, now: Look) -> Look:
    """The look to write a cell in: a blank's is often the one that is on."""
    wanted = cell.look or PLAIN
    return now if cell.text == " " and now.on_blank() == wanted else wanted


def _blanks(cells: Sequence[Cell], start: int, end: int) -> int:
    stop = start
    while stop < end and cells[stop] == BLANK:
        stop += 1
    return stop - start
