"""The history: appended, never rewritten, readable after any accident."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tutor.core.errors import WorkspaceError
from tutor.store.history import History


def test_records_are_read_back_in_order(tmp_path: Path) -> None:
    history = History(tmp_path / "deep" / "history.jsonl")
    assert history.read() == []
    for number, name in enumerate(("a", "b", "a")):
        history.append({"exercise": name, "n": number})
    assert [r["n"] for r in history.read()] == [0, 1, 2]
    assert [r["n"] for r in history.read("a")] == [0, 2]


def test_half_a_line_of_a_killed_writer_spoils_only_itself(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append({"n": 1})
    with history.path.open("ab") as file:
        file.write(b'{"n": 2, "x')
    history.append({"n": 3})
    with history.path.open("ab") as file:
        file.write(b"\xff\xff\n[1]\n")
    assert [r["n"] for r in history.read()] == [1, 3]


def test_a_short_write_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append({"n": 1})
    before = history.path.read_bytes()
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    with pytest.raises(WorkspaceError, match="full"):
        history.append({"n": 2})
    assert history.path.read_bytes() == before


APPEND = """
import sys
from pathlib import Path
from tutor.store.history import History
for n in range(50):
    History(Path(sys.argv[1])).append({"who": sys.argv[2], "n": n, "text": "x" * 5000})
"""


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    running = [subprocess.Popen([sys.executable, "-c", APPEND, str(path), who]) for who in "ab"]
    assert [process.wait(120) for process in running] == [0, 0]
    records = History(path).read()
    assert len(records) == len(path.read_bytes().splitlines()) == 100
    assert [r["n"] for r in records if r["who"] == "a"] == list(range(50))


def test_the_recent_records_are_those_at_the_end_of_the_file(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    assert history.recent("a") == []
    for number in range(200):
        history.append({"exercise": "a" if number % 2 else "b", "n": number, "pad": "x" * 50})
    recent = [record["n"] for record in history.recent("a", 1000)]
    assert recent == list(range(201 - 2 * len(recent), 200, 2))
    assert 3 < len(recent) < 10
    assert len(history.recent("a")) == 100
