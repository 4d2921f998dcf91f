"""Progress on disk: atomic, backed up, set aside when it can't be read, safe for several processes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from tutor.core.errors import WorkspaceError
from tutor.core.progress import ExerciseProgress, Progress
from tutor.store.progress import SCHEMA, ProgressStore

PASSED = ExerciseProgress("abc", 1.5, {"case": 2.0}, 1, True, 3, 0)


@pytest.fixture
def store(tmp_path: Path) -> ProgressStore:
    return ProgressStore(tmp_path / "state" / "progress.json")


def run_counted(progress: Progress) -> Progress:
    """One run more of `x`."""
    mine = progress.of("x")
    return progress.with_exercise("x", replace(mine, runs=mine.runs + 1))


def aside(store: ProgressStore, label: str) -> list[Path]:
    return sorted(store.path.parent.glob(f"progress.json*.{label}-*"))


def test_nothing_there_is_empty_progress_and_writes_nothing(store: ProgressStore) -> None:
    assert store.load() == (Progress(), ())
    assert not store.path.parent.exists()


def test_what_was_written_is_read(store: ProgressStore) -> None:
    written = store.update(lambda p: replace(p.with_exercise("x", PASSED), current="x"))
    assert store.load() == (written, ())
    document = json.loads(store.path.read_text())
    assert document["schema"] == SCHEMA
    assert document["exercises"]["x"]["passed_digest"] == "abc"


def test_the_version_before_is_the_backup(store: ProgressStore) -> None:
    store.update(run_counted)
    store.update(run_counted)
    assert json.loads(store.backup.read_text())["exercises"]["x"]["runs"] == 1
    assert json.loads(store.path.read_text())["exercises"]["x"]["runs"] == 2


@pytest.mark.parametrize(
    "rubbish", [b"", b"{", b"[]", b'{"schema": 1, "exercises": 3}', b"\xff\xfe", b'{"schema": "1"}']
)
def test_a_corrupt_file_is_set_aside_and_the_backup_used(store: ProgressStore, rubbish: bytes) -> None:
    store.update(run_counted)
    store.update(run_counted)
    store.path.write_bytes(rubbish)
    progress, notices = store.load()
    assert progress.of("x").runs == 1
    (kept,) = aside(store, "corrupt")
    assert kept.read_bytes() == rubbish
    assert kept.name in notices[0].text
    assert "backup" in notices[1].text
    store.update(run_counted)
    assert store.load()[0].of("x").runs == 2


def test_a_newer_schema_is_set_aside_whole(store: ProgressStore) -> None:
    store.update(run_counted)
    newer = b'{"schema": 99, "lessons": {"x": "unknown"}}'
    store.path.write_bytes(newer)
    progress, notices = store.load()
    assert progress == Progress()
    assert aside(store, "newer")[0].read_bytes() == newer
    assert "schema 99" in notices[0].text
    assert "newer mltutor" in notices[0].remedy


def test_both_files_corrupt_are_both_kept(store: ProgressStore) -> None:
    store.update(run_counted)
    store.update(run_counted)
    store.path.write_bytes(b"1")
    store.backup.write_bytes(b"2")
    assert store.load()[0] == Progress()
    assert {path.read_bytes() for path in aside(store, "corrupt")} == {b"1", b"2"}


def test_an_update_over_a_corrupt_file_keeps_it_and_tells_later(store: ProgressStore) -> None:
    store.update(run_counted)
    store.path.write_bytes(b"rubbish")
    store.update(run_counted)
    assert aside(store, "corrupt")[0].read_bytes() == b"rubbish"
    _, notices = store.load()
    assert any("rubbish" not in n.text and "kept as" in n.text for n in notices)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_refuses_leaves_the_old_file(
    store: ProgressStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store.update(run_counted)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(WorkspaceError) as caught:
            store.update(run_counted)
    assert caught.value.remedy
    assert store.load()[0].of("x").runs == 1
    assert sorted(p.name for p in store.path.parent.iterdir()) == ["progress.json", "progress.json.lock"]


COUNT = """
import sys
from pathlib import Path
from msgspec.structs import replace
from tutor.store.progress import ProgressStore
store = ProgressStore(Path(sys.argv[1]))
for _ in range(20):
    store.update(lambda p: p.with_exercise(sys.argv[2], replace(p.of(sys.argv[2]), runs=p.of(sys.argv[2]).runs + 1)))
    store.update(lambda p: p.with_exercise("both", replace(p.of("both"), runs=p.of("both").runs + 1)))
"""


def test_processes_that_update_at_once_lose_nothing(store: ProgressStore) -> None:
    names = ("a", "b", "c")
    running = [subprocess.Popen([sys.executable, "-c", COUNT, str(store.path), name]) for name in names]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    progress, notices = store.load()
    assert {name: progress.of(name).runs for name in (*names, "both")} == {"a": 20, "b": 20, "c": 20, "both": 60}
    assert notices == ()


def test_a_process_killed_while_it_writes_leaves_a_whole_file(store: ProgressStore) -> None:
    store.update(run_counted)
    for at in range(1, 40):
        child = os.fork()
        if child == 0:
            _die_at(at)
            try:
                store.update(run_counted)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        progress, notices = ProgressStore(store.path).load()
        assert progress.of("x").runs >= 1
        assert notices == ()


def _die_at(at: int) -> None:
    """End this process before its `at`-th write, sync, close or rename."""
    count = 0
    for name in ("write", "fsync", "replace", "close"):
        real = getattr(os, name)

        def call(*args: object, real: object = real) -> object:
            nonlocal count
            count += 1
            if count == at:
                os._exit(9)
            return real(*args)  # type: ignore[operator]

        setattr(os, name, call)
