"""Past runs: read back as they were written, counted by version, and the nudge that follows from them."""

from __future__ import annotations

import msgspec
import pytest

from tutor.core.finding import Finding, Severity
from tutor.core.history import PastRun, from_record, past_run, speeds, versions
from tutor.core.nudge import nudge
from tutor.core.verdict import BenchResult, Outcome, Seconds, Verdict


def failed(digest: str, code: str = "ref-leak", message: str = "list gains 1") -> PastRun:
    return PastRun(1.0, digest, Outcome.FAIL, code, message)


def test_a_record_is_read_back_as_it_was() -> None:
    findings = (
        Finding("slow", "a note", severity=Severity.NOTE),
        Finding("layout", "no line"),
        Finding("ref-leak", "with a line\nand more", "a.c", 3),
    )
    bench = (BenchResult("case", "loop", 2.5, 2.4, 2.6, 2.0, True),)
    took = Seconds(0.1, 0.2, 0.0, 1.5, 2.0)
    verdict = Verdict("x", "d1", Outcome.FAIL, "bench", findings=findings, bench=bench, seconds=took)
    written = msgspec.json.decode(msgspec.json.encode({"at": 12.5, **verdict.document()}))
    assert from_record(written) == past_run(12.5, verdict)
    assert past_run(12.5, verdict) == PastRun(12.5, "d1", Outcome.FAIL, "ref-leak", "with a line", {"case": 2.5}, took)


@pytest.mark.parametrize("spoilt", [{}, {"at": "x"}, {"verdict": "won"}, {"findings": [1]}, {"bench": [{"case": 1}]}])
def test_a_record_of_another_make_is_passed_over(spoilt: dict[str, object]) -> None:
    whole = {"at": 1.0, "digest": "d", "verdict": "pass", "findings": [], "bench": [], "seconds": {}}
    assert from_record(whole) is not None
    assert from_record({**whole, **spoilt} if spoilt else {}) is None


def test_runs_of_the_same_version_count_once() -> None:
    runs = [PastRun(t, d, Outcome.PASS, speeds={"a": s}) for t, d, s in ((1, "x", 1.0), (2, "x", 1.5), (3, "y", 2.0))]
    assert [run.at for run in versions(runs)] == [2, 3]
    assert speeds((*runs, failed("z"), PastRun(5, "x", Outcome.PASS, speeds={"a": 1.2})), "a") == (1.5, 2.0, 1.2)
    assert speeds(runs, "b") == ()


def test_three_versions_with_the_same_finding_are_offered_the_next_hint() -> None:
    past = [failed("a"), failed("b"), failed("c")]
    offer = nudge(past, 1, 4)
    assert offer is not None
    assert offer.text == "ref-leak 3 times in a row: h opens hint 2 of 4"
    assert nudge(past[:2], 0, 4) is None
    assert nudge([], 0, 4) is None


def test_running_the_same_code_again_is_no_failure_more() -> None:
    assert nudge([failed("a"), failed("b"), failed("b"), failed("b")], 0, 4) is None


@pytest.mark.parametrize(
    "last", [failed("d", "layout"), PastRun(1, "d", Outcome.PASS), PastRun(1, "d", Outcome.ERROR), failed("d", "")]
)
def test_another_finding_or_a_pass_ends_the_row(last: PastRun) -> None:
    assert nudge([failed("a"), failed("b"), failed("c"), last], 0, 4) is None


def test_only_the_same_message_is_the_same_build_error() -> None:
    different = [failed(d, "build", f"error {d}") for d in "abc"]
    assert nudge(different, 0, 4) is None
    same = nudge([failed(d, "build", "expected ';'") for d in "abc"], 0, 4)
    assert same is not None
    assert same.failing == "the same build error 3 times in a row"


def test_when_no_hint_is_left_it_says_what_is() -> None:
    past = [failed(d, "slow") for d in "abcd"]
    spent, none = nudge(past, 4, 4), nudge(past, 0, 0)
    assert spent is not None
    assert none is not None
    assert spent.text == "below the target 4 times in a row: all hints are open, h shows them again"
    assert "s shows the solution" in none.text
