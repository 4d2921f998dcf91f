"""A course of one small C exercise, made for each test, and homes that no other test sees."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tutor.content.course import load_course
from tutor.core.exercise import Course, Exercise
from tutor.store.home import Home

HERE = Path(__file__).parent
collect_ignore = ["lessons", "wave"]


@pytest.fixture
def fake_worker() -> tuple[str, ...]:
    """The command of a worker that behaves as told."""
    return (sys.executable, str(HERE / "fake_worker.py"))


@pytest.fixture
def home(tmp_path: Path, own_libraries: Callable[[Path], None]) -> Home:
    own_libraries(tmp_path / "home" / "cache")
    return Home(tmp_path / "home" / "state", tmp_path / "home" / "cache", tmp_path / "home" / "config")


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """One exercise, `capi-add`: a C extension with one function, four faults, one benchmark case."""
    shutil.copytree(HERE / "lessons", tmp_path / "lessons")
    return load_course(tmp_path / "lessons")


@pytest.fixture
def exercise(course: Course) -> Exercise:
    (found,) = course.exercises
    return found
