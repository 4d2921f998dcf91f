"""The command palette: every action of the key table by name."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import SystemCommand
from textual.screen import Screen

from tutor.ui.keys import ACTIONS, shown


def commands(screen: Screen[None]) -> Iterable[SystemCommand]:
    """One entry an action, run as if its key had been pressed on `screen`."""
    for action in ACTIONS:
        if action.name == "app.command_palette":
            continue

        async def call(name: str = action.name) -> None:
            await screen.run_action(name)

        yield SystemCommand(f"{action.label.capitalize()} ({shown(action.keys[0])})", action.text, call)
