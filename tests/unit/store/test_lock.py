"""The lock between processes: record locks, and the link lock where a file system has none."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tutor.core.errors import WorkspaceError
from tutor.store import lock
from tutor.store.lock import locked

HOLD = """
import sys, time
from pathlib import Path
from tutor.store.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def no_record_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system as Lustre without `flock`."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)


def test_another_process_waits_and_death_releases(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(WorkspaceError, match="another mltutor"), locked(path, timeout=0.1):
        pass
    holder.kill()
    holder.wait()
    with locked(path, timeout=5):
        pass
    holder.stdout.close()


def test_threads_take_turns(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with locked(tmp_path / "lock"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert max(most) == 1


@pytest.mark.usefixtures("no_record_locks")
def test_link_lock_excludes_and_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        assert (tmp_path / "lock.link").exists()
        child = os.fork()
        if child == 0:
            lock._threads.clear()
            try:
                with locked(path, timeout=0.1):
                    os._exit(1)
            except WorkspaceError:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["lock"]


@pytest.mark.usefixtures("no_record_locks")
def test_link_lock_of_a_dead_process_is_broken(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / "lock.link").write_text(f"{socket.gethostname()} {dead.pid}")
    with locked(tmp_path / "lock", timeout=2):
        pass
    assert not (tmp_path / "lock.link").exists()


@pytest.mark.usefixtures("no_record_locks")
def test_link_lock_of_another_host_is_broken_only_when_old(tmp_path: Path) -> None:
    link = tmp_path / "lock.link"
    link.write_text("elsewhere 1")
    with pytest.raises(WorkspaceError), locked(tmp_path / "lock", timeout=0.1):
        pass
    assert link.read_text() == "elsewhere 1"
    old = time.time() - lock.STALE_SECONDS - 5
    os.utime(link, (old, old))
    with locked(tmp_path / "lock", timeout=2):
        pass


@pytest.mark.usefixtures("no_record_locks")
def test_an_error_inside_releases_the_link_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), locked(tmp_path / "lock"):
        raise OSError("mine")
    assert not (tmp_path / "lock.link").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError), locked(tmp_path / "file" / "lock"):
        pass
