"""The base of what opens over the main screen: a framed sheet with a title, closed by escape or q."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from tutor.ui.view import View

Result = TypeVar("Result")


class Sheet(ModalScreen[Result | None]):
    """Subclasses yield their content; `keys` is the line at the bottom."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "close", "close", show=False)]

    def __init__(self, title: str, keys: str = "esc closes") -> None:
        super().__init__()
        self.sheet_title, self.keys = title, keys

    def compose(self) -> ComposeResult:
        """The frame around the content."""
        frame = Vertical(*self.content(), Static(self.keys, markup=False, classes="sheet-keys"), classes="sheet")
        frame.border_title = self.sheet_title.replace("[", r"\[")
        yield frame

    def content(self) -> list[Widget]:
        """What is inside the frame."""
        return []

    def show(self, view: View) -> None:
        """A new view; most sheets show what they were opened with."""

    def action_close(self) -> None:
        """Close without a result."""
        self.dismiss(None)
