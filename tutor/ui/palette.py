"""The command palette: every action of the key table by name."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import SystemCommand
from textual.screen import Screen

from tutor.ui.keys import ACTIONS, shown

# Bound by the app itself, and named in the last line of the help.
_OF_THE_APP = (
    ("redraw", "ctrl+l", "draw everything again"),
    ("to_shell", "ctrl+z", "go to the shell; fg comes back"),
)


def commands(screen: Screen[None]) -> Iterable[SystemCommand]:
    """One entry an action, run as if its key had been pressed on `screen`."""
    for action in ACTIONS:
        if action.name == "app.command_palette":
            continue

        async def call(name: str = action.name) -> None:
            await screen.run_action(name)

        yield SystemCommand(f"{action.label.capitalize()} ({shown(action.keys[0])})", action.text, call)
    for name, key, text in _OF_THE_APP:

        async def call_app(name: str = name) -> None:
            await screen.run_action(f"app.{name}")

        yield SystemCommand(f"{name.replace('_', ' ').capitalize()} ({key})", text, call_app)
