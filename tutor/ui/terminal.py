"""What the terminal can do, and how to put it back in order when the app could not."""

from __future__ import annotations

import codecs
import contextlib
import locale
import os
import sys
from collections.abc import Mapping
from typing import Literal

from tutor.ui.glyphs import ASCII, UNICODE, Glyphs

# Alternate screen off, cursor on, every mouse mode off, bracketed paste, focus events, in-band resize and
# synchronised output off, line wrap on, kitty keyboard protocol popped, attributes reset.
_RESET = (
    "\x1b[?2026l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"
    "\x1b[?2004l\x1b[?1004l\x1b[?2048l\x1b[<u\x1b[?7h\x1b[?1049l\x1b[?25h\x1b[0m"
)


def reset_sequence() -> str:
    """The bytes that undo what a full-screen app does to a terminal; harmless on one that is in order."""
    return _RESET


def restore(fd: int = 2) -> None:
    """Write the reset sequence to `fd` when it is a terminal; silent when the terminal is gone."""
    with contextlib.suppress(OSError):
        if os.isatty(fd):
            os.write(fd, _RESET.encode("ascii"))


def speaks_utf8(environ: Mapping[str, str], encoding: str) -> bool:
    """True when the locale's encoding is UTF-8; the Linux console is taken at its word."""
    named = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    if named in ("C", "POSIX"):
        return False
    with contextlib.suppress(LookupError):
        return codecs.lookup(encoding).name == "utf-8"
    return False


def glyphs(environ: Mapping[str, str] | None = None) -> Glyphs:
    """The table of signs this terminal can show; `MLTUTOR_ASCII=1` forces the plain one."""
    environ = os.environ if environ is None else environ
    if environ.get("MLTUTOR_ASCII"):
        return ASCII
    encoding = getattr(sys.__stderr__, "encoding", None) or locale.getpreferredencoding(False)
    return UNICODE if speaks_utf8(environ, encoding) else ASCII


def animation_level(environ: Mapping[str, str] | None = None) -> Literal["none", "basic"]:
    """No animation over SSH, where a smooth scroll costs 50 KB; the learner's TEXTUAL_ANIMATIONS goes first."""
    environ = os.environ if environ is None else environ
    if environ.get("SSH_CONNECTION") or environ.get("TEXTUAL_ANIMATIONS", "").lower() == "none":
        return "none"
    return "basic"
