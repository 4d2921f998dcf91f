"""A small lesson tree that each test may spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tutor.content.course import load_course
from tutor.core.exercise import Course, Exercise

DEMO = Path(__file__).resolve().parents[1] / "cli" / "lessons"


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
