"""What a machine means for the lessons."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tutor.content.course import load_course
from tutor.toolchains import readiness
from tutor.toolchains.readiness import LessonReadiness, look


def test_every_lesson_is_told_and_says_why_it_does_not_run() -> None:
    machine = look(load_course())
    assert [lesson.number for lesson in machine.lessons] == list(range(1, 9))
    assert {*machine.here, *machine.wanting} == set(machine.lines)
    for lesson in machine.lessons:
        assert bool(lesson.why) == (lesson.status != "ok")


@pytest.mark.usefixtures("fresh_probes")
def test_without_tools_every_lesson_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", "CARGO_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    machine = look(load_course())
    by_number = {lesson.number: lesson for lesson in machine.lessons}
    assert by_number[1].status == "missing"
    assert by_number[2].text == "skipped: cargo was not found"
    assert [line.status for line in machine.wanting][:2] == ["missing", "missing"]


def test_without_a_gpu_cuda_is_only_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "programs", SimpleNamespace(gpu_capability=lambda: ()))
    lesson = next(lesson for lesson in look(load_course()).lessons if lesson.number == 7)
    assert "op-quant-cuda" in {*lesson.compiled, *lesson.skipped}
    assert lesson.status != "ok"


@pytest.mark.parametrize(
    ("lesson", "status", "text"),
    [
        (LessonReadiness(1, "A", 1), "ok", "its exercise runs"),
        (LessonReadiness(1, "A", 6), "ok", "all 6 exercises run"),
        (LessonReadiness(1, "A", 1, ("x",), (), ("no cargo",)), "missing", "skipped: no cargo"),
        (LessonReadiness(1, "A", 1, (), ("x",), ("no GPU",)), "missing", "only compiled: no GPU"),
        (
            LessonReadiness(1, "A", 6, ("x", "y"), ("z",), ("no torch", "no GPU")),
            "limited",
            "3 of 6 run; 2 are skipped; z is only compiled: no torch, no GPU",
        ),
    ],
)
def test_a_lesson_in_one_line(lesson: LessonReadiness, status: str, text: str) -> None:
    assert (lesson.status, lesson.text) == (status, text)
