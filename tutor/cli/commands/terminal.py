"""Commands about the machine and the shell: doctor, reset-terminal, completion."""

from __future__ import annotations

import sys
from argparse import Namespace


def doctor(arguments: Namespace) -> int:
    """What works here; 3 when something that a build needs is missing."""
    from tutor.cli.doctor import run_doctor

    return run_doctor(arguments)


def reset_terminal(arguments: Namespace) -> int:
    """Undo what a killed full-screen program left behind."""
    import contextlib
    import termios

    if not sys.stdout.isatty():
        print("mltutor: stdout is no terminal, nothing to repair", file=sys.stderr)
        return 0
    from tutor.ui.terminal import restore

    restore(sys.stdout.fileno())
    with contextlib.suppress(OSError, termios.error):
        _cook(sys.stdin.fileno())
    return 0


def _cook(descriptor: int) -> None:
    """Echo, line editing, signals from keys and newline translation back on."""
    import termios

    modes = termios.tcgetattr(descriptor)
    modes[0] |= termios.ICRNL | termios.IXON | termios.BRKINT
    modes[1] |= termios.OPOST | termios.ONLCR
    modes[3] |= termios.ECHO | termios.ECHOE | termios.ICANON | termios.ISIG | termios.IEXTEN
    termios.tcsetattr(descriptor, termios.TCSANOW, modes)


def completion(arguments: Namespace) -> int:
    """A script for the shell, made from the parser itself."""
    import shtab

    from tutor.cli.arguments import make_parser

    ids = "$(mltutor list --ids 2>/dev/null)"
    preamble = {
        "bash": f'_mltutor_exercises() {{ compgen -W "{ids}" -- "$1"; }}',
        "zsh": f'_mltutor_exercises() {{ compadd -- ${{(f)"{ids}"}}; }}',
    }
    print(shtab.complete(make_parser(), shell=arguments.shell, preamble=preamble))
    return 0
