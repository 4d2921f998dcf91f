"""Find an exercise: words typed narrow the list, enter opens the one that is marked."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tutor.ui.screens.sheet import Sheet
from tutor.ui.view import View


class FindSheet(Sheet[str]):
    """Closes with the id of the chosen exercise."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "close", show=False),
        Binding("down", "move(1)", "down", show=False, priority=True),
        Binding("up", "move(-1)", "up", show=False, priority=True),
    ]

    def __init__(self, view: View) -> None:
        super().__init__("find an exercise", "type to narrow   up, down, enter opens   esc closes")
        self.view = view

    def content(self) -> list[Widget]:
        """The line to type on, and the list."""
        return [Input(placeholder="title, number, toolchain", id="words"), OptionList(id="found", markup=False)]

    def on_mount(self) -> None:
        """Everything, until something is typed."""
        self.query_one("#found").can_focus = False
        self._fill("")
        self.query_one(Input).focus()

    def _fill(self, words: str) -> None:
        found = self.query_one(OptionList)
        found.clear_options()
        passed = self.view.state.progress.passed
        for exercise in self.view.course.exercises:
            if exercise.matches(words):
                sign = self.view.glyphs.passed if exercise.id in passed else self.view.glyphs.pending
                line = Content.assemble(
                    f"{sign} {exercise.number:<5}", (exercise.title, "bold"), (f"  {exercise.technology}", "dim")
                )
                found.add_option(Option(line, id=exercise.id))
        if found.option_count:
            found.highlighted = 0
        else:
            found.add_option(Option("  nothing matches all of these words", disabled=True))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        self._fill(event.value)

    def on_input_submitted(self) -> None:
        """Enter."""
        found = self.query_one(OptionList)
        if found.highlighted is not None:
            self.dismiss(found.get_option_at_index(found.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        self.dismiss(event.option_id)

    def action_move(self, step: int) -> None:
        """Move the mark."""
        found = self.query_one(OptionList)
        if found.highlighted is not None:
            found.highlighted = max(0, min(found.highlighted + step, found.option_count - 1))
