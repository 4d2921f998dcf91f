"""What people see, word for word."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Cli
from syrupy.assertion import SnapshotAssertion

from tutor.cli.arguments import make_parser
from tutor.core.progress import ExerciseProgress
from tutor.store.progress import ProgressStore

COMMANDS = [
    "start", "list", "next", "show", "hint", "progress", "check", "bench", "verify", "diff", "solution", "reset",
    "undo", "diagnose", "doctor", "reset-terminal", "completion",
]  # fmt: skip


def have_passed(cli: Cli) -> None:
    """demo-total has passed, demo-double is the current one."""
    mine = ExerciseProgress("d1", 86400.0 * 365.5, {"thousand": 3.456}, 2, False, 4, 0)
    store = ProgressStore(cli.home / "state" / "progress.json")
    store.update(lambda p: type(p)({"demo-total": mine, "demo-double": ExerciseProgress(runs=1)}, "demo-double"))


@pytest.mark.skipif(
    "usage: x [-h]" not in argparse.ArgumentParser("x").format_usage(),
    reason="another argparse lays help out otherwise",
)
def test_help(cli: Cli, snapshot: SnapshotAssertion) -> None:
    result = cli.process("--help", COLUMNS="100")
    assert result.code == 0
    assert all(f"    {command} " in result.out or f"    {command}\n" in result.out for command in COMMANDS)
    assert "build  " not in result.out, "the hidden command is not listed"
    assert result.out == snapshot


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli: Cli, command: str) -> None:
    result = cli(command, "--help")
    assert result.code == 0
    assert result.out.startswith(f"usage: mltutor {command}")
    assert "--workspace DIR" in result.out


def test_list(cli: Cli, snapshot: SnapshotAssertion) -> None:
    have_passed(cli)
    assert cli("list") == snapshot


def test_list_in_ascii(cli: Cli, snapshot: SnapshotAssertion) -> None:
    have_passed(cli)
    result = cli("list", "--plain")
    assert result.out.isascii()
    assert result == snapshot


def test_next(cli: Cli, snapshot: SnapshotAssertion) -> None:
    assert cli("next") == snapshot


def test_show_leaves_brackets_alone(cli: Cli, snapshot: SnapshotAssertion) -> None:
    assert cli("show", "demo-total") == snapshot


def test_hints_open_one_by_one(cli: Cli, snapshot: SnapshotAssertion) -> None:
    assert [cli("hint", "demo-total") for _ in range(4)] == snapshot
    store = ProgressStore(cli.home / "state" / "progress.json")
    assert store.load()[0].of("demo-total").hints == 3


def test_hints_up_to_a_level(cli: Cli, snapshot: SnapshotAssertion) -> None:
    assert cli("hint", "demo-total", "--level", "2") == snapshot


def test_progress(cli: Cli, snapshot: SnapshotAssertion) -> None:
    have_passed(cli)
    assert cli("progress") == snapshot


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("next",),
        ("show", "demo-double"),
        ("hint", "demo-double"),
        ("progress",),
        ("solution", "demo-double", "--yes"),
        ("reset", "demo-double", "--yes"),
        ("undo", "demo-double"),
        ("diff", "demo-double", "--yes"),
    ],
    ids=lambda words: words[0],
)
def test_json(cli: Cli, started: Callable[[str], Path], snapshot: SnapshotAssertion, words: tuple[str, ...]) -> None:
    have_passed(cli)
    file = started("demo-double")
    file.write_text("# mine\n")
    if words[0] == "undo":
        cli("reset", "demo-double", "--yes")
    result = cli(*words, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == snapshot


def test_solution_and_diff(cli: Cli, started: Callable[[str], Path], snapshot: SnapshotAssertion) -> None:
    file = started("demo-total")
    file.write_text(file.read_text().replace("(void)values;", "(void)values;  // [/bold] x\x1b[31m\x07"))
    assert cli("diff", "demo-total", "--yes") == snapshot(name="side by side")
    assert cli("diff", "demo-total", "--against", "starter") == snapshot(name="starter")
    assert cli("solution", "demo-total", "--yes") == snapshot(name="solution")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_exercises(cli: Cli, shell: str) -> None:
    result = cli("completion", shell)
    assert result.code == 0
    assert "mltutor list --ids" in result.out
    assert "reset-terminal" in result.out


def test_completion_script_is_valid_bash(cli: Cli, tmp_path: Path) -> None:
    import subprocess

    script = tmp_path / "complete.bash"
    script.write_text(cli("completion", "bash").out)
    subprocess.run(["bash", "-n", script], check=True)


def test_ids_for_completion(cli: Cli) -> None:
    assert cli("list", "--ids").out == "demo-total\ndemo-double\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_parser_of_one_command_is_that_of_all_without_the_others(name: str) -> None:
    one, every = commands_of(make_parser(name)), commands_of(make_parser())
    assert list(one) == [name]
    assert one[name].format_help() == every[name].format_help()
    assert make_parser(name).format_usage() == make_parser().format_usage()


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    assert parser._subparsers is not None
    (action,) = parser._subparsers._group_actions
    assert isinstance(action.choices, dict)
    return action.choices


def test_global_options_stand_before_or_after_the_command() -> None:
    parser = make_parser()
    for words in (["--json", "--workspace", "x", "list"], ["list", "--json", "--workspace", "x"]):
        arguments = parser.parse_args(words)
        assert (arguments.json, arguments.workspace, arguments.plain) == (True, "x", False)
