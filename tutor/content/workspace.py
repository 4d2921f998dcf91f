"""The learner's workspace: start, reset and undo, which never lose a byte, also when killed at any point.

Order of every replacement: all current contents become a snapshot that is complete and synced on disk; then each file
is written beside itself, compared once more with what was kept, and renamed into place. So a byte that the learner has
saved is at every moment in his file or in a snapshot. A file that is a symbolic link is replaced at the link's target.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tutor.content.snapshots import Files, Snapshot, Snapshots
from tutor.content.sources import digest, given_files, starter_files
from tutor.core.errors import UsageError, WorkspaceError
from tutor.core.exercise import Exercise
from tutor.core.versions import Version
from tutor.store.atomic import explained, sweep, write_atomic
from tutor.store.lock import locked

STATE = ".mltutor"


class Workspace:
    """The folder `root` with one folder an exercise. Raises WorkspaceError where the disk does not play along."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def folder(self, exercise: Exercise) -> Path:
        """Where the learner's files of this exercise lie."""
        return self.root / exercise.id

    def paths(self, exercise: Exercise) -> tuple[Path, ...]:
        """The learner's files, the one to open first in front."""
        return tuple(self.folder(exercise) / name for name in exercise.files)

    def started(self, exercise: Exercise) -> bool:
        """True when at least one of the learner's files is there."""
        return any(path.exists() for path in self.paths(exercise))

    def read(self, exercise: Exercise) -> dict[str, bytes]:
        """The learner's files by name, as bytes; a file that is missing is left out."""
        return {name: content for name, content in self._contents(exercise).items() if content is not None}

    def start(self, exercise: Exercise) -> bool:
        """Create the learner's files that are missing and bring README.md and given files up to date.

        True when a file of the learner was created. A given file that he has changed is kept as a snapshot.
        """
        starters = starter_files(exercise)
        with self._locked("can't set up the exercise in"):
            sweep(self.folder(exercise))
            created = [
                name for name, content in starters.items() if self._create(self.folder(exercise) / name, content)
            ]
            self._refresh_given(exercise)
        return bool(created)

    def reset(self, exercise: Exercise) -> Snapshot:
        """Put the starter back. Returns the snapshot of what it replaced."""
        with self._locked("can't reset the files in"):
            kept = self._replace(exercise, starter_files(exercise), "reset")
            self._refresh_given(exercise)
        return kept

    def undo(self, exercise: Exercise) -> Snapshot:
        """Bring back what the last reset or undo replaced; a second undo brings the other version forward again.

        Returns the snapshot that was brought back. Raises UsageError when there is nothing to bring back.
        """
        with self._locked("can't undo in"):
            current = self._contents(exercise)
            older = (s for s in reversed(self._snapshots(exercise).all()) if s.kind == "replaced" and s.names)
            wanted = next((s for s in older if s.read() != current), None)
            if wanted is None:
                raise UsageError(f"nothing to undo for {exercise.id}", "undo takes back a reset; none was made here")
            self._replace(exercise, wanted.read(), "undo")
        return wanted

    def keep_pass(self, exercise: Exercise, files: Mapping[str, bytes]) -> None:
        """Keep a version that has passed, so that later ones can be compared with it."""
        with self._locked("can't keep the version that passed in"):
            self._snapshots(exercise).keep(files, "passed", "passed")

    def last_pass(self, exercise: Exercise) -> Version:
        """The version that passed last. Raises UsageError when none was kept."""
        found = next((v for v in reversed(self.versions(exercise)) if v.kind == "passed"), None)
        if found is None:
            raise UsageError(f"no version of {exercise.id} that passed was kept", "it is kept when it passes")
        return found

    def versions(self, exercise: Exercise) -> tuple[Version, ...]:
        """Every kept version of the learner's files with its contents, oldest first; unreadable ones are left out."""
        return tuple(v for s in self.snapshots(exercise) if s.names and (v := _version(s)) is not None)

    def bring_back(self, exercise: Exercise, number: int) -> Version:
        """Put a kept version in the place of the learner's files; those are kept, so that undo brings them back.

        Raises UsageError for a number that is not kept.
        """
        with self._locked("can't bring a version back in"):
            wanted = next((v for v in self.versions(exercise) if v.number == number), None)
            if wanted is None:
                raise UsageError(f"no version {number} of {exercise.id} is kept", "`mltutor undo --list` shows them")
            files: Files = dict(wanted.files) | dict.fromkeys(wanted.absent)
            self._replace(exercise, files, "bringing a version back")
        return wanted

    def snapshots(self, exercise: Exercise) -> tuple[Snapshot, ...]:
        """What was kept for this exercise, oldest first."""
        return self._snapshots(exercise).all()

    def last_reset(self, exercises: tuple[Exercise, ...]) -> Exercise | None:
        """The exercise whose files were replaced last, None when none was."""
        newest = [(s[-1].at, e) for e in exercises if (s := [x for x in self.snapshots(e) if x.kind == "replaced"])]
        return max(newest, key=lambda pair: pair[0])[1] if newest else None

    def _snapshots(self, exercise: Exercise) -> Snapshots:
        return Snapshots(self.root / STATE / "snapshots" / exercise.id)

    def _contents(self, exercise: Exercise) -> dict[str, bytes | None]:
        with explained("can't read"):
            return {name: _read(self.folder(exercise) / name) for name in exercise.files}

    @contextlib.contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        with locked(self.root / STATE / "lock"), explained(what):
            yield

    def _create(self, path: Path, content: bytes) -> bool:
        if path.exists():
            return False
        with contextlib.suppress(FileExistsError):  # an editor was faster: its file stays
            write_atomic(path, content, before=lambda: _must_be(path, None))
            return True
        return False

    def _replace(self, exercise: Exercise, wanted: Files, label: str) -> Snapshot:
        current = self._contents(exercise)
        kept = self._snapshots(exercise).keep(current, label)
        for name, content in wanted.items():
            if content != current.get(name):
                self._put(exercise, name, content, current, label)
        return kept

    def _put(self, exercise: Exercise, name: str, content: bytes | None, current: Files, label: str) -> None:
        """Replace one file. What an editor saved since it was kept is kept too before it goes."""
        path = self.folder(exercise) / name

        def keep_newer() -> None:
            newest = _read(path)
            if newest is not None and newest != current.get(name):
                self._snapshots(exercise).keep({**current, name: newest}, label)

        if content is not None:
            write_atomic(path, content, before=keep_newer)
        else:
            keep_newer()
            path.unlink(missing_ok=True)

    def _refresh_given(self, exercise: Exercise) -> None:
        wanted = given_files(exercise) | {"README.md": (exercise.folder / "README.md").read_bytes()}
        folder = self.folder(exercise)
        found = {name: _read(folder / name) for name in wanted}
        stale = {name for name, content in wanted.items() if found[name] != content}
        changed: Mapping[str, bytes | None] = {name: found[name] for name in stale if found[name] is not None}
        if changed:
            self._snapshots(exercise).keep(changed, "refresh of given files", "given")
        for name in sorted(stale):
            write_atomic(folder / name, wanted[name])


def _version(kept: Snapshot) -> Version | None:
    if kept.kind == "given":
        return None
    try:
        files = {name: content for name, content in kept.read().items() if content is not None}
    except OSError:
        return None
    return Version(kept.number, kept.at, kept.kind, kept.label, files, digest(files), kept.absent)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _must_be(path: Path, expected: bytes | None) -> None:
    if _read(path) != expected:
        raise FileExistsError(path)


def default_root(checkout: Path | None, environment: Mapping[str, str]) -> Path:
    """MLTUTOR_WORKSPACE, else `workspace` of a checkout, else ~/mltutor."""
    chosen = environment.get("MLTUTOR_WORKSPACE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if checkout is not None:
        return checkout / "workspace"
    try:
        return Path.home() / "mltutor"
    except RuntimeError as error:
        raise WorkspaceError("no home folder is known", "give --workspace DIR") from error
