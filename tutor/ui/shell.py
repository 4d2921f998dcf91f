"""Where the app was started from: ctrl+z goes to the shell that waits, and a terminal that is gone ends the app."""

from __future__ import annotations

import os
import select
import signal
import sys

from tutor.ui.notices import TellingApp

_LOOKS = 1.0  # seconds between two looks whether the terminal is still there


class ShellApp(TellingApp, inherit_bindings=False):
    """An app that stops for its shell, and goes with its terminal."""

    def on_mount(self) -> None:
        """Watch the terminal, if that is what the keys come from."""
        if sys.__stdin__ is not None and sys.__stdin__.isatty():
            self.set_interval(_LOOKS, self._go_with_the_terminal)

    def _go_with_the_terminal(self) -> None:
        """Under docker, kubectl or setsid nobody sends the signal, and reading nothing for ever takes a whole core."""
        if has_hung_up():
            signal.raise_signal(signal.SIGHUP)

    def action_to_shell(self) -> None:
        """Until `fg`; where no shell waits nobody could ever let it go on."""
        if shell_waits():
            self.action_suspend_process()
        else:
            self.tell("no shell waits behind mltutor here, so it stays", "start it from a shell's prompt to use ctrl+z")


def shell_waits() -> bool:
    """True when this process was started by a shell with job control, which sees it stop and can let it go on."""
    parent = os.getppid()
    try:
        return os.getpgid(parent) != os.getpgrp() and os.getsid(parent) == os.getsid(0)
    except OSError:  # the parent has just died
        return False


def has_hung_up() -> bool:
    """True when the other end of the terminal is closed."""
    poll = select.poll()
    poll.register(0, 0)
    return any(mask & select.POLLHUP for _, mask in poll.poll(0))
