"""Kept versions from the command line and in plain mode."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Cli
from test_plain import Watch

RIGHT = "return 2 * x"


def solve(file: Path) -> None:
    file.write_text(file.read_text().replace("return x", RIGHT))


def test_versions_are_listed_and_brought_back(cli: Cli, started: Callable[[str], Path]) -> None:
    file = started("demo-double")
    assert "no other version of demo-double is kept yet" in cli("undo", "demo-double", "--list").out
    file.write_text("mine\n")
    assert cli("reset", "demo-double", "--yes").code == 0
    listed = cli("undo", "demo-double", "--list")
    assert "before reset" in listed.out
    assert "+1 -" in listed.out
    document = json.loads(cli("undo", "demo-double", "--list", "--json").out)
    (version,) = document["versions"]
    assert (version["kind"], version["why"], version["files"]) == ("replaced", "reset", {"double.py": "mine\n"})
    assert cli("undo", "demo-double", "--to", "99").code == 2
    result = cli("undo", "demo-double", "--to", str(version["number"]))
    assert result.code == 0
    assert file.read_text() == "mine\n"
    assert cli("undo", "demo-double").code == 0
    assert "return x" in file.read_text()


def test_in_a_workspace_behind_a_link_the_folder_says_which_exercise(
    cli: Cli, started: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    double, total = started("demo-double"), started("demo-total")
    link = tmp_path / "link"
    link.symlink_to(cli.workspace)
    monkeypatch.setenv("MLTUTOR_WORKSPACE", str(link))
    for file in (double, total):
        file.write_text("mine\n")
        assert cli("reset", file.parent.name, "--yes").code == 0
    monkeypatch.chdir(double.parent)
    assert "demo-double" in cli("undo").out  # though demo-total was reset last
    assert double.read_text() == "mine\n"
    assert cli("reset", "--yes").code == 0
    assert "mine" not in double.read_text()
    assert "mine" not in total.read_text()


@pytest.mark.slow
def test_the_last_pass_can_be_compared_with(cli: Cli, started: Callable[[str], Path]) -> None:
    file = started("demo-double")
    missing = cli("diff", "demo-double", "--against", "pass")
    assert (missing.code, "that passed was kept" in missing.err) == (2, True)
    solve(file)
    assert cli("check", "demo-double").code == 0
    file.write_text(file.read_text().replace(RIGHT, "return x * 2"))
    result = cli("diff", "demo-double", "--against", "pass", "--json")
    (changed,) = json.loads(result.out)["files"]
    assert "-    return x * 2" in changed["diff"]
    assert f"+    {RIGHT}" in changed["diff"]


@pytest.mark.slow
def test_the_whole_course_can_be_done_in_plain_lines(cli: Cli) -> None:
    watch = Watch("demo-double", "--plain")
    try:
        watch.until("FAIL demo-double")
        watch.type("s")
        watch.until("`s yes` shows the solution")
        watch.type("d solution")
        watch.until("then it can be compared with")
        watch.type("d")
        watch.until("lines with - are yours, with + the starter's")
        watch.until("double.py: no difference")
        watch.type("d nonsense")
        watch.until("compare with solution, starter or pass")
        watch.type("v")
        watch.until("no other version is kept yet")
        watch.type("raw")
        watch.until("== three becomes six: fail ==")
        watch.until("all of this is in")
        assert "twice(3): got 3, want 6" in (cli.workspace / ".mltutor" / "output.txt").read_text()
        watch.type("g")
        watch.until("2 Second steps")
        watch.until("0 of 2 passed")
        watch.type("f sum")
        watch.until("1.1 demo-total: A sum (C++)")
        watch.type("l")
        watch.until("0 of 2 passed")
        watch.type("c")
        watch.until("demo-double has no benchmark")
        watch.type("s yes")
        watch.until(RIGHT)
        solve(cli.workspace / "demo-double" / "double.py")
        watch.until("PASS demo-double")
        watch.type("reset")
        watch.until("FAIL demo-double")
        watch.type("v")
        watch.until("before reset")
        watch.until("undo N brings one back")
        watch.type("undo 1")
        watch.until("PASS demo-double")
        watch.type("undo x")
        watch.until("undo takes the number of a version")
        watch.type("?")
        watch.until("q: quit")
        watch.type("q")
        assert watch.process.wait(60) == 0
    finally:
        watch.close()
