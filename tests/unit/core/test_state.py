from __future__ import annotations

from tutor.core import events as e
from tutor.core.finding import Finding
from tutor.core.state import State, reduce
from tutor.core.verdict import BenchResult, CheckResult, Outcome, Verdict


def play(*events: e.Event) -> State:
    state = State()
    for event in events:
        state = reduce(state, event)
    return state


def bench(case: str, speedup: float) -> BenchResult:
    return BenchResult(case, "loop", speedup, speedup, speedup, 2.0, True)


def test_a_run_collects_what_its_stages_report() -> None:
    finding = Finding("ref-leak", "leaks", "collate.c", 41)
    state = play(
        e.RunStarted(1, "capi-refs", "abc", 10.0),
        e.BuildFinished(1, True, raw="warning", seconds=0.1),
        e.ChecksAnnounced(1, ("a", "b")),
        e.CheckFinished(1, CheckResult("a", Outcome.PASS)),
        e.CheckFinished(1, CheckResult("b", Outcome.FAIL, findings=(finding,))),
    )
    assert state.run is not None
    assert state.run.active
    assert [c.id for c in state.run.checks] == ["a", "b"]
    assert state.run.findings == (finding,)


def test_events_of_an_older_run_change_nothing() -> None:
    before = play(e.RunStarted(1, "x", "1", 0.0), e.RunStarted(2, "x", "2", 1.0))
    late = Verdict("x", "1", Outcome.PASS, "bench")
    for event in (e.RunFinished(1, late), e.BuildFinished(1, True), e.RunCancelled(1), e.ChecksAnnounced(1, ("a",))):
        assert reduce(before, event) is before


def test_a_cancelled_run_is_over_without_a_verdict() -> None:
    state = play(e.RunStarted(1, "x", "1", 0.0), e.RunCancelled(1, "newer save"))
    assert state.run is not None
    assert not state.run.active
    assert state.run.verdict is None


def test_a_benchmark_case_is_replaced_by_its_newest_interval() -> None:
    state = play(
        e.RunStarted(1, "x", "1", 0.0),
        e.BenchMeasured(1, bench("small", 2.0), False),
        e.BenchMeasured(1, bench("large", 3.0), False),
        e.BenchMeasured(1, bench("small", 4.0), True),
    )
    assert state.run is not None
    assert {b.case: b.speedup for b in state.run.bench} == {"small": 4.0, "large": 3.0}


def test_turning_to_another_exercise_drops_the_run_of_the_old_one() -> None:
    state = play(e.ExerciseOpened("x"), e.RunStarted(1, "x", "1", 0.0))
    assert reduce(state, e.ExerciseOpened("x")).run is state.run
    assert reduce(state, e.ExerciseOpened("y")).run is None


def test_a_missing_file_is_shown_until_it_is_saved_again() -> None:
    state = play(e.FileMissing("x", "collate.c"))
    assert state.missing == "collate.c"
    assert reduce(state, e.SaveSeen("x", "collate.c", 5.0)).missing == ""


def test_only_the_newest_notices_are_kept() -> None:
    state = play(*(e.Notice("info", str(i)) for i in range(50)))
    assert [n.text for n in state.notices] == [str(i) for i in range(30, 50)]
