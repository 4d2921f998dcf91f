"""Every listing of the lessons' READMEs compiles and does what is said of it.

listings/LESSON/ holds programs with lines `@listing N`, each of which stands for the N-th listing of that lesson. What
is compiled comes first, by the engine, as an exercise of the same lesson is; then the Python files run beside it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.core.exercise import Exercise
from tutor.engine import snapshot
from tutor.engine.workbench import Workbench
from tutor.store.home import Home
from tutor.toolchains.compilers import compiler

COURSE = load_course()
FRAMES = Path(__file__).parent / "listings"
LESSONS = {lesson.folder.name: lesson for lesson in COURSE.lessons}
LISTING = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PLACE = re.compile(r"^([ ]*)(?://|#|/\*) @listing (\d+)(?: \*/)?$", re.MULTILINE)
# The exercise whose toolchain and packages a program is built with, by lesson or by program.
LIKE = {
    "02_rust": "rs-bpe",
    "02_rust/arrays.rs": "rs-minhash",
    "03_c_extensions": "capi-refs",
    "05_cython": "cy-prange",
    "06_pybind11": "pb-gil",
    "06_pybind11/tensors.cpp": "pb-tensor",
    "07_torch_ops": "op-quant",
}


def listings(lesson: str) -> list[str]:
    """What the fences with a language hold, in the README's order."""
    text = (LESSONS[lesson].folder / "README.md").read_text(encoding="utf-8")
    return [match[2] for match in LISTING.finditer(text)]


def filled(frame: Path) -> str:
    """A program with the listings in it."""
    found = listings(frame.parent.name)
    return PLACE.sub(
        lambda place: textwrap.indent(found[int(place[2]) - 1].rstrip("\n"), place[1]), frame.read_text("utf-8")
    )


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_listing_has_its_place_in_a_program(lesson: str) -> None:
    placed = [int(match[2]) for frame in (FRAMES / lesson).iterdir() for match in PLACE.finditer(frame.read_text())]
    assert sorted(placed) == list(range(1, len(listings(lesson)) + 1))


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS)
def test_the_listings_do_what_is_said(lesson: str, course_home: Home, tmp_path: Path) -> None:
    frames = sorted(FRAMES.joinpath(lesson).iterdir())
    native, scripts = [f for f in frames if f.suffix != ".py"], [f for f in frames if f.suffix == ".py"]
    places = [str(tmp_path)]
    if lesson in LIKE:
        places += asyncio.run(build(course_home, native, tmp_path))
    else:
        for frame in native:
            run_program(frame, tmp_path)
    for script in scripts:
        (tmp_path / script.name).write_text(filled(script), encoding="utf-8")
        must_end_well([sys.executable, str(FRAMES / "shown.py"), script.name], tmp_path, places)


async def build(home: Home, frames: Sequence[Path], folder: Path) -> list[str]:
    """The extension modules of a lesson, each under the name of its program; where what they import lies."""
    places: dict[str, None] = {}
    async with Workbench(home, lambda event: None) as workbench:
        for frame in frames:
            like, files = like_an_exercise(frame)
            taken = snapshot.of({name: text.encode() for name, text in files.items()})
            built = await workbench.builder.build(like, taken)
            assert built.artifact is not None, f"{frame.name}:\n{built.raw}"
            places |= dict.fromkeys(built.artifact.sys_path)
            shutil.copy(built.artifact.path, folder)
    return list(places)


def like_an_exercise(frame: Path) -> tuple[Exercise, dict[str, str]]:
    """The exercise that is built with this program in place of its files."""
    lesson = frame.parent.name
    like = find_exercise(COURSE, LIKE.get(f"{lesson}/{frame.name}", LIKE.get(lesson, "")), None)
    files = {frame.name: filled(frame)}
    if like.toolchain == "rust":
        cargo = {name: (like.solution / name).read_text(encoding="utf-8") for name in ("Cargo.toml", "Cargo.lock")}
        cargo = {name: text.replace(f'"{like.module}"', f'"{frame.stem}"') for name, text in cargo.items()}
        files = {"src/lib.rs": filled(frame), **cargo}
    made = replace(like, id=f"listing-{frame.stem}", module=frame.stem, files=tuple(files), given=())
    return made, files


def run_program(frame: Path, folder: Path) -> None:
    """A program of its own, without a warning."""
    driver = {".c": "cc", ".cpp": "c++"}[frame.suffix]
    source = folder / frame.name
    source.write_text(filled(frame), encoding="utf-8")
    flags = ("-std=c++20", "-Wall", "-Wextra", "-Werror", "-o", frame.stem)
    must_end_well([compiler().driver(driver), *flags, frame.name], folder)
    must_end_well([str(folder / frame.stem)], folder)


def must_end_well(argv: Sequence[str], folder: Path, places: Sequence[str] = ()) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}{done.stderr}"
