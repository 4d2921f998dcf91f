"""The lesson tree in order, and exercises found by id, number and path."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.content.texts import hints, readme
from tutor.core.errors import ContentError, UsageError
from tutor.core.exercise import Course


def test_course_is_read_in_order(course: Course) -> None:
    assert [(e.number, e.id) for e in course.exercises] == [("1.1", "demo-total"), ("2.1", "demo-double")]
    first = course.exercises[0]
    assert first.files == ("total.c",)
    assert first.given == ("total.h",)
    assert first.starter.stage == "check"
    assert first.bench[0].target == 1.5
    assert first.faults[0].code == "wrong-result"
    assert course.lessons[0].title == "First steps"


def test_what_a_build_leaves_in_a_solution_is_not_given(total: Path, lessons: Path) -> None:
    for name in ("__pycache__/x.pyc", "target/debug/big", "total.so"):
        (total / "solution" / name).parent.mkdir(parents=True, exist_ok=True)
        (total / "solution" / name).touch()
    assert load_course(lessons).exercises[0].given == ("total.h",)


@pytest.mark.parametrize("text", ["demo-total", "DEMO-TOTAL", "1.1", "01.01"])
def test_exercise_is_found_by_id_or_number(course: Course, text: str) -> None:
    assert find_exercise(course, text).id == "demo-total"


def test_exercise_is_found_by_path(course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = tmp_path / "workspace"
    (workspace / "demo-double").mkdir(parents=True)
    assert find_exercise(course, str(workspace / "demo-double" / "double.py"), workspace).id == "demo-double"
    monkeypatch.chdir(workspace / "demo-double")
    assert find_exercise(course, ".", workspace).id == "demo-double"
    link = tmp_path / "link"
    link.symlink_to(workspace)
    assert find_exercise(course, str(link / "demo-double"), workspace).id == "demo-double"
    assert find_exercise(course, str(course.exercises[0].folder / "solution" / "total.c"), workspace).id == "demo-total"


def test_unknown_id_suggests_the_nearest(course: Course) -> None:
    with pytest.raises(UsageError) as caught:
        find_exercise(course, "demo-totl")
    assert caught.value.remedy.startswith("did you mean demo-total")
    with pytest.raises(UsageError) as caught:
        find_exercise(course, "qqq")
    assert "mltutor list" in caught.value.remedy


def test_an_id_that_occurs_twice_is_refused_and_both_places_named(lessons: Path, total: Path) -> None:
    shutil.copytree(total, total.with_name("02_again"))
    with pytest.raises(ContentError) as caught:
        load_course(lessons)
    assert caught.value.file == total.with_name("02_again") / "exercise.toml"
    assert caught.value.line == 1
    assert str(total / "exercise.toml") in caught.value.message


def test_unknown_prerequisite_is_refused_with_the_nearest(lessons: Path) -> None:
    file = lessons / "02_second" / "01_double" / "exercise.toml"
    file.write_text(file.read_text().replace('["demo-total"]', '["demo-totl"]'))
    with pytest.raises(ContentError) as caught:
        load_course(lessons)
    assert (caught.value.file, caught.value.line, caught.value.key) == (file, 7, "requires")
    assert "demo-total" in caught.value.remedy


def test_a_folder_without_lessons_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        load_course(tmp_path / "none")
    with pytest.raises(UsageError):
        load_course(tmp_path)


def test_texts_are_read(course: Course) -> None:
    exercise = course.exercises[0]
    assert readme(exercise).startswith("# A sum")
    assert hints(exercise) == ("A loop.", "From 0 to `n`.", "`sum += values[i];`")


def test_misnumbered_hints_are_refused(total: Path, course: Course) -> None:
    (total / "hints.md").write_text("## Hint 1\na\n## Hint 3\nb\n")
    with pytest.raises(ContentError) as caught:
        hints(course.exercises[0])
    assert caught.value.line == 3


def test_hints_without_headings_are_no_hints(total: Path, course: Course) -> None:
    (total / "hints.md").write_text("Look at the loop.\n")
    assert hints(course.exercises[0]) == ()


def test_the_lessons_that_come_with_mltutor_can_be_read() -> None:
    course = load_course()
    assert len({exercise.id for exercise in course.exercises}) == len(course.exercises) > 0
