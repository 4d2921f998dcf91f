"""Only what differs is sent, and the terminal shows the same as if everything were."""

from __future__ import annotations

import io
import os
import pty
import random
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyte
import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tutor.ui.painted import Painted

WIDTH, HEIGHT = 40, 8
WORDS = ["check", "  ", " " * 14, "é", "世界", "✓", "a", " ", "leak"]
STYLES = [
    None,
    Style(),
    Style(bold=True, color="red"),
    Style(color="color(39)"),
    Style(bgcolor="color(49)"),
    Style(color="#274931", bgcolor="#310027"),
    Style(reverse=True),
    Style(underline=True, color="cyan"),
    Style(dim=True, color="default", bgcolor="default"),
]


def a_strip(chance: random.Random, width: int) -> Strip:
    segments: list[Segment] = []
    while sum(one.cell_length for one in segments) < width:
        segments.append(Segment(chance.choice(WORDS), chance.choice(STYLES)))
    return Strip(segments).crop(0, width)


def console(system: str) -> Console:
    return Console(file=io.StringIO(), color_system=system, force_terminal=True, width=WIDTH)  # type: ignore[arg-type]


def shown(screen: pyte.Screen) -> list[list[object]]:
    """What can be seen of each cell: of a plain blank only its background."""
    return [[_seen(screen.buffer[y][x]) for x in range(WIDTH)] for y in range(HEIGHT)]


def _seen(cell: pyte.screens.Char) -> object:
    if cell.data == " " and not (cell.reverse or cell.underscore):
        return (" ", cell.bg)
    return cell


@pytest.mark.parametrize("system", ["standard", "256", "truecolor"])
@pytest.mark.parametrize("seed", range(8))
def test_a_terminal_shows_the_same_after_sparse_updates(system: str, seed: int) -> None:
    chance, painted = random.Random(seed), Painted()
    whole, sparse = (pyte.Screen(WIDTH, HEIGHT) for _ in range(2))
    whole_stream, sparse_stream = pyte.Stream(whole), pyte.Stream(sparse)
    lines = [a_strip(chance, WIDTH) for _ in range(HEIGHT)]
    out = console(system)
    for step in range(40):
        if step == 20:
            painted.forget()
        for y in chance.sample(range(HEIGHT), chance.randint(0, 3)):
            keep = chance.randrange(WIDTH)
            lines[y] = Strip.join([lines[y].crop(0, keep), a_strip(chance, WIDTH - keep)])
        update = LayoutUpdate([[line.crop(0, 13), line.crop(13, WIDTH)] for line in lines], Region(0, 0, WIDTH, HEIGHT))
        whole_stream.feed(update.render_segments(out))
        sparse_stream.feed(painted.changes(update, WIDTH, out))
        assert shown(sparse) == shown(whole), f"step {step}"


def one_line(*parts: tuple[str, Style | None]) -> LayoutUpdate:
    line = Strip([Segment(text, style) for text, style in parts]).adjust_cell_length(WIDTH)
    return LayoutUpdate([[line]], Region(0, 0, WIDTH, 1))


def sent(*updates: LayoutUpdate) -> str:
    """What the last of some updates sends."""
    painted, out = Painted(), console("256")
    return [painted.changes(update, WIDTH, out) for update in updates][-1]


def test_what_is_shown_already_costs_nothing() -> None:
    painted, out = Painted(), console("256")
    line = Strip([Segment("checks ", Style(bold=True)), Segment("4/6" + " " * 30, Style(color="green"))])
    update = LayoutUpdate([[line]], Region(0, 0, WIDTH, 1))
    assert "checks" in painted.changes(update, WIDTH, out)
    assert painted.changes(update, WIDTH, out) == ""
    changed = Strip([Segment("checks ", Style(bold=True)), Segment("5/6" + " " * 30, Style(color="green"))])
    chops = ChopsUpdate([{0: changed}], [(0, 0, WIDTH)], [[WIDTH]])
    assert painted.changes(chops, WIDTH, out) == "\x1b[1;8H\x1b[32m5\x1b[m"
    painted.forget()
    assert "checks" in painted.changes(chops, WIDTH, out)


def test_a_mark_belongs_to_its_character_and_half_a_wide_one_is_never_sent() -> None:
    plain, marked = one_line(("cafe 世界", None)), one_line(("cafe\u0301 世界", None))
    assert sent(marked) == "\x1b[1Hcafe\u0301 世界\x1b[K"
    assert sent(plain, marked) == "\x1b[1;4He\u0301"
    assert sent(marked, one_line(("cafe\u0301 世人", None))) == "\x1b[1;8H人"


