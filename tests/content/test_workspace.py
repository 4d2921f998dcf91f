"""Start, reset and undo keep every byte of the learner."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from disks import fill, make_read_only, mounted

from tutor.content.sources import starter_files
from tutor.content.workspace import Workspace, default_root
from tutor.core.errors import UsageError, WorkspaceError
from tutor.core.exercise import Course, Exercise

STRANGE = b"mine \xff\xfe\x00\r\n no newline at the end"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def kept(workspace: Workspace, exercise: Exercise) -> list[bytes | None]:
    return [snapshot.read().get("total.c") for snapshot in workspace.snapshots(exercise)]


def test_start_creates_the_starter_the_given_files_and_the_text(workspace: Workspace, exercise: Exercise) -> None:
    assert not workspace.started(exercise)
    assert workspace.start(exercise)
    assert workspace.read(exercise) == starter_files(exercise)
    assert {p.name for p in workspace.folder(exercise).iterdir()} == {"total.c", "total.h", "README.md"}
    assert workspace.started(exercise)
    assert not workspace.start(exercise)


def test_start_leaves_a_learners_file_alone(workspace: Workspace, exercise: Exercise) -> None:
    workspace.start(exercise)
    file = workspace.paths(exercise)[0]
    file.write_bytes(STRANGE)
    before = file.stat().st_mtime_ns
    assert not workspace.start(exercise)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (STRANGE, before)


def test_a_changed_given_file_is_refreshed_and_the_change_kept(workspace: Workspace, exercise: Exercise) -> None:
    workspace.start(exercise)
    (workspace.folder(exercise) / "total.h").write_bytes(STRANGE)
    (workspace.folder(exercise) / "README.md").write_text("my notes")
    workspace.start(exercise)
    assert (workspace.folder(exercise) / "total.h").read_bytes() == (exercise.solution / "total.h").read_bytes()
    (snapshot,) = workspace.snapshots(exercise)
    assert snapshot.kind == "given"
    assert snapshot.read() == {"total.h": STRANGE, "README.md": b"my notes"}
    with pytest.raises(UsageError, match="nothing to undo"):
        workspace.undo(exercise)


def test_undo_brings_back_and_undo_again_goes_forward(workspace: Workspace, exercise: Exercise) -> None:
    workspace.start(exercise)
    file = workspace.paths(exercise)[0]
    starter = file.read_bytes()
    file.write_bytes(STRANGE)
    snapshot = workspace.reset(exercise)
    assert snapshot.read() == {"total.c": STRANGE}
    assert file.read_bytes() == starter
    for expected in (STRANGE, starter, STRANGE, starter):
        workspace.undo(exercise)
        assert file.read_bytes() == expected
    assert len(workspace.snapshots(exercise)) == 2, "going to and fro makes no new snapshots"


def test_every_replaced_version_stays(workspace: Workspace, exercise: Exercise) -> None:
    workspace.start(exercise)
    file = workspace.paths(exercise)[0]
    versions = [b"one", b"two", b"", b"three"]
    for version in versions:
        file.write_bytes(version)
        workspace.reset(exercise)
    assert kept(workspace, exercise) == versions
    file.write_bytes(b"four")
    workspace.undo(exercise)
    assert file.read_bytes() == b"three"
    workspace.undo(exercise)
    assert file.read_bytes() == b"four"


def test_a_deleted_file_comes_back_with_start_and_reset(workspace: Workspace, exercise: Exercise) -> None:
    workspace.start(exercise)
    file = workspace.paths(exercise)[0]
    file.unlink()
    assert workspace.read(exercise) == {}
    workspace.reset(exercise)
    assert workspace.read(exercise) == starter_files(exercise)
    with pytest.raises(UsageError):
        workspace.undo(exercise)


def test_a_link_stays_and_its_target_is_replaced(workspace: Workspace, exercise: Exercise, tmp_path: Path) -> None:
    workspace.start(exercise)
    file, real = workspace.paths(exercise)[0], tmp_path / "elsewhere" / "my.c"
    real.parent.mkdir()
    real.write_bytes(STRANGE)
    real.chmod(0o640)
    file.unlink()
    file.symlink_to(real)
    workspace.reset(exercise)
    assert file.is_symlink()
    assert real.read_bytes() == starter_files(exercise)["total.c"]
    assert real.stat().st_mode & 0o777 == 0o640
    workspace.undo(exercise)
    assert real.read_bytes() == STRANGE


def test_ten_megabytes_survive(workspace: Workspace, exercise: Exercise) -> None:
    workspace.start(exercise)
    big = os.urandom(10 << 20)
    workspace.paths(exercise)[0].write_bytes(big)
    workspace.reset(exercise)
    workspace.undo(exercise)
    assert workspace.paths(exercise)[0].read_bytes() == big


def test_a_save_between_snapshot_and_replacement_is_kept(
    workspace: Workspace, exercise: Exercise, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.start(exercise)
    file = workspace.paths(exercise)[0]
    file.write_bytes(b"first")
    fsync, saved = os.fsync, []

    def save_late(descriptor: int) -> None:
        fsync(descriptor)
        if not saved and workspace.snapshots(exercise):
            saved.append(True)
            file.write_bytes(b"saved while the reset ran")

    monkeypatch.setattr(os, "fsync", save_late)
    workspace.reset(exercise)
    assert saved
    assert kept(workspace, exercise) == [b"first", b"saved while the reset ran"]
    assert file.read_bytes() == starter_files(exercise)["total.c"]


def test_a_full_disk_replaces_nothing(exercise: Exercise, tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=96k") as disk:
        workspace = Workspace(disk / "workspace")
        workspace.start(exercise)
        file = workspace.paths(exercise)[0]
        file.write_bytes(b"x" * 20000)
        fill(disk / "filler")
        with pytest.raises(WorkspaceError, match="full") as caught:
            workspace.reset(exercise)
        assert "space" in caught.value.remedy
        assert file.read_bytes() == b"x" * 20000
        assert not [p for p in disk.rglob("*") if "tmp-" in p.name]
        (disk / "filler").unlink()
        workspace.reset(exercise)
        assert kept(workspace, exercise) == [b"x" * 20000]


def test_a_read_only_disk_is_told_and_nothing_lost(exercise: Exercise, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        workspace = Workspace(disk / "workspace")
        workspace.start(exercise)
        workspace.paths(exercise)[0].write_bytes(STRANGE)
        make_read_only(disk)
        for action in (workspace.start, workspace.reset, workspace.undo):
            with pytest.raises(WorkspaceError, match="read-only") as caught:
                action(exercise)
            assert "--workspace" in caught.value.remedy
        assert workspace.read(exercise) == {"total.c": STRANGE}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_rename_that_fails_leaves_the_file(
    workspace: Workspace, exercise: Exercise, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    workspace.start(exercise)
    file = workspace.paths(exercise)[0]
    file.write_bytes(STRANGE)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), str(file))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(WorkspaceError, match=r"total\.c"):
            workspace.reset(exercise)
    assert file.read_bytes() == STRANGE
    assert {p.name for p in file.parent.iterdir()} == {"total.c", "total.h", "README.md"}


def test_a_file_where_the_folder_should_be_is_told(exercise: Exercise, tmp_path: Path) -> None:
    (tmp_path / "workspace").write_text("not a folder")
    with pytest.raises(WorkspaceError) as caught:
        Workspace(tmp_path / "workspace").start(exercise)
    assert caught.value.exit_code == 3


def test_last_reset_names_the_exercise(workspace: Workspace, course: Course) -> None:
    assert workspace.last_reset(course.exercises) is None
    for exercise in course.exercises:
        workspace.start(exercise)
        workspace.paths(exercise)[0].write_bytes(b"mine")
        workspace.reset(exercise)
    assert workspace.last_reset(course.exercises) == course.exercises[-1]


def test_default_root(tmp_path: Path) -> None:
    assert default_root(tmp_path, {}) == tmp_path / "workspace"
    assert default_root(None, {}) == Path.home() / "mltutor"
    assert default_root(tmp_path, {"MLTUTOR_WORKSPACE": "/x"}) == Path("/x")


def test_every_kept_version_can_be_brought_back(workspace: Workspace, exercise: Exercise) -> None:
    workspace.start(exercise)
    file = workspace.paths(exercise)[0]
    with pytest.raises(UsageError, match="that passed"):
        workspace.last_pass(exercise)
    workspace.keep_pass(exercise, {"total.c": b"one\ntwo\n"})
    file.write_bytes(STRANGE)
    workspace.reset(exercise)
    passed, replaced = workspace.versions(exercise)
    assert (passed.title, replaced.title) == ("passed", "before reset")
    assert replaced.files == {"total.c": STRANGE}
    assert workspace.last_pass(exercise) == passed
    assert workspace.bring_back(exercise, passed.number) == passed
    assert file.read_bytes() == b"one\ntwo\n"
    assert workspace.undo(exercise).read() == {"total.c": starter_files(exercise)["total.c"]}
    assert workspace.bring_back(exercise, replaced.number).files == {"total.c": STRANGE}
    assert file.read_bytes() == STRANGE
    with pytest.raises(UsageError, match="no version 77"):
        workspace.bring_back(exercise, 77)
    assert file.read_bytes() == STRANGE


def test_passing_again_with_the_same_content_is_kept_once_and_undo_passes_it_over(
    workspace: Workspace, exercise: Exercise
) -> None:
    workspace.start(exercise)
    for content in (b"a", b"b", b"a"):
        workspace.keep_pass(exercise, {"total.c": content})
    assert [version.files["total.c"] for version in workspace.versions(exercise)] == [b"b", b"a"]
    with pytest.raises(UsageError, match="nothing to undo"):
        workspace.undo(exercise)


def test_a_version_that_cannot_be_read_is_left_out(workspace: Workspace, exercise: Exercise) -> None:
    workspace.start(exercise)
    for content in (b"a", b"b"):
        workspace.keep_pass(exercise, {"total.c": content})
    (workspace.snapshots(exercise)[1].folder / "files" / "total.c").unlink()
    assert [version.files["total.c"] for version in workspace.versions(exercise)] == [b"a"]
