"""The lock of a GPU, which all users of a machine share."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from pathlib import Path

import pytest

from tutor.worker import cuda


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "mltutor-gpu-0.lock"


def test_the_lock_of_another_user_can_be_taken(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def foreign(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", foreign)
        with cuda.locked("0") as free:
            assert free, "where it can't be made"
    lock.touch()
    monkeypatch.setattr(os, "open", foreign)
    with cuda.locked("0") as free, cuda.locked("0", 0.1) as second:
        assert (free, second) == (True, False)


def test_whoever_makes_it_lets_all_others_read_it(lock: Path) -> None:
    before = os.umask(0o077)
    try:
        with cuda.locked("0") as free:
            assert free
    finally:
        os.umask(before)
    assert lock.stat().st_mode & 0o777 == 0o644


def test_nobody_waits_for_ever(lock: Path) -> None:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        started = time.monotonic()
        with cuda.locked("0", 0.2) as free:
            assert not free
        assert time.monotonic() - started < 10
