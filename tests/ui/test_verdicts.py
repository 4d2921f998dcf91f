from pathlib import Path

import fake_session as fakes
from msgspec.structs import replace

from tutor.core import events as e
from tutor.core.verdict import CheckResult, Outcome


async def test_a_build_error_is_shown_on_the_learners_line_with_a_caret_and_its_meaning(stage):
    async with stage() as s:
        await s.play(*fakes.build_error())
        await s.press("2")
        lines = s.text.splitlines()
        at = next(i for i, line in enumerate(lines) if "PyObject *out = PyList_New(n)" in line)
        assert lines[at + 1].index("^") == lines[at].index("PyList_New(n)") + len("PyList_New(n)")
        assert "no semicolon at its end" in s.text
        assert "FAIL  collate.c:7" in s.text


async def test_raw_output_is_one_key_away_and_brackets_are_text(stage):
    async with stage() as s:
        raw = "/tmp/[bold]x[/] y/collate.c:7:3: error: [/nonsense] \x1b[31mred\x1b[0m [Wbogus=]\n"
        await s.play(*fakes.started(), e.BuildFinished(1, False, (), raw, 0.1))
        await s.press("o")
        assert "/tmp/[bold]x[/] y/collate.c:7:3: error: [/nonsense] red [Wbogus=]" in s.text
        await s.press("escape")
        assert "RUNNING" in s.text


async def test_failing_checks_say_why_and_the_finding_is_first(stage):
    async with stage((140, 40)) as s:
        await s.play(*fakes.failing())
        assert "✗ FAIL  collate.c:6  ref-leak: argument 0 (list) gains 1 reference a call" in s.text
        assert "✗ arguments keep their references" in s.text
        assert "after 4096 calls 229376 bytes more" in s.text
        assert "collating [1.0, 2.0]" in s.text
        assert "ref-leak  collate.c:6  · list  · +1 a call" in s.text


async def test_once_the_run_is_over_failures_come_first(stage):
    async with stage((140, 40)) as s:
        await s.play(*fakes.checked(1, True))
        assert s.text.index("sum is right") < s.text.index("arguments keep their references")
        await s.play(*fakes.failing(2))
        assert s.text.index("arguments keep their references") < s.text.index("sum is right")
        assert s.text.index("memory stays") < s.text.index("sum is right")


async def test_a_pass_names_the_speed_and_waits_for_n(stage):
    async with stage((140, 40)) as s:
        await s.play(*fakes.passing())
        assert "✓ PASS  6 checks" in s.text
        assert "n goes on to 3.2 Every call can fail" in s.text
        assert "★ gold" in s.text
        assert "target met" in s.text
        assert s.intents == [e.Open("capi-refs", run=True)]
        await s.press("n")
        assert s.intents[-1] == e.Open("capi-errors", run=True)


async def test_a_case_that_is_being_measured_is_not_called_noisy(stage):
    first, second = fakes.benches()
    so_far = replace(second, met=None)
    async with stage((140, 40)) as s:
        starting = e.StageStarted(1, "bench", second.case)
        await s.play(*fakes.checked(1, False), e.BenchMeasured(1, first, True), starting)
        await s.play(e.BenchMeasured(1, so_far, False))
        assert "· measuring" in s.text
        assert "noisy" not in s.text
        done = fakes.verdict(Outcome.PASS, checks=fakes.results(False), bench=(first, so_far), stage="bench")
        await s.play(e.BenchMeasured(1, so_far, True), e.RunFinished(1, done))
        assert "inconclusive: the machine is too noisy" in s.text


async def test_skipped_and_error_carry_their_remedy(stage):
    async with stage() as s:
        skipped = fakes.verdict(Outcome.SKIPPED, message="no cargo here", remedy="install rustup [stable]")
        await s.play(*fakes.started(), e.RunFinished(1, skipped))
        assert "– SKIPPED  no cargo here" in s.text
        assert "install rustup [stable]" in s.text
        error = fakes.verdict(Outcome.ERROR, message="the disk is full", remedy="free some space")
        await s.play(*fakes.started(2), e.RunFinished(2, error))
        assert "! ERROR  the disk is full" in s.text
        assert "free some space" in s.text
        long = fakes.verdict(Outcome.ERROR, message="word " * 40 + "end of the message", remedy="then " * 40 + "do it")
        await s.play(*fakes.started(3), e.RunFinished(3, long))
        await s.press("2")
        assert "end of the message" in s.text
        assert "do it" in s.text


