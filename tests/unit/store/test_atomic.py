"""Atomic writes and the words for what a disk refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tutor.store.atomic import TEMPORARY, explain, sweep, write_atomic


def test_content_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomic(path, b"one")
    path.chmod(0o600)
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_dangling_link_gets_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomic(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


def test_a_veto_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def veto() -> None:
        raise FileExistsError(path)

    with pytest.raises(FileExistsError):
        write_atomic(path, b"new", before=veto)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_sweep_removes_only_half_written_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / f"{TEMPORARY}abc").touch()
    (tmp_path / "mine.c").touch()
    sweep(tmp_path)
    assert [p.name for p in sorted(tmp_path.rglob("*"))] == ["mine.c", "sub"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.ENOTDIR, errno.EIO])
def test_what_the_disk_refuses_is_said_with_the_path(number: int) -> None:
    error = explain(OSError(number, os.strerror(number), "/d/file"), "can't write")
    assert error.message.startswith("can't write /d/file: ")
    assert error.exit_code == 3
    assert error.remedy or number == errno.EIO


def test_a_temporary_name_is_not_shown() -> None:
    error = explain(OSError(errno.EROFS, "ro", f"/d/{TEMPORARY}1", None, "/d/file"), "can't write")
    assert "/d/file" in error.message
    error = explain(OSError(errno.ENOSPC, "full", f"/d/{TEMPORARY}1"), "can't write")
    assert TEMPORARY not in error.message
