"""Planted extensions as modules of a folder, and one worker that answers questions about them."""

from __future__ import annotations

import asyncio
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tutor.core.diagnosis import Diagnosis
from tutor.core.finding import Severity
from tutor.engine.diagnose import Question, ask, open_worker
from tutor.store.home import Home

DEFECTS = Path(__file__).parents[1] / "probe" / "defects.c"
SETUP = """
import sys
sys.path.insert(0, {folder!r})
import defects, stripped
class C: pass
x, many = C(), [C() for _ in range(9)]
"""


@dataclass(frozen=True)
class Asker:
    """`ask(statement)` about modules of `folder`; `codes` of what was found, notes left out."""

    loop: asyncio.AbstractEventLoop
    worker: object
    folder: Path

    def __call__(self, statement: str, setup: str = SETUP, seconds: float = 20.0, **options: object) -> Diagnosis:
        question = Question(statement, setup.replace("{folder!r}", repr(str(self.folder))), seconds, **options)  # type: ignore[arg-type]
        return self.loop.run_until_complete(ask(self.worker, question))  # type: ignore[arg-type]

    def codes(self, statement: str, **options: object) -> list[str]:
        diagnosis = self(statement, **options)  # type: ignore[arg-type]
        assert diagnosis.problem is None, diagnosis.problem
        return [f.finding.code for f in diagnosis.findings if f.finding.severity is not Severity.NOTE]


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`defects` with debug lines, `stripped` with nothing but its init function."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("the probe attaches on x86-64 Linux only")
    if shutil.which("gcc") is None or not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        pytest.skip("needs gcc and Python.h")
    folder = tmp_path_factory.mktemp("planted")
    for name, flags in {"defects": ("-g1",), "stripped": ("-s",)}.items():
        text = DEFECTS.read_text(encoding="utf-8").replace("PyInit_defects", f"PyInit_{name}")
        source = folder / f"{name}.c"
        source.write_text(text.replace('"defects"', f'"{name}"').replace('"defects.', f'"{name}.'), encoding="utf-8")
        words = ["gcc", "-O2", "-w", "-shared", "-fPIC", *flags, f"-I{sysconfig.get_paths()['include']}", str(source)]
        subprocess.run([*words, "-o", str(folder / f"{name}.so")], check=True)
    return folder


@pytest.fixture(scope="session")
def asker(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    home = tmp_path_factory.mktemp("home")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = open_worker(Home(home / "state", home / "cache", home / "config"))
    yield Asker(loop, worker, planted)
    loop.run_until_complete(worker.close())
    loop.close()


@pytest.fixture(scope="session")
def marked() -> Callable[[str], int]:
    """The line with `MARK name` in defects.c."""
    lines = DEFECTS.read_text(encoding="utf-8").splitlines()
    return lambda name: next(i for i, line in enumerate(lines, 1) if f"MARK {name} " in line)