def test_looks_are_changed_by_the_fewest_codes() -> None:
    red, bold_red, dim = Style(color="red"), Style(color="red", bold=True), Style(dim=True)
    empty = one_line(("", None))
    assert sent(empty, one_line(("a", red), ("b", bold_red))) == "\x1b[1H\x1b[31ma\x1b[1mb\x1b[m"
    assert sent(empty, one_line(("a", bold_red), ("b", dim))) == "\x1b[1H\x1b[1;31ma\x1b[0;2mb\x1b[m"
    assert sent(empty, one_line(("a", red), ("b", Style(color="green")))) == "\x1b[1H\x1b[31ma\x1b[32mb\x1b[m"


def test_what_lies_between_two_changes_is_sent_again_where_that_is_shorter_than_a_move() -> None:
    assert sent(one_line(("1 of 3", None)), one_line(("2 of 4", None))) == "\x1b[1H2 of 4"
    far = "1 of the many checks that are there: 3"
    assert sent(one_line((far, None)), one_line((far.replace("1", "2").replace("3", "4"), None))) == (
        "\x1b[1H2\x1b[38G4"
    )
    coloured = one_line(("1", None), ("of", Style(color="red")), ("3", None))
    assert sent(coloured, one_line(("2", None), ("of", Style(color="red")), ("4", None))) == "\x1b[1H2\x1b[4G4"


def test_many_blanks_are_erased_and_few_are_sent() -> None:
    assert sent(one_line(("x" * 30 + "yz", None)), one_line((" " * 30 + "yz", None))) == "\x1b[1H\x1b[30X"
    assert sent(one_line(("x" * 30, None)), one_line(("x" * 20, None))) == "\x1b[1;21H\x1b[K"
    assert sent(one_line(("x" * 30, None)), one_line(("x" * 29, None))) == "\x1b[1;30H "


def test_a_link_is_opened_and_closed() -> None:
    linked = one_line(("see ", None), ("here", Style(link="https://example.org")), (" now", None))
    assert sent(linked) == "\x1b[1Hsee \x1b]8;;https://example.org\x1b\\here\x1b]8;;\x1b\\ now\x1b[K"


class Demo:
    """The demonstration app on a terminal of 80x24, its screen kept by pyte."""

    def __init__(self, folder: Path) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        words = [sys.executable, str(Path(__file__).parent / "demo.py"), "failing", str(folder)]
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        environment.pop("COLORTERM", None)
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)

    def read(self, quiet: float = 1.0) -> int:
        """Feed the screen until nothing has come for `quiet` seconds; returns the bytes read."""
        count = 0
        while select.select([self.master], [], [], quiet)[0]:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:  # how Linux says that nobody holds the other end any more
                break
            count += len(data)
            self._stream.feed(data)
        return count

    def press(self, keys: bytes) -> int:
        os.write(self.master, keys)
        return self.read()

    def shows(self, words: str) -> None:
        """Wait until they are on the screen."""
        deadline = time.monotonic() + 60
        while words not in "\n".join(self.screen.display):
            self.read(0.3)
            assert time.monotonic() < deadline, "\n".join(self.screen.display)

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.1)
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_the_app_ends_with_a_terminal_that_goes_without_a_signal(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    try:
        demo.shows("FAIL")
        os.close(demo.master)
        assert demo.process.wait(30) == 128 + signal.SIGHUP
    finally:
        demo.process.kill()
        demo.process.wait()


def test_the_real_app_leaves_nothing_behind_on_the_terminal_and_sends_little(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    try:
        demo.shows("FAIL")
        demo.read()
        assert demo.read(2.0) == 0, "an idle app sends nothing"
        verdicts = []
        for keys in (b"3", b"r", b"5", b"r", b"2", b"?", b"\x1b", b"h", b"\x1b", b"r", b"4", b"1"):
            count = demo.press(keys)
            if keys == b"r":
                verdicts.append(count)
            before = demo.screen.display[:]
            demo.press(b"\x0c")
            assert demo.screen.display == before, f"after {keys!r} the terminal did not show what the app drew"
        assert max(verdicts) < 4096, verdicts
    finally:
        demo.close()


def test_after_a_stop_and_fg_the_whole_screen_comes_back(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    try:
        demo.shows("FAIL")
        demo.read()
        before = demo.screen.display[:]
        demo.process.send_signal(signal.SIGTSTP)
        os.waitid(os.P_PID, demo.process.pid, os.WSTOPPED | os.WNOWAIT)
        demo.read(0.3)
        demo.screen.erase_in_display(2)  # the shell has been at work
        demo.process.send_signal(signal.SIGCONT)
        demo.read()
        assert demo.screen.display == before
    finally:
        demo.close()
