"""The lesson tree: every lesson with its exercises, what has passed, what is open."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from tutor.core.exercise import Course, Exercise, Lesson
from tutor.core.progress import Progress
from tutor.ui.glyphs import UNICODE
from tutor.ui.typeset import fit, pad
from tutor.ui.view import View

Entry = Lesson | Exercise


class LessonTree(Tree[Entry]):
    """Left column of a wide screen; on a narrow one it takes the place of the panels while it is open."""

    class Chosen(Message):
        """The learner picked an exercise."""

        def __init__(self, exercise: str) -> None:
            super().__init__()
            self.exercise = exercise

    def __init__(self, course: Course, id: str) -> None:
        super().__init__(Text("lessons"), id=id, classes="panel")
        self.show_root, self.show_guides, self.guide_depth = False, False, 2
        self.auto_expand = True
        self.border_title = "Lessons"
        self._course = course
        self._progress = Progress()
        self._current = ""
        self._glyphs = UNICODE

    def on_mount(self) -> None:
        """Fill in the course. A label that is not a Text yet would be read as markup, with a table of all emoji."""
        for lesson in self._course.lessons:
            branch = self.root.add(Text(lesson.title), lesson, expand=True)
            for exercise in lesson.exercises:
                branch.add_leaf(Text(exercise.title), exercise)
        self._follow()

    def show(self, view: View) -> None:
        """Mark what has passed and where the learner is; draws only on a difference."""
        current = view.exercise.id if view.exercise else ""
        passed = view.state.progress.passed
        if (passed, current, view.glyphs) == (self._progress.passed, self._current, self._glyphs):
            return
        moved = current != self._current
        self._progress, self._current, self._glyphs = view.state.progress, current, view.glyphs
        if moved:
            self._follow()
        self._invalidate()
        self.refresh()

    def _follow(self) -> None:
        """Bring the cursor to where the learner is, once the tree is filled."""
        node = self._node(self._current)
        if node is not None:
            if node.parent is not None:
                node.parent.expand()
            self.call_after_refresh(self._mark, node)

    def on_show(self) -> None:
        """What was marked while there was no room for it is brought into sight."""
        self._follow()

    def _mark(self, node: TreeNode[Entry]) -> None:
        self.move_cursor(node)
        if node.parent is not None and node.parent.line >= 0:
            # With its lesson above it: a list that begins in the middle says not where.
            self.scroll_to_line(node.parent.line, animate=False)
            self.scroll_to_line(node.line, animate=False)

    def _node(self, exercise: str) -> TreeNode[Entry] | None:
        for branch in self.root.children:
            for leaf in branch.children:
                if isinstance(leaf.data, Exercise) and leaf.data.id == exercise:
                    return leaf
        return None

    def render_label(self, node: TreeNode[Entry], base_style: Style, style: Style) -> Text:
        """A lesson with its count, or an exercise with its sign."""
        entry = node.data
        if isinstance(entry, Lesson):
            return self._lesson(entry, node.is_expanded, style)
        if isinstance(entry, Exercise):
            return self._exercise(entry, style)
        return Text(style=style)

    def _lesson(self, lesson: Lesson, expanded: bool, style: Style) -> Text:
        done = sum(one.id in self._progress.passed for one in lesson.exercises)
        sign = self._glyphs.open if expanded else self._glyphs.closed
        count = f" {done}/{len(lesson.exercises)}"
        room = self.scrollable_content_region.width - len(count) - 1
        text = Text(pad(fit(f"{sign} {lesson.number} {lesson.title}", room, self._glyphs.ellipsis), room), style=style)
        text.stylize(Style(bold=True))
        return text.append(count, Style(color="green") if done == len(lesson.exercises) else Style(dim=True))

    def _exercise(self, exercise: Exercise, style: Style) -> Text:
        sign, colour = self._glyphs.pending, ""
        if exercise.id in self._progress.passed:
            sign, colour = self._glyphs.passed, "green"
        here = exercise.id == self._current
        text = Text(no_wrap=True, style=style)
        text.append(f"{self._glyphs.here if here else ' '} ", "cyan" if here else "")
        text.append(f"{sign} ", colour)
        title = fit(exercise.title, self.scrollable_content_region.width - 7, self._glyphs.ellipsis)
        return text.append(title, Style(bold=here))

    def on_tree_node_selected(self, event: Tree.NodeSelected[Entry]) -> None:
        """Enter or a click on an exercise opens it."""
        event.stop()
        if isinstance(event.node.data, Exercise):
            self.post_message(self.Chosen(event.node.data.id))
