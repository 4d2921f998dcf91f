"""A small lesson tree that each test may spoil."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tutor.content.course import load_course
from tutor.core.exercise import Course, Exercise
from tutor.store.home import Home

DEMO = Path(__file__).resolve().parents[1] / "cli" / "lessons"


@pytest.fixture(scope="session")
def course_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for all that is built of the real course: headers and crates are made once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def course_home(course_folder: Path) -> Iterator[Home]:
    """That home, in the environment too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLTUTOR_HOME", str(course_folder))
        yield Home.locate()


@pytest.fixture
def lessons(tmp_path: Path) -> Path:
    """A copy of the demonstration lessons: demo-total (C, one given header) and demo-double (Python)."""
    root = tmp_path / "lessons"
    shutil.copytree(DEMO, root, ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture
def total(lessons: Path) -> Path:
    """The folder of demo-total."""
    return lessons / "01_first" / "01_total"


@pytest.fixture
def course(lessons: Path) -> Course:
    return load_course(lessons)


@pytest.fixture
def exercise(course: Course) -> Exercise:
    """demo-total."""
    return course.exercises[0]
