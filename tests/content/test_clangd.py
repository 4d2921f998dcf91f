"""compile_commands.json and .clangd for the learner's editor."""

from __future__ import annotations

import json
from pathlib import Path

from tutor.content.clangd import CompileEntry, write


def entry(root: Path, name: str, *words: str) -> CompileEntry:
    return CompileEntry(root / name, root, ("clang", *words, name))


def commands(root: Path) -> dict[str, list[str]]:
    entries = json.loads((root / "compile_commands.json").read_text())
    return {Path(e["file"]).name: e["arguments"] for e in entries}


def test_entries_are_merged_by_file(tmp_path: Path) -> None:
    assert write(tmp_path, [entry(tmp_path, "a.c", "-O1"), entry(tmp_path, "b.c")])
    assert write(tmp_path, [entry(tmp_path, "a.c", "-O2")])
    assert commands(tmp_path) == {"a.c": ["clang", "-O2", "a.c"], "b.c": ["clang", "b.c"]}
    assert not (tmp_path / ".clangd").exists()


def test_equal_entries_touch_nothing(tmp_path: Path) -> None:
    write(tmp_path, [entry(tmp_path, "a.c")])
    before = (tmp_path / "compile_commands.json").stat().st_mtime_ns
    assert not write(tmp_path, [entry(tmp_path, "a.c")])
    assert not write(tmp_path, [])
    assert (tmp_path / "compile_commands.json").stat().st_mtime_ns == before


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "compile_commands.json").write_text("[{")
    write(tmp_path, [entry(tmp_path, "a.c")])
    assert set(commands(tmp_path)) == {"a.c"}


def test_cuda_gets_a_clangd_file_unless_the_learner_has_one(tmp_path: Path) -> None:
    write(tmp_path, [entry(tmp_path, "k.cu")], cuda_home=Path("/opt/cuda"))
    assert "--cuda-path=/opt/cuda" in (tmp_path / ".clangd").read_text()
    (tmp_path / ".clangd").write_text("CompileFlags: {}\n")
    write(tmp_path, [entry(tmp_path, "other.cu")])
    assert (tmp_path / ".clangd").read_text() == "CompileFlags: {}\n"
