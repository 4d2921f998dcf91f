"""The main screen: lessons, task and panels side by side where there is room, one of them at a time where not."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.widget import Widget

from tutor.core.exercise import Course, Stage
from tutor.ui.actions import ExerciseActions
from tutor.ui.host import Host
from tutor.ui.keys import ACTIONS, TABS, bindings, shown
from tutor.ui.typeset import Part
from tutor.ui.view import View
from tutor.ui.widgets.bars import Bar, title
from tutor.ui.widgets.build import BuildPanel
from tutor.ui.widgets.checks import ChecksPanel
from tutor.ui.widgets.lessons import LessonTree
from tutor.ui.widgets.panel import Panel
from tutor.ui.widgets.references import ReferencesPanel
from tutor.ui.widgets.speed import SpeedPanel
from tutor.ui.widgets.status import StatusLine
from tutor.ui.widgets.task import TaskPanel
from tutor.ui.widgets.verdict import VerdictBanner

WIDE = 120


class MainScreen(ExerciseActions):
    """Everything the learner sees most of the time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(),
        Binding("tab", "cycle(1)", "next panel", show=False),
        Binding("shift+tab", "cycle(-1)", "panel before", show=False),
    ]
    AUTO_FOCUS = "#task"

    def __init__(self, host: Host, course: Course) -> None:
        super().__init__()
        self.host = host
        self.course = course
        self.zoomed = False
        self.lessons_hidden = False
        self.tab = "task"
        # Held here, not looked up: a tick may still come while the screen is being taken down.
        self.lessons, self.reading = LessonTree(course, id="lessons"), TaskPanel(id="task")
        self.panels: dict[str, Panel] = {
            "build": BuildPanel("build"),
            "checks": ChecksPanel("checks"),
            "speed": SpeedPanel("speed"),
            "references": ReferencesPanel("references"),
        }
        self.column = Vertical(*self.panels.values(), id="panels")
        self.columns = Horizontal(id="columns")
        self.top, self.tab_bar, self.key_bar = (
            Bar(name, host.view.glyphs.ellipsis) for name in ("title", "tabs", "keys")
        )
        self.verdict, self.status = VerdictBanner("verdict"), StatusLine("status")

    def compose(self) -> ComposeResult:
        """Title, tabs, columns, verdict, status, keys."""
        # Before there is anything below: a class that changes later has every widget styled again.
        self._choose(self.app.size.width, self.app.size.height)
        yield self.top
        yield self.tab_bar
        with self.columns:
            yield from (part for part in self._parts() if part.display)
        yield self.verdict
        yield self.status
        yield self.key_bar

    def on_mount(self) -> None:
        """The layout of the terminal's size before the first paint: else the other one flashes up."""
        self.lay_out(self.app.size.width, self.app.size.height)
        if (exercise := self.host.view.exercise) is not None:
            self.reading.announce(exercise)
        self.call_after_refresh(self._mount_rest)

    def _parts(self) -> tuple[Widget, ...]:
        return self.lessons, self.reading, self.column

    async def _mount_rest(self) -> None:
        """What is not seen at first, a third of the time to the first frame: behind it, when nobody waits."""
        if all(part.is_attached for part in self._parts()):
            return
        with self.app.batch_update():
            for place, part in enumerate(self._parts()):
                if not part.is_attached:
                    await self.columns.mount(part, before=place if place < len(self.columns.children) else None)
        # The terminal may have got another size meanwhile: what is laid out in a batch is not painted.
        self.lay_out(self.app.size.width, self.app.size.height)
        self.refresh(layout=True)

    def on_resize(self, event: Resize) -> None:
        """Choose the layout for the new size."""
        self.lay_out(event.size.width, event.size.height)

    def lay_out(self, width: int, height: int) -> None:
        """Tabs on a narrow screen or when zoomed; thin lines go first where there are few rows."""
        self._choose(width, height)
        self.show(self.host.view)

    def _choose(self, width: int, height: int) -> None:
        tabs = self.zoomed or width < WIDE
        self.set_class(tabs, "-tabs")
        self.set_class(height < 10, "-tiny")
        self.set_class(10 <= height < 16, "-short")
        self.lessons.display = not self.lessons_hidden if not tabs else self.tab == "lessons"
        self.reading.display = not tabs or self.tab == "task"
        self.column.display = not tabs or self.tab in self.panels
        for name, panel in self.panels.items():
            panel.display = not tabs or self.tab == name

    def show(self, view: View) -> None:
        """Pass a new view on; each part decides whether it must draw."""
        for panel in self.panels.values():
            panel.show(view)
        self.lessons.show(view)
        self.verdict.show(view)
        self.status.show(view)
        width = self.app.size.width  # the screen's own is known after the first frame only
        self.top.put(*title(view, width))
        self.tab_bar.put(self._tab_parts(view, width))
        self.key_bar.put(_key_parts(view, width))

    def follow(self, stage: Stage) -> None:
        """A verdict is there: on a narrow screen turn to the panel that says why, unless the task is being read."""
        there = {"build": "build", "check": "checks", "diagnose": "checks", "bench": "speed"}[stage]
        if self.has_class("-tabs") and self.tab in ("build", "checks", "speed") and self.tab != there:
            self.switch(there)

    def tick(self, view: View) -> None:
        """Only the elapsed time has moved on."""
        self.status.show(view)
        self.panels["checks"].show(view)

    def _tab_parts(self, view: View, width: int) -> list[Part]:
        parts: list[Part] = []
        roomy = width >= 76
        for number, name in enumerate(TABS, 1):
            here = name == self.tab
            panel = self.panels.get(name)
            badge = panel.badge(view) if panel else ("", "")
            word = panel.TITLE if panel else self.reading.TITLE
            label = f" {number} {word} " if roomy or here else f" {number} "
            parts.append((label, "reverse bold" if here else ""))
            parts.append((f"{badge[0]} " if badge[0] else "", badge[1]))
            parts.append((" ", ""))
        return parts

    def switch(self, name: str) -> None:
        """Bring a panel to the front and focus it."""
        self.tab = name
        self.lay_out(self.size.width, self.size.height)
        target = {"lessons": self.lessons, "task": self.reading, **self.panels}[name]
        if target.display and target.is_attached:
            self.set_focus(target)

    def action_cycle(self, step: int) -> None:
        """The next panel: on a narrow screen, where one of them is seen at a time, it comes to the front."""
        if self.has_class("-tabs"):
            place = TABS.index(self.tab) + step if self.tab in TABS else 0
            self.switch(TABS[place % len(TABS)])
        elif step > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def focused_name(self) -> str:
        """The id of the panel that has the focus, or the tab's."""
        focused: Widget | None = self.focused
        return focused.id if focused is not None and focused.id else self.tab


def _key_parts(view: View, width: int) -> list[Part]:
    """The keys that matter now; those that don't fit are left out, help and quit stay.

    Each keeps its place, so that eyes and bytes over SSH are spared: after a pass `next` only lights up.
    """
    verdict = view.run.judged if view.run else None
    names = ["run", "edit", "hint", "diff", "next", "lessons", "find"]
    passed = verdict is not None and verdict.passed
    if view.running:
        names[0:1] = ["stop"]
    by_name = {action.name: action for action in ACTIONS}
    words = {name: f" {by_name[name].label:4}  " for name in (*names, "help", "app.quit")}
    while names and sum(len(words[name]) + 1 for name in (*names, "help", "app.quit")) > width:
        names.pop()
    parts: list[Part] = []
    for name in (*names, "help", "app.quit"):
        lit = "bold" if name == "next" and passed else "dim"
        parts += [(shown(by_name[name].keys[0]), "bold $accent"), (words[name], lit)]
    # No space after the last: on a narrow screen it would cost a letter.
    return [*parts[:-1], (parts[-1][0].rstrip(), parts[-1][1])]
