"""The one place that asks addr2line, or llvm-symbolizer where that is missing, for lines of compiled code."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

SECONDS = 10


def symbol_lines(module: str, offsets: Sequence[str], *, functions: bool) -> list[str]:
    """What the tool prints for hexadecimal offsets into a module, inlined frames included.

    functions: a line with the name before each `file:line`; else a line with the address before each group.
    Empty where no tool is there, or it fails or takes too long.
    """
    if tool := shutil.which("addr2line"):
        words = [tool, *(["-f", "-C"] if functions else ["-a"])]
    elif tool := shutil.which("llvm-symbolizer"):
        shown = ["--functions=linkage", "-C"] if functions else ["-a", "--no-functions"]
        words = [tool, "--output-style=GNU", *shown]
    else:
        return []
    argv = [*words, "-i", "-e", module, *offsets]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines()


def split_place(text: str) -> tuple[str, int]:
    """(file, line) of `file:line (discriminator N)`; line 0 where the tool knows none."""
    file, _, line = text.partition(" ")[0].rpartition(":")
    return file, int(line) if line.isdigit() else 0
