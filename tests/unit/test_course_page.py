"""The page of results: what was measured, what was not and why, headlines first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.course_page import ExtraBytes, Machine, Results, Row, duration, page, size, times
from benchmarks.course_results import rows_of
from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.core.verdict import BenchResult, Outcome, Verdict

MACHINE = Machine(
    "2030-01-02", "A CPU", 4, "x86_64", "3.12.1", "g++ 13.2", {"gcc": "13.2"}, {"numpy": "2.3"}, 0.1, 0.2, 9
)
ROW = Row("3.1", "capi-refs", "cext", "batch", "a list", 1.5, None, True, 2.04, 1.9, 2.2, 1e-4, 2e-4, 12, True)


def lines_of(*rows: Row, extra: tuple[ExtraBytes, ...] = (), untimed: tuple[str, ...] = ()) -> list[str]:
    return page(Results(MACHINE, 3, rows, extra, untimed)).splitlines()


def test_headlines_come_first_and_in_their_order():
    rows = [replace(ROW, exercise=name, case="x") for name in ("op-swa", "capi-refs", "capi-evt1")]
    lines = lines_of(*rows)
    upper = "\n".join(lines[: lines.index("## The machine")])
    assert upper.index("capi-evt1") < upper.index("op-swa")
    assert "capi-refs" not in upper
    assert sum("| capi-refs |" in line for line in lines) == 1


def test_a_row_shows_ratio_interval_and_target():
    (line,) = (line for line in lines_of(ROW) if "capi-refs" in line)
    assert line == "| 3.1 | capi-refs | batch | a list | 200 µs | 100 µs | **2.04x** (1.9x to 2.2x) | 1.5x | yes |"


@pytest.mark.parametrize(
    ("met", "gated", "word"), [(False, True, "**no**"), (None, True, "too noisy"), (None, False, "(1.5x)")]
)
def test_what_was_not_met_is_not_hidden(met, gated, word):
    assert any(word in line for line in lines_of(replace(ROW, met=met, gated=gated)))


def test_extra_bytes_and_exercises_without_target_are_told():
    text = "\n".join(
        lines_of(
            replace(ROW, exercise="op-rope"),
            extra=(ExtraBytes("op-rope", "prefill", 0, 100_700_000),),
            untimed=("op-fake",),
        )
    )
    assert "solution 0 bytes, baseline 100.7 MB" in text
    assert "Without a speed target: op-fake." in text


def test_every_declared_case_gets_a_row():
    exercise = find_exercise(load_course(), "cy-gae", None)
    spec = exercise.bench[0]
    result = BenchResult(spec.case, spec.baseline, 1000.0, 900.0, 1100.0, spec.target, True, pairs=9)
    rows = rows_of(exercise, [Verdict("cy-gae", "d", Outcome.FAIL, "bench", bench=(result,), message="it broke")])
    assert [row.case for row in rows] == [one.case for one in exercise.bench]
    assert (rows[0].ratio, rows[0].problem) == (1000.0, "")
    assert {row.problem for row in rows[1:]} == {"failed: it broke"}


def test_the_middle_of_the_rounds_counts():
    exercise = find_exercise(load_course(), "ct-layout", None)
    spec = exercise.bench[0]
    verdicts = [
        Verdict(exercise.id, "d", Outcome.PASS, "bench", bench=(BenchResult(spec.case, "", ratio, 1, 99, 8.0, True),))
        for ratio in (30.0, 10.0, 20.0)
    ]
    assert [row.ratio for row in rows_of(exercise, verdicts)] == [20.0]
    broken = Verdict(exercise.id, "d", Outcome.FAIL, "bench", message="a wrong output")
    assert [row.problem for row in rows_of(exercise, [*verdicts[:2], broken])] == ["failed: a wrong output"]


def test_a_machine_without_a_gpu_is_told():
    exercise = find_exercise(load_course(), "op-quant-cuda", None)
    verdict = Verdict(exercise.id, "d", Outcome.SKIPPED, "build", message="what needs a GPU did not run: none here")
    assert [row.problem for row in rows_of(exercise, [verdict])] == ["not run: no GPU"] * len(exercise.bench)


def test_numbers_are_short():
    assert [times(ratio) for ratio in (0.5, 2.345, 53.21, 1352.4)] == ["0.5x", "2.35x", "53.2x", "1,352x"]
    assert [duration(s) for s in (2.0, 0.0123, 4.56e-5, 7e-9)] == ["2 s", "12.3 ms", "45.6 µs", "7 ns"]
    assert [size(number) for number in (0, 4096, 100_700_000)] == ["0 bytes", "4,096 bytes", "100.7 MB"]
