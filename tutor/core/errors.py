"""The TutorError tree: what the environment or the user did, never what the learner's code did."""

from __future__ import annotations

from pathlib import Path


class TutorError(Exception):
    """Something outside the learner's code stands in the way; carries a remedy and the exit code."""

    exit_code = 3

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(TutorError):
    """A wrong argument, an unknown exercise: exit code 2."""

    exit_code = 2


class EnvironmentMissing(TutorError):
    """A compiler, header, package or device that this task needs is not there: exit code 3."""


class WorkspaceError(TutorError):
    """The workspace or the state folder can't be read or written: exit code 3."""


class ContentError(TutorError):
    """A lesson file is malformed; names the file, the key and the line: exit code 2."""

    exit_code = 2

    def __init__(self, file: Path, message: str, *, key: str = "", line: int | None = None, remedy: str = "") -> None:
        where = f"{file}:{line}" if line else str(file)
        super().__init__(f"{where}: {f'`{key}`: ' if key else ''}{message}", remedy)
        self.file, self.key, self.line = file, key, line


class WorkerError(TutorError):
    """A worker process could not be started or broke its protocol: exit code 3."""
