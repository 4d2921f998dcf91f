"""Bad input: the exit code, a message that says what, a remedy that says what to do, and nothing lost."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import LESSONS, ROOT, Cli

from tutor.cli import main as entry


@pytest.fixture
def spoilt(cli: Cli, tmp_path: Path) -> Cli:
    """The command line over lessons of which demo-total is malformed."""
    lessons = tmp_path / "lessons"
    shutil.copytree(LESSONS, lessons)
    manifest = lessons / "01_first" / "01_total" / "exercise.toml"
    manifest.write_text(manifest.read_text().replace("time_limit = 5.0", 'time_limit = "5"'))
    return replace(cli, lessons=lessons)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 96 KiB; skips where mounting is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_unknown_exercise_suggests_the_nearest(cli: Cli) -> None:
    result = cli("check", "demo-totl")
    assert result.code == 2
    assert result.err == "mltutor: no exercise 'demo-totl'\n  did you mean demo-total or demo-double?\n"


def test_an_error_under_json_is_a_document_too(cli: Cli) -> None:
    result = cli("check", "nope", "--json")
    assert result.code == 2
    assert json.loads(result.out)["error"] == {
        "message": "no exercise 'nope'",
        "remedy": "`mltutor list` shows them all",
        "exit_code": 2,
    }


@pytest.mark.parametrize(
    "words", [(), ("nonsense",), ("check", "--nope"), ("verify", "--jobs", "0"), ("completion", "dos")]
)
def test_wrong_usage_is_exit_code_2(cli: Cli, words: tuple[str, ...]) -> None:
    capture = cli.capture
    assert entry.main(list(words)) == 2
    assert "usage: mltutor" in capture.readouterr().err


def test_malformed_exercise_is_told_with_file_key_and_line_and_the_rest_works(spoilt: Cli) -> None:
    result = spoilt("list")
    assert result.code == 0
    assert result.err == (
        "mltutor: LESSONS/01_first/01_total/exercise.toml:7: `time_limit`: expected float, got str\n".replace(
            "LESSONS", "TMP/lessons"
        )
    )
    assert "demo-double" in result.out
    assert spoilt("show", "demo-total").code == 2


def test_nothing_but_malformed_exercises_is_an_error(spoilt: Cli) -> None:
    shutil.rmtree(spoilt.lessons / "02_second")
    result = spoilt("list")
    assert result.code == 2
    assert "exercise.toml:7" in result.err


def test_missing_lessons_folder(cli: Cli, tmp_path: Path) -> None:
    result = replace(cli, lessons=tmp_path / "none")("list")
    assert result.code == 2
    assert "no such folder of lessons: TMP/none" in result.err


@pytest.mark.parametrize("word", ["corrupt", "newer"])
def test_unreadable_progress_is_kept_and_told(cli: Cli, word: str) -> None:
    state = cli.home / "state"
    state.mkdir(parents=True)
    content = b"{" if word == "corrupt" else b'{"schema": 99}'
    (state / "progress.json").write_bytes(content)
    result = cli("progress")
    assert result.code == 0
    assert "TMP/home/state/progress.json can't be used" in result.err
    (kept,) = state.glob(f"progress.json.{word}-*")
    assert kept.read_bytes() == content
    assert cli("progress").err == "", "told once"


def test_read_only_workspace(cli: Cli, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for words in (("start", "demo-double"), ("reset", "demo-double", "--yes"), ("check", "demo-double")):
        result = cli(*words, "--workspace", str(small_disk / "w"))
        assert result.code == 3, words
        assert "mounted read-only" in result.err
        assert "--workspace DIR" in result.err


def test_full_disk_loses_nothing(cli: Cli, small_disk: Path, started: Callable[[str], Path]) -> None:
    where = replace(cli, tmp_path=small_disk)
    assert where.workspace == small_disk / "workspace"
    folder = small_disk / "workspace" / "demo-double"
    folder.mkdir(parents=True)
    (folder / "double.py").write_bytes(b"mine" * 5000)
    with (small_disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    result = cli("reset", "demo-double", "--yes", "--workspace", str(small_disk / "workspace"))
    assert result.code == 3
    assert "disk is full" in result.err
    assert (folder / "double.py").read_bytes() == b"mine" * 5000
    check = cli("check", "demo-double", "--workspace", str(small_disk / "workspace"))
    assert check.code in (0, 1, 3), "told, never a traceback"
    assert (folder / "double.py").read_bytes() == b"mine" * 5000


@pytest.mark.parametrize("words", [("start", "demo-total"), ("check", "demo-total"), ("list",), ("progress",)])
def test_a_full_disk_under_home_and_workspace_is_told(
    cli: Cli, small_disk: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MLTUTOR_HOME", str(small_disk / "home"))
    monkeypatch.setenv("MLTUTOR_WORKSPACE", str(small_disk / "workspace"))
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    result = cli(*words)
    if words[0] in ("start", "check"):
        assert result.code == 3
        assert "No space left" in result.err or "disk is full" in result.err
        assert "  " in result.err, "a remedy"
    else:
        assert (result.code, result.err) == (0, "")


def test_no_network_for_cargo_is_the_machines_fault_with_its_remedy(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "no crates here"))
    monkeypatch.setenv("CARGO_NET_OFFLINE", "true")
    result = replace(cli, lessons=ROOT / "lessons")("check", "rs-bpe")
    assert result.code == 3
    assert "there is no network" in result.out
    assert "Go online once" in result.out


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2), ("", 2)])
def test_a_terminal_is_asked_before_the_work_is_replaced(
    cli: Cli, started: Callable[[str], Path], answer: str, code: int
) -> None:
    file = started("demo-double")
    file.write_text("mine")
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    words = [sys.executable, "-m", "tutor.cli.main", "reset", "demo-double", "--lessons", str(LESSONS)]
    done = subprocess.run(words, stdin=theirs, stdout=theirs, stderr=theirs, check=False, timeout=120, cwd=ROOT)
    os.close(theirs)
    assert b"[y/N]" in os.read(ours, 1 << 16)
    os.close(ours)
    assert done.returncode == code
    assert (file.read_text() == "mine") == (code != 0)


def test_nothing_to_undo(cli: Cli) -> None:
    result = cli("undo")
    assert result.code == 2
    assert "nothing to undo" in result.err


def test_what_can_not_be_asked_is_not_done(cli: Cli, started: Callable[[str], Path]) -> None:
    file = started("demo-double")
    file.write_text("mine")
    for words in (("reset", "demo-double"), ("solution", "demo-double"), ("diff", "demo-double")):
        result = cli(*words)
        assert result.code == 2, words
        assert "--yes" in result.err
    assert file.read_text() == "mine"


def test_reset_and_undo_bring_back_bytes_that_are_no_utf8(cli: Cli, started: Callable[[str], Path]) -> None:
    file = started("demo-double")
    file.write_bytes(b"\xff\xfe mine")
    assert cli("diff", "demo-double", "--yes").code == 0
    assert cli("diff", "demo-double", "--yes", "--json").code == 0
    assert cli("reset", "demo-double", "--yes").code == 0
    assert file.read_bytes() != b"\xff\xfe mine"
    assert cli("undo").code == 0
    assert file.read_bytes() == b"\xff\xfe mine"


def test_a_defect_of_ours_is_exit_code_4_with_the_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(entry.COMMANDS, "next", "tutor.cli.main:none_such")
    result = cli("next")
    assert result.code == 4
    assert "Traceback" in result.err
    assert "this is a bug in mltutor" in result.err


def test_ctrl_c_is_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "_find", lambda _: interrupt)
    result = cli("next")
    assert (result.code, result.err) == (130, "\ninterrupted\n")


def test_a_reader_that_goes_away_is_no_traceback(cli: Cli) -> None:
    words = [sys.executable, "-m", "tutor.cli.main", "list", "--lessons", str(LESSONS)]
    running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    errors = running.stderr.read()
    running.stderr.close()
    assert running.wait(60) == 128 + signal.SIGPIPE
    assert errors == b""


def test_no_locale_gives_ascii(cli: Cli) -> None:
    result = cli.process("list", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert result.code == 0
    assert result.out.isascii()
    assert ". 1.1  demo-total" in result.out


def test_reset_terminal_without_a_terminal_says_so(cli: Cli) -> None:
    result = cli("reset-terminal")
    assert result.code == 0
    assert "no terminal" in result.err


def test_the_command_line_loads_nothing_heavy(cli: Cli) -> None:
    heavy = ("torch", "numpy", "textual", "rich", "pytest", "tutor.engine", "tutor.ui")
    code = "import sys; from tutor.cli.main import main; main(['--help']); "
    code += f"print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


def test_colour_only_where_wanted(cli: Cli) -> None:
    import pty

    def run(**environment: str) -> bytes:
        words = [sys.executable, "-m", "tutor.cli.main", "list", "--lessons", str(LESSONS)]
        master, slave = pty.openpty()
        with subprocess.Popen(words, stdout=slave, stdin=slave, cwd=ROOT, env={**os.environ, **environment}) as running:
            os.close(slave)
            shown = b""
            try:
                while chunk := os.read(master, 65536):
                    shown += chunk
            except OSError:
                pass
            assert running.wait(60) == 0
        os.close(master)
        return shown

    assert b"\x1b[" in run(TERM="xterm-256color")
    assert b"\x1b[" not in run(TERM="xterm-256color", NO_COLOR="1").replace(b"\x1b[1m", b"").replace(
        b"\x1b[2m", b""
    ).replace(b"\x1b[0m", b"")
    assert b"\x1b[" not in run(TERM="dumb")
