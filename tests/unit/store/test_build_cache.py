"""The build cache: content by key, verified, bounded, safe for several processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tutor.store.build_cache import MANIFEST, BuildCache


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder with a built file and a folder of more."""
    folder = tmp_path / "out"
    (folder / "more").mkdir(parents=True)
    (folder / "lib.so").write_bytes(b"\x7fELF" + b"x" * 1000)
    (folder / "lib.so").chmod(0o755)
    (folder / "more" / "a.txt").write_text("a")
    return folder


def cache(tmp_path: Path, size: int = 1 << 20) -> BuildCache:
    return BuildCache(tmp_path / "cache", size)


def test_what_was_put_comes_back(tmp_path: Path, built: Path) -> None:
    assert cache(tmp_path).put("k", built, ["lib.so", "more"])
    into = tmp_path / "into"
    assert cache(tmp_path).get("k", into)
    assert (into / "lib.so").read_bytes() == (built / "lib.so").read_bytes()
    assert os.access(into / "lib.so", os.X_OK)
    assert (into / "more" / "a.txt").read_text() == "a"
    assert not (into / MANIFEST).exists()


def test_an_unknown_key_is_a_miss(tmp_path: Path) -> None:
    assert not cache(tmp_path).get("k", tmp_path / "into")


@pytest.mark.parametrize(
    ("name", "content"), [("lib.so", b"damaged"), (MANIFEST, b"{"), (MANIFEST, b'{"files": 1}'), (MANIFEST, b"\xff")]
)
def test_a_damaged_entry_is_dropped_and_can_be_put_again(
    tmp_path: Path, built: Path, name: str, content: bytes
) -> None:
    store = cache(tmp_path)
    store.put("k", built, ["lib.so"])
    (store.root / "k" / name).write_bytes(content)
    assert not store.get("k", tmp_path / "into")
    assert not (store.root / "k").exists()
    assert store.put("k", built, ["lib.so"])
    assert store.get("k", tmp_path / "into")


def test_a_second_put_of_a_key_keeps_the_first(tmp_path: Path, built: Path) -> None:
    store = cache(tmp_path)
    assert store.put("k", built, ["lib.so"])
    assert store.put("k", built, ["lib.so"])
    assert [p.name for p in store.root.iterdir()] == ["k"]


def test_the_longest_unused_entries_go_first(tmp_path: Path, built: Path) -> None:
    store = cache(tmp_path, size=3500)
    now = time.time()
    for age, key in ((30, "old"), (20, "used"), (10, "new")):
        store.put(key, built, ["lib.so"])
        os.utime(store.root / key / MANIFEST, (now - age, now - age))
    assert store.get("old", tmp_path / "into")
    store.put("newest", built, ["lib.so"])
    store.prune()
    assert sorted(p.name for p in store.root.iterdir()) == ["new", "newest", "old"]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, built: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    store = cache(tmp_path)
    assert not store.put("k", built, ["lib.so"])
    assert not store.get("k", tmp_path / "into")


def test_a_missing_output_leaves_nothing_behind(tmp_path: Path, built: Path) -> None:
    store = cache(tmp_path)
    assert not store.put("k", built, ["lib.so", "none.so"])
    assert list(store.root.iterdir()) == []


def test_leavings_of_killed_processes_are_swept(tmp_path: Path, built: Path) -> None:
    store = cache(tmp_path)
    store.put("k", built, ["lib.so"])
    for name, age in (("tmp-1-old", 7200), ("tmp-2-young", 0)):
        (store.root / name).mkdir()
        os.utime(store.root / name, (time.time() - age,) * 2)
    store.prune()
    assert sorted(p.name for p in store.root.iterdir()) == ["k", "tmp-2-young"]


def test_many_processes_put_and_get_one_key(tmp_path: Path, built: Path) -> None:
    children = []
    for number in range(6):
        child = os.fork()
        if child == 0:
            store, good = cache(tmp_path), True
            for turn in range(20):
                into = tmp_path / f"into-{number}-{turn}"
                good &= store.put("k", built, ["lib.so"])
                good &= store.get("k", into) and (into / "lib.so").stat().st_size == 1004
            os._exit(0 if good else 1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 6
