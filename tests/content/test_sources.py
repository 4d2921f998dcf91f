"""Files of an exercise, faults planted by patches, and digests."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tutor.content.sources import digest, fault_line, faulted_files, given_files, solution_files, starter_files
from tutor.core.errors import ContentError
from tutor.core.exercise import Exercise


def test_solution_starter_and_given_files(exercise: Exercise) -> None:
    assert b"sum += values[i]" in solution_files(exercise)["total.c"]
    assert b"TODO" in starter_files(exercise)["total.c"]
    assert set(solution_files(exercise)) == set(starter_files(exercise)) == {"total.c"}
    assert given_files(exercise) == {"total.h": (exercise.solution / "total.h").read_bytes()}


def test_fault_is_planted_and_its_line_known(exercise: Exercise) -> None:
    fault = exercise.faults[0]
    files = faulted_files(exercise, fault)
    assert set(files) == {"total.c", "total.h"}
    assert files["total.c"] == solution_files(exercise)["total.c"].replace(b"i = 0", b"i = 1")
    assert fault_line(exercise, fault) == 3
    assert fault_line(exercise, replace(fault, at="")) is None
    assert fault_line(exercise, replace(fault, line=7)) == 7


def test_text_on_no_or_several_lines_is_refused(exercise: Exercise) -> None:
    for at, where in (("nowhere", "no line"), ("sum", "lines 4, 5, 6")):
        with pytest.raises(ContentError, match=where):
            fault_line(exercise, replace(exercise.faults[0], at=at))


def spoil(total: Path, old: str, new: str) -> None:
    patch = total / "faults" / "first-skipped.patch"
    patch.write_text(patch.read_text().replace(old, new))


def test_a_patch_that_does_not_fit_is_refused(total: Path, exercise: Exercise) -> None:
    spoil(total, "double sum = 0;", "float sum = 0;")
    with pytest.raises(ContentError, match="does not apply") as caught:
        faulted_files(exercise, exercise.faults[0])
    assert caught.value.file == total / "faults" / "first-skipped.patch"
    assert "diff -u" in caught.value.remedy


def test_a_patch_of_an_unknown_file_is_refused(total: Path, exercise: Exercise) -> None:
    spoil(total, "/total.c", "/other.c")
    with pytest.raises(ContentError, match=r"changes other\.c, which"):
        faulted_files(exercise, exercise.faults[0])


def test_a_patch_without_a_change_is_refused(total: Path, exercise: Exercise) -> None:
    (total / "faults" / "first-skipped.patch").write_text("nothing\n")
    with pytest.raises(ContentError, match="no change"):
        faulted_files(exercise, exercise.faults[0])


def test_digest_tells_names_and_contents_apart() -> None:
    digests = [digest(files) for files in ({}, {"a": b"bc"}, {"ab": b"c"}, {"a": b"b", "c": b""}, {"a": b"bd"})]
    assert len(set(digests)) == len(digests)
    assert digest({"a": b"1", "b": b"2"}) == digest({"b": b"2", "a": b"1"})
    assert all(len(one) == 16 for one in digests)