async def test_a_cancelled_run_says_so_and_stale_events_change_nothing(stage):
    async with stage() as s:
        await s.play(*fakes.started(), e.RunCancelled(1, "newer save"))
        assert "STOPPED" in s.text
        await s.play(*fakes.started(2), *fakes.failing(1)[2:])
        assert "RUNNING" in s.text
        assert "FAIL" not in s.text


async def test_results_of_the_run_before_stay_until_the_next_one_reports(stage):
    async with stage((140, 40)) as s:
        await s.play(*fakes.failing(1))
        await s.play(*fakes.started(2))
        assert "RUNNING  building" in s.text
        assert "before this: fail" in s.text
        assert "arguments keep their references" in s.text
        await s.play(e.BuildFinished(2, False, (), "boom", 0.1))
        assert "arguments keep their references" not in s.text
        assert "not reached: the build failed" in s.text


async def test_a_missing_file_is_said_with_the_way_back(stage):
    async with stage() as s:
        await s.play(e.FileMissing("capi-refs", "/w/capi-refs/collate.c"))
        assert "MISSING  collate.c is gone" in s.text
        assert "press v (kept versions) or x (starter)" in s.text
        await s.play(e.FileMissing("capi-refs", "/w/capi-refs/collate.c", unreadable=True))
        assert "UNREADABLE  collate.c is there and can't be read" in s.text
        assert "owner and permissions" in s.text


async def test_the_status_line_says_how_it_watches_what_it_saw_and_what_runs(stage):
    async with stage((140, 40)) as s:
        await s.play(*fakes.failing())
        for words in ("watching by inotify + poll", "last save 14:13:08", "idle", "r runs now", "took 0.31 s"):
            assert words in s.text
        await s.play(*fakes.started(2, saved_at=fakes.NOW - 2.5), *fakes.preparing())
        assert "building gcc collate.c 2 s" in s.text
        assert "preparing 2/3 pybind11 headers 1/3" in s.text


async def test_learner_output_of_any_kind_is_harmless(stage):
    nasty = "\ud800 \x1b]0;title\x07\x1b[2J\x00 [bold] [/] {x} \u202e" + "y" * 5000 + "\n" * 50
    bad = CheckResult("test_[odd]", Outcome.FAIL, nasty, nasty, nasty)
    async with stage() as s:
        run = (*fakes.started(), e.BuildFinished(1, True), e.ChecksAnnounced(1, ("test_[odd]",)))
        await s.play(*run, e.CheckFinished(1, bad), e.RunFinished(1, fakes.verdict(Outcome.FAIL, checks=(bad,))))
        for key in ("1", "2", "3", "4", "5", "o"):
            await s.press(key)
        assert "\x1b" not in s.text
        assert "[bold] [/] {x}" in s.text


async def test_a_line_of_a_file_that_is_not_the_learners_is_not_promised_to_the_editor(stage):
    async with stage() as s:
        foreign = replace(fakes.LEAK, file="given/driver.cpp", line=8)
        started = (*fakes.started(1), e.BuildFinished(1, True, (), "", 0.1))
        done = replace(fakes.failing()[-1].verdict, findings=(foreign,))
        await s.play(*started, e.RunFinished(1, done))
        assert "e opens collate.c" in s.text
        assert "e opens line" not in s.text


async def test_of_a_long_path_the_end_is_shown_on_one_line(stage, monkeypatch):
    async with stage((60, 24)) as s:
        monkeypatch.setenv("HOME", "/nowhere")
        monkeypatch.setattr(s.app.material, "path", lambda exercise, name: Path("/very" * 20, exercise.id, name))
        await s.play(*fakes.build_error())
        await s.press("2")
        (line,) = [line for line in s.text.splitlines() if "your file" in line]
        assert line.rstrip().endswith("/capi-refs/collate.c")
        assert "…" in line
