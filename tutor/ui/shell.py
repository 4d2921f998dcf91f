"""Ctrl+Z: to the shell that started the app, where there is one to come back from."""

from __future__ import annotations

import os

from tutor.ui.notices import TellingApp


class ShellApp(TellingApp, inherit_bindings=False):
    """An app that stops for its shell."""

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
