"""What every command needs: the course, the exercise that is meant, the workspace, and the store."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from functools import cached_property
from pathlib import Path

from tutor.cli.output import Output, interactive
from tutor.content.lookup import find_exercise
from tutor.content.remembered import remembered_survey
from tutor.content.resources import checkout_root
from tutor.content.workspace import Workspace, default_root
from tutor.core.errors import ContentError, UsageError
from tutor.core.exercise import Course, Exercise
from tutor.core.progress import Progress
from tutor.store.home import Home
from tutor.store.progress import ProgressStore

_TOLD = 3  # malformed lesson files named on stderr before the rest is only counted


class Context:
    """The arguments of one call and what they stand for. Everything is read on first use."""

    def __init__(self, arguments: Namespace) -> None:
        self.arguments = arguments
        self.output = Output.make(arguments.json, arguments.plain)
        self.home = Home.locate()
        self.problems: tuple[ContentError, ...] = ()

    @cached_property
    def course(self) -> Course:
        """All exercises that can be read; the others are named on stderr."""
        root = self.arguments.lessons
        course, self.problems = remembered_survey(Path(root).absolute() if root else None, self.home.cache)
        for problem in self.problems[:_TOLD]:
            print(f"mltutor: {problem.message}" + (f" ({problem.remedy})" if problem.remedy else ""), file=sys.stderr)
        if len(self.problems) > _TOLD:
            more = len(self.problems) - _TOLD
            print(f"mltutor: {more} more such problems; `mltutor verify --json` lists all", file=sys.stderr)
        if not course.exercises:
            raise self.problems[0]
        return course

    @cached_property
    def workspace(self) -> Workspace:
        """The learner's workspace, not necessarily there yet."""
        chosen = self.arguments.workspace
        return Workspace(Path(chosen).expanduser() if chosen else default_root(checkout_root(), os.environ))

    @cached_property
    def launcher(self) -> tuple[str, ...]:
        """The words in front of every worker process."""
        try:
            return tuple(shlex.split(self.arguments.launcher))
        except ValueError as error:
            raise UsageError(f"--launcher: {error}", "quote it as a shell would") from error

    @cached_property
    def progress(self) -> Progress:
        """Progress as it is on disk; what was wrong with the file goes to stderr."""
        progress, notices = ProgressStore(self.home.progress).load()
        for notice in notices:
            print(f"mltutor: {notice.text}" + (f" ({notice.remedy})" if notice.remedy else ""), file=sys.stderr)
        return progress

    def exercise(self) -> Exercise:
        """The exercise that is named, else that of the current folder, else the current one, else the next."""
        text = self.arguments.exercise
        if text:
            return find_exercise(self.course, text, self.workspace.root)
        return self.here() or self.course.find(self.progress.current) or self.next() or self.course.exercises[0]

    def here(self) -> Exercise | None:
        """The exercise of the folder one is in; None outside the workspace. Raises UsageError for another folder."""
        # The current folder is known without symbolic links, the workspace as it was named.
        folder, named = Path.cwd(), self.workspace.root
        root = next((root for root in (named, named.resolve()) if folder.is_relative_to(root) and folder != root), None)
        return find_exercise(self.course, str(named / folder.relative_to(root)), named) if root is not None else None

    def next(self) -> Exercise | None:
        """The first exercise in reading order that has not passed; None when all have."""
        return next((e for e in self.course.exercises if e.id not in self.progress.passed), None)

    def shown(self, path: Path) -> str:
        """A path as short as it can be told: relative to the current folder where it lies below it."""
        return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

    def confirm(self, question: str) -> None:
        """Ask unless --yes. Raises UsageError when the answer is no, or when nobody can be asked."""
        if self.arguments.yes:
            return
        if not interactive():
            raise UsageError(question, "nobody can be asked here: say --yes")
        if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise UsageError("nothing was done")
