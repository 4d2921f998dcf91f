"""A question before something that can't simply be taken back."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from tutor.ui.screens.sheet import Sheet


class Confirm(Sheet[bool]):
    """y or enter says yes; n, escape and q say no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "yes", show=False),
        Binding("n,escape,q", "answer(False)", "no", show=False),
    ]

    def __init__(self, title: str, question: str) -> None:
        super().__init__(title, "y yes   n no")
        self.question = question
        self.add_class("-small")

    def content(self) -> list[Widget]:
        """The question."""
        return [Static(self.question + "\n", markup=False)]

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)
