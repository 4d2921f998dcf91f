"""Killed before, or in the middle of, any file operation, no byte that the learner saved is gone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tutor.content.course import load_course
from tutor.content.workspace import Workspace
from tutor.core.exercise import Exercise

OPERATIONS = ("open", "write", "fsync", "replace", "rename", "unlink", "mkdir", "close", "fchmod")
KILLED = 99
MINE = {"total.c": b"my \xff version\n" * 400, "more.c": b"my other file\n"}


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: each of some hundred runs syncs a dozen files."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def two_files(lessons: Path, total: Path) -> Exercise:
    """demo-total with two files to edit."""
    (total / "solution" / "more.c").write_text("// @gap\nint more;\n//| /* more */\n// @end\n")
    manifest = total / "exercise.toml"
    manifest.write_text(manifest.read_text().replace('["total.c"]', '["total.c", "more.c"]'))
    return load_course(lessons).exercises[0]


def run_killed(action: Callable[[], object], at: int) -> bool:
    """Run `action` in a forked child that ends at its `at`-th file operation; True when it got that far.

    A write is cut in half first, as a kill in the middle of it would.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def deadly(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                if count == at:
                    if name == "write":
                        real(args[0], args[1][: len(args[1]) // 2])
                    os._exit(KILLED)
                return real(*args, **kwargs)

            return call

        try:
            for name in OPERATIONS:
                setattr(os, name, deadly(name, getattr(os, name)))
            action()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


def everywhere(workspace: Workspace, exercise: Exercise) -> dict[str, set[bytes]]:
    """All versions of each file that are in the workspace or in a complete snapshot."""
    found = {name: {content} for name, content in workspace.read(exercise).items()}
    for snapshot in workspace.snapshots(exercise):
        for name, content in snapshot.read().items():
            if content is not None:
                found.setdefault(name, set()).add(content)
    return found


def kill_everywhere(
    prepared: Path, exercise: Exercise, action: Callable[[Workspace], object], wanted: list[dict[str, bytes]]
) -> int:
    """Kill `action` at every operation, each time on a fresh copy of `prepared`; the number of operations."""
    at = 0
    while True:
        at += 1
        root = prepared.with_name(f"copy-{at}")
        shutil.copytree(prepared, root, symlinks=True)
        workspace = Workspace(root)
        killed = run_killed(lambda space=workspace: action(space), at)
        found = everywhere(workspace, exercise)
        for version in wanted:
            for name, content in version.items():
                assert content in found.get(name, set()), f"killed at operation {at}: {name} is lost"
        workspace.start(exercise)  # it can be used on, and the leavings are gone
        workspace.reset(exercise)
        workspace.undo(exercise)
        assert not [p for p in workspace.folder(exercise).rglob("*") if "tmp-" in p.name]
        shutil.rmtree(root)
        if not killed:
            return at - 1


def test_reset_killed_anywhere_loses_nothing(two_files: Exercise, scratch: Path) -> None:
    prepared = Workspace(scratch / "prepared")
    prepared.start(two_files)
    for name, content in MINE.items():
        (prepared.folder(two_files) / name).write_bytes(content)
    assert kill_everywhere(prepared.root, two_files, lambda w: w.reset(two_files), [MINE]) > 20


def test_undo_killed_anywhere_loses_nothing(two_files: Exercise, scratch: Path) -> None:
    prepared = Workspace(scratch / "prepared")
    prepared.start(two_files)
    for name, content in MINE.items():
        (prepared.folder(two_files) / name).write_bytes(content)
    prepared.reset(two_files)
    newer = {"total.c": b"newer", "more.c": b"newer too"}
    for name, content in newer.items():
        (prepared.folder(two_files) / name).write_bytes(content)
    assert kill_everywhere(prepared.root, two_files, lambda w: w.undo(two_files), [MINE, newer]) > 20


def test_second_undo_killed_anywhere_loses_nothing(two_files: Exercise, scratch: Path) -> None:
    prepared = Workspace(scratch / "prepared")
    prepared.start(two_files)
    for name, content in MINE.items():
        (prepared.folder(two_files) / name).write_bytes(content)
    prepared.reset(two_files)
    prepared.undo(two_files)
    assert kill_everywhere(prepared.root, two_files, lambda w: w.undo(two_files), [MINE]) > 5


def test_start_killed_anywhere_keeps_a_changed_given_file(two_files: Exercise, scratch: Path) -> None:
    prepared = Workspace(scratch / "prepared")
    prepared.start(two_files)
    (prepared.folder(two_files) / "total.c").write_bytes(MINE["total.c"])
    (prepared.folder(two_files) / "more.c").unlink()
    given = prepared.folder(two_files) / "total.h"
    given.write_bytes(b"mine too")

    def action(workspace: Workspace) -> None:
        workspace.start(two_files)

    at = 0
    killed = True
    while killed:
        at += 1
        root = scratch / f"start-{at}"
        shutil.copytree(prepared.root, root)
        workspace = Workspace(root)
        killed = run_killed(lambda space=workspace: action(space), at)
        versions = everywhere(workspace, two_files)
        now = (workspace.folder(two_files) / "total.h").read_bytes()
        assert MINE["total.c"] in versions["total.c"]
        assert now == b"mine too" or b"mine too" in versions["total.h"], f"killed at operation {at}"
    assert at > 20
