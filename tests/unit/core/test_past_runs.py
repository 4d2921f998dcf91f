"""Past runs: read back as they were written, counted by version, and the nudge that follows from them."""

from __future__ import annotations

import msgspec
import pytest

from tutor.core.finding import Finding, Severity
from tutor.core.history import PastRun, from_record, past_run, since, speeds, versions
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
    codes = frozenset({("slow", ""), ("layout", ""), ("ref-leak", "")})
    wanted = PastRun(12.5, "d1", Outcome.FAIL, "ref-leak", "with a line", {"case": 2.5}, took, codes)
    assert past_run(12.5, verdict) == wanted


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


def test_since_counts_the_unbroken_row_of_versions() -> None:
    leak, bounds = ("ref-leak", "float"), ("out-of-bounds", "")
    rows = [("a", {leak}), ("b", set()), ("c", {leak, bounds}), ("c", {leak}), ("d", {leak}), ("e", {leak, bounds})]
    past = [
        PastRun(float(at), digest, Outcome.FAIL, defects=frozenset(defects))
        for at, (digest, defects) in enumerate(rows)
    ]
    first, count = since(past, *leak) or (None, 0)
    assert (first and first.at, count) == (3.0, 3)
    assert since(past, *bounds) == (past[-1], 1)
    assert since(past, "ref-leak", "list") is None
    assert since((), *leak) is None


def test_defects_survive_the_history() -> None:
    finding = Finding("ref-leak", "kept", "a.c", 3, "float", 1.0)
    verdict = Verdict("x", "d1", Outcome.FAIL, "check", findings=(finding,))
    assert past_run(1.0, verdict).defects == {("ref-leak", "float")}
    record = {**verdict.document(), "at": 1.0}
    again = from_record(record)
    assert again is not None
    assert again.defects == {("ref-leak", "float")}
