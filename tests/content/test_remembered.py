"""The kept survey: as good as a new one, and gone as soon as any file of the tree has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutor.content.course import survey
from tutor.content.remembered import remembered_survey


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """The roots that were really surveyed."""
    asked: list[Path | None] = []

    def count(root: Path | None) -> object:
        asked.append(root)
        return survey(root)

    monkeypatch.setattr("tutor.content.course.survey", count)
    return asked


def test_the_second_start_reads_no_manifest(lessons: Path, tmp_path: Path, counted: list[Path | None]) -> None:
    first, _ = remembered_survey(lessons, tmp_path / "cache")
    second, problems = remembered_survey(lessons, tmp_path / "cache")
    assert first == second == survey(lessons)[0]
    assert problems == ()
    assert counted == [lessons]


def test_a_change_anywhere_in_the_tree_is_seen(
    lessons: Path, total: Path, tmp_path: Path, counted: list[Path | None]
) -> None:
    remembered_survey(lessons, tmp_path / "cache")
    manifest = total / "exercise.toml"
    manifest.write_text(manifest.read_text().replace('title = "', 'title = "Another '))
    changed, _ = remembered_survey(lessons, tmp_path / "cache")
    assert any(exercise.title.startswith("Another ") for exercise in changed.exercises)
    (total / "solution" / "more.h").write_text("// given\n")
    more, _ = remembered_survey(lessons, tmp_path / "cache")
    assert any("more.h" in exercise.given for exercise in more.exercises)
    (total / "bench.py").write_text((total / "bench.py").read_text() + "\n# more\n")
    remembered_survey(lessons, tmp_path / "cache")
    assert len(counted) == 4
    next(iter((total / "faults").iterdir())).unlink()
    assert remembered_survey(lessons, tmp_path / "cache")[1]
    assert len(counted) == 5


def test_what_a_patch_says_is_no_matter_of_a_survey(
    lessons: Path, total: Path, tmp_path: Path, counted: list[Path | None]
) -> None:
    remembered_survey(lessons, tmp_path / "cache")
    patch = next(iter((total / "faults").iterdir()))
    patch.write_text(patch.read_text() + "\n")
    remembered_survey(lessons, tmp_path / "cache")
    assert counted == [lessons]


def test_problems_are_told_at_every_start(
    lessons: Path, total: Path, tmp_path: Path, counted: list[Path | None]
) -> None:
    (total / "exercise.toml").write_text("id = 3\n")
    for _ in range(2):
        _, problems = remembered_survey(lessons, tmp_path / "cache")
        assert problems
    assert len(counted) == 2


def test_a_damaged_or_unwritable_file_is_no_matter(lessons: Path, tmp_path: Path, counted: list[Path | None]) -> None:
    cache = tmp_path / "cache"
    remembered_survey(lessons, cache)
    file = cache / "course.pickle"
    file.write_bytes(file.read_bytes()[:40])
    assert remembered_survey(lessons, cache)[0].exercises
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert remembered_survey(lessons, blocked / "cache")[0].exercises
    assert len(counted) == 3
