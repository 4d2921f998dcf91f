"""The course's texts and the learner's files, read from tutor.content; every call may touch the disk."""

from __future__ import annotations

from pathlib import Path

from tutor.core.exercise import Exercise
from tutor.core.versions import Version


class CourseMaterial:
    """Imports tutor.content at first use, in the thread that asks, to keep the first paint fast."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def readme(self, exercise: Exercise) -> str:
        """The task, as Markdown."""
        from tutor.content import texts

        return texts.readme(exercise)

    def hints(self, exercise: Exercise) -> tuple[str, ...]:
        """The ladder of hints, as Markdown."""
        from tutor.content import texts

        return texts.hints(exercise)

    def solution(self, exercise: Exercise) -> dict[str, bytes]:
        """The reference's version of the files that the learner edits."""
        from tutor.content import sources

        return {name: data for name, data in sources.solution_files(exercise).items() if name in exercise.files}

    def starter(self, exercise: Exercise) -> dict[str, bytes]:
        """The files as the learner got them."""
        from tutor.content import sources

        return {name: data for name, data in sources.starter_files(exercise).items() if name in exercise.files}

    def learner(self, exercise: Exercise) -> dict[str, bytes]:
        """The files as they are now; a missing or unreadable one is left out, a huge one is cut."""
        found: dict[str, bytes] = {}
        for name in exercise.files:
            try:
                with self.path(exercise, name).open("rb") as file:
                    found[name] = file.read(1 << 20)
            except OSError:
                continue
        return found

    def versions(self, exercise: Exercise) -> tuple[Version, ...]:
        """Every kept version, oldest first."""
        from tutor.content.workspace import Workspace

        return Workspace(self.workspace).versions(exercise)

    def path(self, exercise: Exercise, name: str) -> Path:
        """Where a learner's file lies."""
        return self.workspace / exercise.id / name
