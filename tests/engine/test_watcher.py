"""Saves as real programs make them; each must be seen once, with inotify and with the poll alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tutor.engine import inotify
from tutor.engine import watcher as watcher_module
from tutor.engine.watcher import SETTLE, Watcher


class Seen:
    def __init__(self) -> None:
        self.saves: list[tuple[Path, ...]] = []
        self.missing: list[Path] = []
        self.status: list[tuple[str, str]] = []
        self.moments: list[float] = []

    def on_save(self, paths: tuple[Path, ...], at: float) -> None:
        self.saves.append(paths)
        self.moments.append(at)

    async def settle(self, saves: int) -> None:
        """Wait for that many saves, then long enough to notice one too many."""
        deadline = time.monotonic() + 10
        while len(self.saves) < saves and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.6)
        assert len(self.saves) == saves


@asynccontextmanager
async def watching(*files: Path, inotify: bool = True) -> AsyncIterator[Seen]:
    seen = Seen()
    watcher = Watcher(
        seen.on_save, seen.missing.append, lambda how, why: seen.status.append((how, why)), inotify=inotify
    )
    await watcher.watch(files)
    try:
        yield seen
    finally:
        await watcher.close()


def in_place(path: Path) -> None:
    path.write_text("int b;\n")


def renamed(path: Path) -> None:
    other = path.with_name(".a.c.tmp")
    other.write_text("int b;\n")
    os.replace(other, path)


def truncated_then_written(path: Path) -> None:
    with path.open("w") as file:
        file.flush()
        time.sleep(0.15)
        file.write("int b;\n")


def removed_then_written(path: Path) -> None:
    path.unlink()
    time.sleep(0.1)
    path.write_text("int b;\n")


def moved_away_then_written(path: Path) -> None:
    path.rename(path.with_name("a.c~"))
    path.write_text("int b;\n")
    path.with_name("a.c~").unlink()


def appended(path: Path) -> None:
    with path.open("a") as file:
        file.write("int b;\n")


def sed(path: Path) -> None:
    subprocess.run(["sed", "-i", "s/a/b/", str(path)], check=True)


def vim(path: Path) -> None:
    subprocess.run(["vim", "-es", "-u", "NONE", "+s/a/b/", "+wq", str(path)], check=True)


def emacs(path: Path) -> None:
    lisp = '(progn (goto-char (point-max)) (insert "int b;\\n") (save-buffer))'
    subprocess.run(["emacs", "-Q", "--batch", str(path), "--eval", lisp], check=True, capture_output=True)


def nano(path: Path) -> None:
    name = f"nano-{os.getpid()}-{time.monotonic_ns()}"
    tmux = ["tmux", "-L", name]
    subprocess.run([*tmux, "new-session", "-d", "-x", "80", "-y", "24", f"nano {path}"], check=True)
    try:
        for keys in (["int b; "], ["C-o"], ["Enter"]):
            time.sleep(0.5)
            subprocess.run([*tmux, "send-keys", *keys], check=True)
        time.sleep(0.5)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)


WAYS = [in_place, renamed, truncated_then_written, removed_then_written, moved_away_then_written, appended, sed]
EDITORS = [vim, emacs, nano]


async def save_once(tmp_path: Path, way: Callable[[Path], None], inotify: bool) -> None:
    file = tmp_path / "a.c"
    file.write_text("int a;\n")
    async with watching(file, inotify=inotify) as seen:
        await asyncio.to_thread(way, file)
        await seen.settle(1)
        assert seen.saves == [(file,)]
        assert not seen.missing


@pytest.mark.parametrize("inotify", [True, False], ids=["inotify", "poll"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_save_is_seen_once(tmp_path: Path, way: Callable[[Path], None], inotify: bool) -> None:
    await save_once(tmp_path, way, inotify)


@pytest.mark.parametrize("way", EDITORS, ids=lambda way: way.__name__)
async def test_an_editors_save_is_seen_once(tmp_path: Path, way: Callable[[Path], None]) -> None:
    if not shutil.which(way.__name__) or (way is nano and not shutil.which("tmux")):
        pytest.skip(f"{way.__name__} is not installed")
    await save_once(tmp_path, way, True)


async def test_the_same_content_is_no_save(tmp_path: Path) -> None:
    file = tmp_path / "a.c"
    file.write_text("int a;\n")
    async with watching(file) as seen:
        file.write_text("int a;\n")
        os.utime(file)
        await seen.settle(0)


async def test_a_burst_is_one_save(tmp_path: Path) -> None:
    for attempt in range(50):
        file = tmp_path / f"{attempt}.c"
        file.write_text("int a;\n")
        async with watching(file) as seen:
            moments = [time.monotonic()]
            for number in range(20):
                file.write_text(f"int a{number};\n")
                await asyncio.sleep(0.002)
                moments.append(time.monotonic())
            # On a machine that was held up in the middle it was no burst.
            if max(after - before for before, after in pairwise(moments)) < SETTLE / 2:
                await seen.settle(1)
                return
    pytest.skip("this machine is too busy to write a burst")


async def test_two_files_saved_together_are_told_together(tmp_path: Path) -> None:
    files = [tmp_path / "a.c", tmp_path / "b.c"]
    for file in files:
        file.write_text("int a;\n")
    async with watching(*files) as seen:
        for file in files:
            file.write_text("int b;\n")
        await seen.settle(1)
        assert set(seen.saves[0]) == set(files)


async def test_other_files_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "a.c"
    file.write_text("int a;\n")
    async with watching(file) as seen:
        for name in (".a.c.swp", "4913", "a.c~", ".#a.c", "other.c"):
            (tmp_path / name).write_text("x")
        await seen.settle(0)


async def test_deletion_is_told_and_so_is_the_return(tmp_path: Path) -> None:
    file = tmp_path / "a.c"
    file.write_text("int a;\n")
    async with watching(file) as seen:
        file.unlink()
        deadline = time.monotonic() + 10
        while not seen.missing and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert seen.missing == [file]
        file.write_text("int a;\n")
        await seen.settle(1)
        assert seen.missing == [file]


async def test_an_emptied_file_counts_in_the_end(tmp_path: Path) -> None:
    file = tmp_path / "a.c"
    file.write_text("int a;\n")
    async with watching(file) as seen:
        file.write_text("")
        await seen.settle(1)


async def test_a_link_is_watched_at_its_target(tmp_path: Path) -> None:
    target = tmp_path / "real" / "kept.c"
    target.parent.mkdir()
    target.write_text("int a;\n")
    file = tmp_path / "a.c"
    file.symlink_to(target)
    async with watching(file) as seen:
        target.write_text("int b;\n")
        await seen.settle(1)
        assert seen.saves == [(file,)]


async def test_a_folder_that_is_replaced_is_watched_on(tmp_path: Path) -> None:
    file = tmp_path / "exercise" / "a.c"
    file.parent.mkdir()
    file.write_text("int a;\n")
    async with watching(file) as seen:
        shutil.rmtree(file.parent)
        file.parent.mkdir()
        file.write_text("int b;\n")
        await seen.settle(1)
        file.write_text("int c;\n")
        await seen.settle(2)


async def test_it_outlives_a_system_without_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.c"
    file.write_text("int a;\n")
    calls: list[int] = []

    def asked(folders: object) -> str:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(24, "Too many open files")
        return ""

    monkeypatch.setattr(watcher_module, "remote_file_system", asked)
    monkeypatch.setattr(watcher_module, "REFOLLOW", 1)
    async with watching(file) as seen:
        async with asyncio.timeout(10):
            while len(calls) < 2:
                await asyncio.sleep(0.01)
        file.write_text("int b;\n")
        await seen.settle(1)


async def test_a_defect_that_ends_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.c"
    file.write_text("int a;\n")
    crashes: asyncio.Queue[BaseException] = asyncio.Queue()

    def on_save(paths: tuple[Path, ...], at: float) -> None:
        raise ZeroDivisionError

    watcher = Watcher(on_save, lambda path: None, lambda how, why: None, crashes.put_nowait)
    await watcher.watch([file])
    file.write_text("int b;\n")
    assert isinstance(await asyncio.wait_for(crashes.get(), 10), ZeroDivisionError)
    await watcher.close()


async def test_it_says_how_it_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.c"
    file.write_text("int a;\n")
    async with watching(file) as seen:
        assert seen.status == [("inotify + poll", "")]

    class Exhausted(inotify.Observer):  # type: ignore[misc,valid-type]
        def start(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(inotify, "Observer", Exhausted)
    async with watching(file) as seen:
        assert seen.status[0][0] == "poll"
        assert "max_user_watches" in seen.status[0][1]
        file.write_text("int b;\n")
        await seen.settle(1)

    class Threadless(inotify.Observer):  # type: ignore[misc,valid-type]
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(inotify, "Observer", Threadless)
    async with watching(file) as seen:
        assert seen.status == [("poll", "inotify: can't start new thread")]
        file.write_text("int c;\n")
        await seen.settle(1)


async def test_the_moment_is_that_of_the_write(tmp_path: Path) -> None:
    file = tmp_path / "a.c"
    file.write_text("int a;\n")
    async with watching(file, inotify=False) as seen:
        file.write_text("int b;\n")
        written = file.stat().st_mtime
        await seen.settle(1)
        assert seen.moments == [written]


@pytest.mark.parametrize("turns", range(3))
async def test_it_ends_in_the_moment_of_an_event(tmp_path: Path, turns: int) -> None:
    (tmp_path / "a.c").write_text("int a;\n")
    seen = Seen()
    watcher = Watcher(seen.on_save, seen.missing.append, lambda how, why: None, inotify=False, poll=10)
    await watcher.watch([tmp_path / "a.c"])
    await asyncio.sleep(0.05)
    watcher._stirred.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await watcher.close()
