"""A malformed lesson file is refused with the file, the key and the line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tutor.content.course import load_course, survey
from tutor.content.toml_lines import line_of, parse_path
from tutor.core.errors import ContentError

# replaced text of demo-total's exercise.toml, by what, line, key, words of the message, words of the remedy
SPOILED = [
    ('id = "demo-total"', "id = demo", 1, "", "not TOML", ""),
    ('title = "A sum"', 'titel = "A sum"', 2, "titel", "unknown key", "`title`"),
    ('title = "A sum"', "", None, "", "`title` is missing", ""),
    ('title = "A sum"', "title = 3", 2, "title", "expected str, got int", ""),
    ('id = "demo-total"', 'id = "Total"', 1, "id", "not of the form", ""),
    ('toolchain = "cxx"', 'toolchain = "cpp"', 4, "toolchain", "cpp", ""),
    ('module = "total"', 'module = "to-tal"', 5, "module", "not an identifier", ""),
    ('files = ["total.c"]', 'files = ["totals.c"]', 6, "files", "solution/totals.c does not exist", ""),
    ('files = ["total.c"]', "files = []", 6, "files", "no file", ""),
    ('files = ["total.c"]', 'files = ["../total.c"]', 6, "files", "inside solution/", ""),
    ('files = ["total.c"]', 'files = "total.c"', 6, "files", "expected array, got str", ""),
    ("time_limit = 5.0", 'time_limit = "5"', 7, "time_limit", "expected float, got str", ""),
    ("time_limit = 5.0", "time_limit = 0", 7, "time_limit", "positive", ""),
    ("time_limit = 5.0", 'needs = ["tpu"]', 7, "needs[0]", "tpu", ""),
    ("time_limit = 5.0", 'number = "9.9"', 7, "number", "unknown key", ""),
    ('fails = "check"', 'fail = "check"', 10, "starter.fail", "unknown key", "`fails`"),
    ('fails = "check"', 'fails = "link"', 10, "starter.fails", "link", ""),
    ('fails = "check"', "", 9, "starter", "`fails` is missing", ""),
    ('codes = ["wrong-result"]', 'codes = ["wrong"]', 11, "starter.codes", "no finding code", ""),
    ('case = "thousand"', 'case = "million"', 14, "bench[0].case", "not a case of bench.py", "thousand"),
    ("target = 1.5", 'target = "1.5"', 16, "bench[0].target", "expected float, got str", ""),
    ("target = 1.5", "target = -1.5", 16, "bench[0].target", "positive", ""),
    ("target = 1.5", "target = 1.5\ngold = 1.0", 16, "bench[0].target", "gold", ""),
    ("target = 1.5", "", 13, "bench[0]", "`target` is missing", ""),
    ("faults/first-skipped.patch", "faults/none.patch", 19, "fault[0].patch", "does not exist", ""),
    ('code = "wrong-result"', 'code = "leak"', 20, "fault[0].code", "no finding code", ""),
    ('file = "total.c"\nat', 'file = "other.c"\nat', 21, "fault[0].file", "does not exist", ""),
    ('file = "total.c"\nat', "at", 21, "fault[0].at", "`at` needs `file`", ""),
    ("[[fault]]", "[fault]", 18, "fault", "expected array, got object", ""),
]


@pytest.mark.parametrize(("old", "new", "line", "key", "words", "remedy"), SPOILED)
def test_mistake_names_file_key_and_line(
    total: Path, lessons: Path, old: str, new: str, line: int | None, key: str, words: str, remedy: str
) -> None:
    file = total / "exercise.toml"
    text = file.read_text()
    assert text.count(old) >= 1
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(ContentError) as caught:
        load_course(lessons)
    error = caught.value
    assert (error.file, error.line, error.key) == (file, line, key)
    assert words in error.message
    assert remedy in error.remedy
    assert error.message.startswith(f"{file}:{line}: " if line else f"{file}: ")


@pytest.mark.parametrize("name", ["README.md", "hints.md", "bench.py", "test_total.py", "exercise.toml"])
def test_missing_file_is_named(total: Path, lessons: Path, name: str) -> None:
    (total / name).unlink()
    with pytest.raises(ContentError, match=re.escape("test_*.py" if name.startswith("test") else name)):
        load_course(lessons)


def test_lesson_toml_is_checked(lessons: Path) -> None:
    (lessons / "01_first" / "lesson.toml").write_text('title = "One"\nsumary = "x"\n')
    with pytest.raises(ContentError) as caught:
        load_course(lessons)
    assert (caught.value.line, caught.value.key, caught.value.remedy) == (2, "sumary", "did you mean `summary`?")


def test_bench_that_is_no_python_gives_its_line(total: Path, lessons: Path) -> None:
    (total / "bench.py").write_text("x = 1\nCASES = {\n")
    with pytest.raises(ContentError) as caught:
        load_course(lessons)
    assert caught.value.file == total / "bench.py"
    assert caught.value.line == 2


def test_toml_that_is_not_utf8_gives_its_line(total: Path, lessons: Path) -> None:
    file = total / "exercise.toml"
    file.write_bytes(file.read_bytes().replace(b"A sum", b"A s\xfcm"))
    with pytest.raises(ContentError) as caught:
        load_course(lessons)
    assert caught.value.line == 2


def test_a_broken_exercise_leaves_the_others_usable(total: Path, lessons: Path) -> None:
    (total / "exercise.toml").write_text("id = ")
    course, problems = survey(lessons)
    assert [exercise.id for exercise in course.exercises] == ["demo-double"]
    assert [problem.line for problem in problems] == [1]


def test_lines_of_keys_are_found_in_any_notation() -> None:
    text = '# bench = 1\na.b = 1\n[x.y]\nz = 2\n[[t]]\nq = 1\n[[t]]  # second\n"q" = 2\n'
    assert line_of(text, ("a", "b")) == 2
    assert line_of(text, ("x", "y", "z")) == 4
    assert line_of(text, ("t", 0, "q")) == 6
    assert line_of(text, ("t", 1, "q")) == 8
    assert line_of(text, ("t", 1, "missing")) == 7
    assert line_of(text, ("nothing",)) is None
    assert parse_path("$.t[1].q") == ("t", 1, "q")
