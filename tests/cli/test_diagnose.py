"""`mltutor diagnose` as people and programs see it: words, document, exit codes."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from command_line import Cli
from syrupy.assertion import SnapshotAssertion

DEFECTS = Path(__file__).parents[1] / "engine" / "probe" / "defects.c"
needs_probe = pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux" or shutil.which("gcc") is None,
    reason="the probe is built with gcc and works on x86-64 Linux only",
)


@pytest.fixture
def setup(tmp_path: Path) -> str:
    """A setup that imports an extension with planted defects, stripped of all symbols."""
    words = ["gcc", "-O2", "-s", "-w", "-shared", "-fPIC", f"-I{sysconfig.get_paths()['include']}", str(DEFECTS)]
    subprocess.run([*words, "-o", str(tmp_path / "defects.so")], check=True)
    return f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import defects\nclass C: pass"


def stable(text: str) -> str:
    """Without offsets, which compilers choose, and versions."""
    text = re.sub(r"0x[0-9a-f]+", "OFFSET", text)
    return re.sub(r"Python 3\.\d+\.\d+\S*", "Python 3.X", text)


@needs_probe
@pytest.mark.slow
def test_something_found(cli: Cli, setup: str, snapshot: SnapshotAssertion) -> None:
    result = cli("diagnose", "-s", setup, "defects.append_leak(C())", "defects.clean_append_leak(C())")
    assert (result.code, result.err) == (1, "")
    assert stable(result.out) == snapshot


@needs_probe
@pytest.mark.slow
def test_nothing_found(cli: Cli, setup: str, snapshot: SnapshotAssertion) -> None:
    result = cli("diagnose", "-s", setup, "defects.clean_append_leak(C())")
    assert (result.code, result.err) == (0, "")
    assert stable(result.out) == snapshot


@needs_probe
@pytest.mark.slow
def test_the_document(cli: Cli, setup: str, snapshot: SnapshotAssertion) -> None:
    result = cli("diagnose", "-s", setup, "-s", "x = C()", "defects.argument_leak(x)", "--json")
    assert (result.code, result.err) == (1, "")
    document = json.loads(stable(result.out))
    assert document["seconds"] > 0
    assert document.pop("python").startswith("3.")
    assert document | {"seconds": 0.0} == snapshot


@needs_probe
@pytest.mark.slow
def test_a_crash_is_a_finding_of_a_command_that_lives(cli: Cli) -> None:
    result = cli("diagnose", "import os; os.abort()")
    assert result.code == 1
    assert "crash" in result.out
    assert "Aborted" in result.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("x ="), 2, "STATEMENT is not Python: invalid syntax in line 1"),
        (("-s", "def", "pass"), 2, "SETUP is not Python: "),
        ((" "), 2, "there is no statement to examine"),
        (("return 3"), 2, "STATEMENT is not Python: 'return' outside function in line 1"),
        (("--seconds", "0", "pass"), 2, "--seconds: must be more than 0"),
        ((), 2, "the following arguments are required: STATEMENT"),
    ],
)
def test_wrong_words(cli: Cli, words: tuple[str, ...] | str, code: int, said: str) -> None:
    result = cli("diagnose", *([words] if isinstance(words, str) else words))
    assert (result.code, result.out) == (code, "")
    assert said in result.err


@needs_probe
@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("1 / 0",), 2, "the statement raises ZeroDivisionError: division by zero in line 1"),
        (("-s", "1 / 0", "pass"), 2, "the setup raises ZeroDivisionError: division by zero in line 1"),
        (("-s", "import nowhere_to_be_found", "pass"), 3, "there is no module nowhere_to_be_found"),
        (("len([])",), 2, "the statement calls no extension module"),
    ],
)
def test_what_is_no_finding(cli: Cli, words: tuple[str, ...], code: int, said: str) -> None:
    result = cli("diagnose", *words)
    assert (result.code, result.out) == (code, "")
    assert said in result.err
    document = json.loads(cli("diagnose", *words, "--json").out)
    assert document["error"]["exit_code"] == code


def test_elsewhere_nothing_is_checked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    result = cli("diagnose", "-s", "import math", "math.sqrt(2.5)")
    assert (result.code, result.out) == (3, "")
    assert "not checked here: the probe works on x86-64 Linux only" in result.err


@needs_probe
@pytest.mark.slow
def test_modules_of_the_current_folder_are_the_statements_own(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("from math import hypot")
    (tmp_path / "selectors.py").write_text("raise RuntimeError('this is not for the worker')")
    monkeypatch.chdir(tmp_path)
    result = cli("diagnose", "-s", "import mine", "mine.hypot(2.5, 3.5)")
    assert (result.code, result.err) == (0, "")
