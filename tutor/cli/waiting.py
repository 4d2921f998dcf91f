"""One line while the app is loaded: seconds on a cold network file system, during which nothing else could be seen."""

from __future__ import annotations

import os
import sys

_shown = False


def show(words: str) -> None:
    """Write `words` without an end of line, where somebody looks at a terminal."""
    global _shown
    try:
        if sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", ""):
            os.write(sys.stdout.fileno(), words.encode("ascii", "replace"))
            _shown = True
    except (OSError, ValueError, AttributeError):
        return


def clear() -> None:
    """Take the line away again; nothing where there is none."""
    global _shown
    if _shown:
        _shown = False
        os.write(sys.stdout.fileno(), b"\r\x1b[K")
