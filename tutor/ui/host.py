"""What the app offers to its screens: the view, the texts, and a way to send intents."""

from __future__ import annotations

from typing import Literal, Protocol

from tutor.core.events import Intent, Notice
from tutor.ui.ports import Material
from tutor.ui.view import View


class Host(Protocol):
    """The app, as its screens see it."""

    material: Material
    edit_command: str

    @property
    def view(self) -> View:
        """The newest view."""
        ...

    @property
    def told(self) -> tuple[Notice, ...]:
        """The newest notices, oldest first."""
        ...

    def send(self, intent: Intent) -> None:
        """Hand an intent to the session; a TutorError becomes a notice."""
        ...

    def tell(self, text: str, remedy: str = "", level: Literal["info", "warning", "error"] = "info") -> None:
        """Show a notice."""
        ...
