"""What the app costs a terminal: bytes for a verdict, bytes when idle, and the first paint against a bare Textual app.

    python -m benchmarks.terminal_cost [--rounds 7] [--exercises capi-refs,cpp-view,...] [--json FILE]

Both apps run on a pseudo-terminal of 80x24. First paint is the time from the start of the process until text is on the
screen; the two take turns. Before it mltutor writes one line, measured apart. The verdicts are those of a fault
and of the solution of each exercise, really built and checked.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.content.sources import faulted_files, solution_files
from tutor.content.workspace import Workspace
from tutor.core.stats import paired_ratio

ROWS, COLUMNS = 24, 80
# Without compiled modules, which any installation has, a start is twice as slow.
_LEFT_OUT = ("COLORTERM", "NO_COLOR", "PYTHONDONTWRITEBYTECODE")
BARE = """
from textual.app import App
from textual.widgets import Static

class Bare(App):
    def compose(self):
        yield Static("bare")

Bare(ansi_color=True).run()
"""


class Screen:
    """A program on a pseudo-terminal."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self.started = time.perf_counter()
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (ROWS, COLUMNS))
        inherited = {k: v for k, v in os.environ.items() if k not in _LEFT_OUT}
        inherited |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}
        self._process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=inherited | environment, start_new_session=True
        )
        os.close(slave)

    def read(self, seconds: float) -> bytes:
        """What arrives within `seconds`; returns at once when something does."""
        if not select.select([self._master], [], [], seconds)[0]:
            return b""
        try:
            return os.read(self._master, 1 << 16)
        except OSError:
            return b""

    def until(self, text: bytes, seconds: float = 120.0) -> tuple[float, int]:
        """Seconds since the start, and bytes from now, until `text` has come. Raises TimeoutError."""
        seen, deadline = b"", time.perf_counter() + seconds
        while text not in seen:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{text!r} did not come: {seen[-500:]!r}")
            seen += self.read(0.5)
        return time.perf_counter() - self.started, len(seen)

    def drain(self, quiet: float, limit: float = 120.0) -> int:
        """Bytes until nothing has come for `quiet` seconds."""
        count, deadline = 0, time.perf_counter() + limit
        while (data := self.read(quiet)) and time.perf_counter() < deadline:
            count += len(data)
        return count

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._master, keys)

    def close(self) -> None:
        """End it, by force when it must be."""
        self._process.send_signal(signal.SIGTERM)
        deadline = time.perf_counter() + 20
        while self._process.poll() is None and time.perf_counter() < deadline:
            self.read(0.1)
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@contextmanager
def screen(words: list[str], **environment: str):  # type: ignore[no-untyped-def]
    """A program that is ended at the end."""
    made = Screen(words, environment)
    try:
        yield made
    finally:
        made.close()


def first_paint(words: list[str], text: bytes, environment: dict[str, str]) -> float:
    """Seconds from the start of the process until `text` is drawn."""
    with screen(words, **environment) as app:
        seconds: float = app.until(text)[0]
        return seconds


def verdict_bytes(name: str, folder: Path, rounds: int) -> dict[str, list[int]]:
    """Bytes from a save until nothing more comes, for a fault and for right code, and of an idle app."""
    exercise = find_exercise(load_course(), name, None)
    workspace = Workspace(folder / name)
    comment = "#" if exercise.main_file.endswith((".py", ".pyx")) else "//"
    workspace.start(exercise)
    file = workspace.folder(exercise) / exercise.main_file
    texts = {
        "fail": faulted_files(exercise, exercise.faults[0])[exercise.main_file],
        "pass": solution_files(exercise)[exercise.main_file],
    }
    counts: dict[str, list[int]] = {"fail": [], "pass": [], "idle": []}
    words = [sys.executable, "-m", "tutor.cli.main", "start", name, "--workspace", str(workspace.root)]
    with screen(words, MLTUTOR_HOME=str(folder / "home")) as app:
        app.until(exercise.title.split()[0].encode())
        app.drain(20.0, 300.0)  # the starter's verdict, and most of what is prepared in the background
        app.press(b"\r")  # the page of the first start
        app.drain(1.0)
        app.press(b"3")
        app.drain(1.0)
        for number in range(rounds):
            for kind, text in texts.items():
                file.write_bytes(text + f"\n{comment} {number}\n".encode())
                counts[kind].append(app.drain(6.0))
        app.drain(20.0, 300.0)  # what is prepared in the background is told, and that is not idle
        counts["idle"].append(app.drain(10.0, 10.0))
    return counts


def main() -> None:
    """Measure, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--exercises", default="capi-refs,cpp-view,ct-layout,cy-decay,rs-bpe")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "terminal_cost.json")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mltutor-bench-"))
    try:
        bare, ours, words = [], [], []
        app = [sys.executable, "-m", "tutor.cli.main", "start", "--workspace", str(folder / "first")]
        for _ in range(args.rounds):
            bare.append(first_paint([sys.executable, "-c", BARE], b"bare", {}))
            home = {"MLTUTOR_HOME": str(folder / "first-home")}
            words.append(first_paint(app, b"is starting", home))
            ours.append(first_paint(app, b"Task", home))
        counts = {name: verdict_bytes(name, folder, 3) for name in args.exercises.split(",")}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratio = paired_ratio(bare, ours)
    report(bare, ours, ratio.value, counts, print)
    print(f"first words (`mltutor is starting`): {median(words):.2f} s")
    document = {"schema": 2, "bare_s": bare, "mltutor_s": ours, "first_paint_ratio": ratio.value, "bytes": counts}
    document["words_s"] = words
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def report(
    bare: list[float],
    ours: list[float],
    ratio: float,
    counts: dict[str, dict[str, list[int]]],
    say: Callable[[str], None],
) -> None:
    """The figures as lines."""
    say(f"first paint: {median(ours):.2f} s, a bare Textual app {median(bare):.2f} s, ratio {ratio:.2f}")
    for name, kinds in counts.items():
        for kind, values in kinds.items():
            say(f"{name}, {kind}: {', '.join(map(str, values))} bytes")


if __name__ == "__main__":
    main()
