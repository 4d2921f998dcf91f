"""Planted extensions as modules of a folder, and one worker that answers questions about them."""

from __future__ import annotations

import asyncio
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from statement_asker import DEFECTS, Asker

from tutor.engine.diagnose import open_worker
from tutor.store.home import Home


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`defects` with debug lines, `stripped` with nothing but its init function, `mute` that fails without a word."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("the probe attaches on x86-64 Linux only")
    if shutil.which("gcc") is None or not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        pytest.skip("needs gcc and Python.h")
    folder = tmp_path_factory.mktemp("planted")
    for name, flags in {"defects": ("-g1",), "stripped": ("-s",), "mute": ("-DMUTE",)}.items():
        text = DEFECTS.read_text(encoding="utf-8").replace("PyInit_defects", f"PyInit_{name}")
        source = folder / f"{name}.c"
        source.write_text(text.replace('"defects"', f'"{name}"').replace('"defects.', f'"{name}.'), encoding="utf-8")
        words = ["gcc", "-O2", "-w", "-shared", "-fPIC", *flags, f"-I{sysconfig.get_paths()['include']}", str(source)]
        subprocess.run([*words, "-o", str(folder / f"{name}.so")], check=True)
    _plant_bundled(folder)
    if shutil.which("g++") is not None:
        _plant_sized(folder)
    return folder


def _plant_sized(folder: Path) -> None:
    """`sized`, in C++, with one form of delete of its own; it asks for that form before it asks for the plain one."""
    words = ["g++", "-O2", "-g1", "-w", "-fPIC", f"-I{sysconfig.get_paths()['include']}"]
    here, own = Path(__file__).parent, str(folder / "own_delete.o")
    subprocess.run([*words, "-fno-plt", "-c", str(here / "own_delete.cpp"), "-o", own], check=True)
    subprocess.run([*words, "-shared", str(here / "sized.cpp"), own, "-o", str(folder / "sized.so")], check=True)


def _plant_bundled(folder: Path) -> None:
    """`caller`, which takes its memory from a library of its own."""
    here = Path(__file__).parent
    words = ["gcc", "-O2", "-g1", "-w", "-shared", "-fPIC", f"-I{sysconfig.get_paths()['include']}"]
    own = str(folder / "libgetter.so.1")
    subprocess.run([*words, str(here / "getter.c"), "-Wl,-soname,libgetter.so.1", "-o", own], check=True)
    module = [str(here / "caller.c"), own, f"-Wl,-rpath,{folder}", "-o", str(folder / "caller.so")]
    subprocess.run([*words, *module], check=True)


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
