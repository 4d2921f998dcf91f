"""Every command that a document or a message names exists: the cheap ones run, the others pass the real parser."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from documented import DOCUMENTS, EXAMPLE, ROOT, Command, in_document, options, sessions, told

from tutor.cli import context
from tutor.cli.arguments import make_parser
from tutor.cli.main import COMMANDS, main
from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.content.workspace import Workspace
from tutor.core.exercise import Course
from tutor.core.progress import ExerciseProgress, Progress
from tutor.store.home import Home, cache_tag
from tutor.store.progress import ProgressStore

# What builds, times, watches or waits for a person has tests of its own: here its words are only parsed.
PARSED = {"start", "check", "bench", "verify", "diagnose"}
TOLD = told()
MLTUTOR = [command for command in TOLD if command.program == "mltutor"]
MAKE = [command for command in TOLD if command.program == "make"]
OTHERS = [command for command in TOLD if command.program not in ("mltutor", "make")]
SESSIONS = [one for path in DOCUMENTS for one in sessions(path)]
OPTIONS = [one for path in DOCUMENTS if "lessons" not in path.parts for one in options(path)]


@pytest.fixture(scope="module")
def course() -> Course:
    return load_course()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, own_libraries: Callable[[Path], None]) -> Path:
    """One home for the module: `doctor` asks each toolchain once, which takes seconds."""
    made = tmp_path_factory.mktemp("documented")
    own_libraries(made / "cache" / cache_tag())
    return made


@pytest.fixture
def learner(tmp_path: Path, home: Path, course: Course, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A learner who has edited the example, put it back once, and says yes when asked."""
    monkeypatch.setenv("MLTUTOR_HOME", str(home))
    monkeypatch.setenv("MLTUTOR_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setattr(context, "interactive", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _question: "y")
    monkeypatch.chdir(ROOT)
    workspace, exercise = Workspace(tmp_path / "workspace"), find_exercise(course, EXAMPLE)
    workspace.start(exercise)
    first = workspace.paths(exercise)[0]
    for text in ("/* mine */\n", "/* mine again */\n"):
        first.write_text(text + first.read_text(encoding="utf-8"), encoding="utf-8")
        workspace.reset(exercise)
    first.write_text("/* the latest */\n", encoding="utf-8")
    store = ProgressStore(Home.locate().progress)
    store.update(lambda _: Progress({EXAMPLE: ExerciseProgress(runs=1)}, EXAMPLE))
    return first


def parsed(words: list[str]) -> argparse.Namespace:
    """The arguments as mltutor reads them; words that it does not know fail the test."""
    try:
        return make_parser().parse_args(words)
    except SystemExit:
        pytest.fail(f"mltutor does not know these words: {words}")


def test_the_documents_are_read() -> None:
    """The collector finds what README shows in columns, beside a slash, in a span that is wrapped."""
    texts = {command.text.partition("  #")[0].strip() for command in in_document(ROOT / "README.md")}
    shown = {"make start", "make test", "mltutor list", "mltutor bench cy-decay --against solution", "mltutor undo"}
    assert shown <= texts
    assert {"README.md", "docs/diagnostics.md"} <= {str(command.path.relative_to(ROOT)) for command in TOLD}
    assert {one.text for one in OPTIONS} >= {"--no-mouse", "--workspace", '--launcher "srun --overlap"'}


def test_a_wrong_command_would_be_found() -> None:
    for text in ("mltutor fly", "mltutor list --sideways", "mltutor hint --level two"):
        with pytest.raises(pytest.fail.Exception):
            parsed(Command(ROOT / "README.md", 1, text).spellings()[-1][1:])


@pytest.mark.parametrize("command", MLTUTOR, ids=str)
def test_mltutor_knows_the_command(
    command: Command, learner: Path, course: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in command.spellings():
        if words[1:] in (["--help"], ["--version"]):
            assert main(words[1:]) == 0
            continue
        if words[1] == "diagnose" and all(word.startswith("-") for word in words[2:]):
            words.append("pass")  # named in a sentence, without what it examines
        arguments = parsed(words[1:])
        assert arguments.command in COMMANDS
        named = getattr(arguments, "exercise", None) or []
        for exercise in [named] if isinstance(named, str) else named:
            find_exercise(course, exercise)
        if arguments.command in PARSED or getattr(arguments, "bench", False):
            continue
        code = main(words[1:])
        out, err = capsys.readouterr()
        assert code == 0, f"{words} returned {code}: {err}"
        assert out or "no terminal" in err, f"{words} said nothing"


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_mltutor_has_the_option(option: Command) -> None:
    """Somewhere: the sentence around it says where."""
    groups = make_parser()._subparsers
    assert groups is not None
    known = {
        name
        for action in groups._group_actions
        for parser in (action.choices or {}).values()  # type: ignore[union-attr]
        for name in parser._option_string_actions
    }
    assert option.text.split()[0] in known


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize("command", MAKE, ids=str)
def test_make_knows_the_target(command: Command) -> None:
    """`make -n` plans the target without running it; `make help` is cheap enough to run."""
    words = command.spellings()[-1]
    plan = words if words[1:] == ["help"] else [words[0], "-n", *words[1:]]
    done = subprocess.run(plan, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", OTHERS, ids=str)
def test_other_programs_know_the_command(command: Command) -> None:
    """pip, cargo and python -m: the subcommand or module exists, and its help names the options."""
    words = command.spellings()[-1]
    help_words = {
        "pip": [sys.executable, "-m", "pip", words[1], "--help"],
        "cargo": ["cargo", words[1], "-h"],
        "rustc": words,
    }.get(words[0], [sys.executable, *words[1:3], "--help"])
    if shutil.which(help_words[0]) is None:
        pytest.skip(f"there is no {words[0]} here")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PAGER": "cat"}
    done = subprocess.run(
        help_words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    for option in (word for word in words if word.startswith("--") and word not in help_words):
        assert option in done.stdout, f"{command.program} has no {option}"


@pytest.fixture(scope="module")
def beside_libview(tmp_path_factory: pytest.TempPathFactory, course: Course) -> Path:
    """A folder with the library of lesson 1, as its README has it."""
    folder = tmp_path_factory.mktemp("libview")
    source = find_exercise(course, "cpp-view").folder / "solution" / "view.cpp"
    command = ["g++", "-std=c++20", "-O1", "-fPIC", "-shared", "-o", str(folder / "libview.so"), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


@pytest.mark.skipif(shutil.which("g++") is None or shutil.which("nm") is None, reason="g++ and nm (binutils)")
@pytest.mark.parametrize("session", SESSIONS, ids=str)
def test_a_session_runs_as_it_is_printed(session: Command, beside_libview: Path) -> None:
    """A block of `$ ` lines runs to its end and says something on every line."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for line in session.text.splitlines():
        done = subprocess.run(
            line, shell=True, cwd=beside_libview, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
        assert done.returncode == 0, f"{line}: {done.stderr}"
        assert done.stdout.strip(), f"{line} printed nothing"
