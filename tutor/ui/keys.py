"""Every action once: its keys, its words. Bindings, help, the key line and the command palette come from here."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from textual.binding import Binding

Group = Literal["go", "work", "look", "app"]


class Action(Struct, frozen=True):
    """One thing the learner can do. `name` is the Textual action, `keys` the first of which is shown."""

    name: str
    keys: tuple[str, ...]
    label: str
    text: str
    group: Group


ACTIONS = (
    Action("next", ("n", "f8"), "next", "go on to the next exercise", "go"),
    Action("previous", ("p",), "previous", "go back to the exercise before", "go"),
    Action("lessons", ("l", "f2"), "lessons", "show or hide the lesson list", "go"),
    Action("find", ("slash", "f3"), "find", "find an exercise by a word", "go"),
    Action("run", ("r", "f5"), "run", "build, check and measure now", "work"),
    Action("stop", ("k",), "stop", "end the run in progress", "work"),
    Action("edit", ("e", "f4"), "edit", "your editor, at the failing line", "work"),
    Action("hint", ("h", "f7"), "hint", "open a hint; again for one more", "work"),
    Action("diff", ("d", "f6"), "diff", "your file beside the solution", "work"),
    Action("compare", ("c",), "compare", "the diff, and both timed", "work"),
    Action("solution", ("s",), "solution", "show the solution", "work"),
    Action("reset", ("x",), "reset", "start over; your file is kept", "work"),
    Action("undo", ("u",), "undo", "bring back what reset replaced", "work"),
    Action("versions", ("v",), "versions", "kept versions; bring one back", "work"),
    Action("raw", ("o",), "output", "all that tools and checks said", "look"),
    Action("panel('task')", ("1",), "task", "the text of the exercise", "look"),
    Action("panel('build')", ("2",), "build", "errors on your own lines", "look"),
    Action("panel('checks')", ("3",), "checks", "each check and why it failed", "look"),
    Action("panel('speed')", ("4",), "speed", "bars against the baseline", "look"),
    Action("panel('references')", ("5",), "references", "references and findings", "look"),
    Action("roofline", ("b",), "roofline", "bandwidth: you and this machine", "look"),
    Action("zoom", ("z",), "zoom", "one panel fills the screen", "look"),
    Action("messages", ("m",), "messages", "notices and their remedies", "look"),
    Action("progress", ("g",), "progress", "every lesson as a bar", "go"),
    Action("machine", ("i",), "machine", "what is here and missing", "app"),
    Action("help", ("question_mark", "f1"), "help", "this page", "app"),
    Action("app.command_palette", ("ctrl+p", "colon"), "palette", "every action by name", "app"),
    Action("app.quit", ("q", "f10", "ctrl+c"), "quit", "leave; everything is saved", "app"),
)
_SHOWN = {"slash": "/", "question_mark": "?", "colon": ":"}
TABS = ("task", "build", "checks", "speed", "references")


def shown(key: str) -> str:
    """A key as it is printed on a keyboard."""
    return _SHOWN.get(key, key.upper() if key[0] == "f" and key[1:].isdigit() else key)


def bindings() -> list[Binding]:
    """All of them for the main screen; ctrl+p and ctrl+c are the app's own, so that they work everywhere."""
    return [
        Binding(",".join(k for k in action.keys if not k.startswith("ctrl")), action.name, action.text, show=False)
        for action in ACTIONS
    ]


def action(name: str) -> Action:
    """The action of a name. Raises StopIteration for one that does not exist."""
    return next(one for one in ACTIONS if one.name == name)
