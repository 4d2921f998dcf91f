"""The plain watch mode: numbered lines where no screen can be drawn."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from watch import Terminal, Watch

from tutor.cli.commands.start import plain_reason
from tutor.cli.output import Output
from tutor.cli.plain import PlainWatch
from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.core import events as e
from tutor.core.finding import Finding
from tutor.core.state import RunState, State
from tutor.core.verdict import CheckResult, Outcome, Verdict

pytestmark = pytest.mark.slow


@pytest.fixture
def watch(cli: Cli) -> Iterator[Watch]:
    running = Watch("demo-double", "--plain")
    yield running
    running.close()


def test_a_save_is_seen_judged_and_told(cli: Cli, watch: Watch) -> None:
    first = watch.until("mltutor watches in plain mode (--plain)")
    assert re.match(r"001 \d\d:\d\d:\d\d ", first)
    watch.until("watching by")
    # Who listens to this hears first what to mend, then the details.
    assert "FAIL; " in watch.until(" result: ")
    assert "mend first: double.py:" in watch.lines[-1]
    watch.until("FAIL demo-double")
    file = cli.workspace / "demo-double" / "double.py"
    file.write_text(file.read_text().replace("return x", "return 2 * x"))
    watch.until("saved: double.py")
    assert "PASS; 1 check" in watch.until(" result: ")
    watch.until("PASS demo-double")
    watch.until("that was the last one")
    watch.type("h")
    watch.until("hint 1 of 3")
    watch.until("Two.")
    watch.type("dance")
    watch.until("unknown: dance")
    watch.type("n")
    watch.until("no other exercise")
    watch.type("v")
    watch.until("kept")
    watch.until("undo N brings one back")
    watch.type("g")
    watch.until("2 passed")
    watch.type("x")  # the app's keys are known too
    watch.until("your files are now: starter")
    watch.until("FAIL demo-double")
    watch.type("u")
    watch.until("PASS demo-double")
    watch.type("o")
    watch.until("all of this is in")
    watch.type("q")
    assert watch.process.wait(60) == 0
    assert all(line.isascii() for line in watch.lines)
    assert not any("\x1b" in line for line in watch.lines)


def test_the_same_failure_in_three_versions_is_met_with_an_offer(cli: Cli, watch: Watch) -> None:
    watch.until("FAIL demo-double")
    file = cli.workspace / "demo-double" / "double.py"
    starter = file.read_text()
    for number in (3, 4):
        file.write_text(starter.replace("return x", f"return {number} * x"))
        watch.until("FAIL demo-double")
    assert "wrong-result 3 times in a row: h opens hint 1 of 3" in watch.until("in a row")
    file.write_text(starter.replace("return x", "return 2 * x"))
    watch.until("from save to verdict")
    for stage in ("build", "checks", "the rest"):
        watch.until(f"  {stage}")
    watch.until("PASS demo-double")
    assert sum("in a row" in line for line in watch.lines) == 1


def test_sigterm_ends_it_cleanly(watch: Watch) -> None:
    watch.until("(demo-double)")
    watch.process.send_signal(signal.SIGTERM)
    assert watch.process.wait(60) == 0


def test_json_gives_one_document_a_run(cli: Cli) -> None:
    running = Watch("demo-double", "--json")
    try:
        text = ""
        while not text.endswith("}\n") or text.count("{") != text.count("}"):
            text += running.until("")
        assert json.loads(text)["verdict"] == "fail"
        running.type("q")
        assert running.process.wait(60) == 0
    finally:
        running.close()


def test_when_no_screen_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain_reason(True) == "--plain"
    assert plain_reason(False) == "no terminal"
    monkeypatch.setattr("tutor.cli.commands.start.interactive", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert plain_reason(False) == "TERM=dumb"
    monkeypatch.setenv("TERM", "xterm")
    assert plain_reason(False) is None


def test_without_a_terminal_it_says_so_and_ends_with_stdin_quit(cli: Cli) -> None:
    result = cli.process("start", "demo-double", stdin="q\n", TERM="dumb")
    assert result.code == 0, result.err
    assert "plain mode (no terminal)" in result.out
    assert Path(cli.workspace / "demo-double" / "README.md").exists()
    assert os.listdir(cli.workspace / "demo-double")


def test_what_is_typed_before_the_exercise_is_open_waits_for_it(cli: Cli) -> None:
    result = cli.process("start", "demo-double", stdin="n\nundo \N{SUPERSCRIPT TWO}\nq\n", TERM="dumb")
    assert result.code == 0, result.err
    assert "there is no other exercise in that direction" in result.out
    assert "undo takes the number of a version" in result.out


def test_a_terminal_that_takes_nothing_for_a_while_ends_nothing(cli: Cli) -> None:
    """Output longer than a terminal holds: it is waited for, and the next line is obeyed."""
    file = cli.workspace / "demo-double" / "double.py"
    with Terminal("demo-double", "--plain") as there:
        there.until("FAIL demo-double")
        file.write_text(file.read_text() + "\nprint('a long line ' * 40_000)\n")
        there.until("saved: double.py")
        there.until("from save to verdict")
        there.type("raw")
        time.sleep(2)  # nobody reads
        there.type("q")
        there.until("all of this is in")
        assert there.ended(60) == 0
        assert there.blocks


def test_hints_are_shown_again_and_the_last_result_too(watch: Watch) -> None:
    watch.until("FAIL demo-double")
    watch.type("h 1")
    watch.until("only a hint that is open can be shown again")
    watch.type("h")
    watch.until("hint 1 of 3")
    watch.type("h")
    watch.until("h N shows hint N again")
    watch.type("h 1")
    watch.until("hint 1 of 3")
    watch.type("w")
    assert "FAIL; " in watch.until(" result: ")
    watch.until("FAIL demo-double")
    watch.type("m")
    watch.until("no messages")
    watch.type("b")
    watch.until("this exercise has no benchmark")


def test_an_editor_of_its_own_window_opens_at_the_line_to_mend(cli: Cli, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    script = tmp_path / "window"
    script.write_text(f'#!/bin/sh\necho "$@" > {opened}.new && mv {opened}.new {opened}\nsleep 100\n')
    script.chmod(0o755)
    running = Watch("demo-double", "--plain", "--edit-cmd", f"{script} {{line}} {{file}}")
    try:
        running.until("FAIL demo-double")
        running.type("e")
        assert "opened double.py at line" in running.until("opened double.py")
        line, file = opened.read_text().split()
        assert (int(line) > 0, file) == (True, str(cli.workspace / "demo-double" / "double.py"))
        running.type("q")
        assert running.process.wait(20) == 0
    finally:
        running.close()


def test_a_pass_that_a_sanitizer_takes_back_is_told(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    exercise = find_exercise(load_course(cli.lessons), "demo-double")
    passed = Verdict(exercise.id, "1", Outcome.PASS, "check", (CheckResult("it", Outcome.PASS),))
    found = e.Examined(1, "AddressSanitizer", "found", (Finding("out-of-bounds", "reads", "a.c", 3),))
    run = RunState(1, exercise.id, "1", 0.0, verdict=passed, examined=(found,))
    watch = PlainWatch.__new__(PlainWatch)
    watch.output, watch._line = Output.make(as_json=False, plain=True), 0
    watch._examined(found, State(current=exercise.id, run=run))
    said = capsys.readouterr().out
    assert "AddressSanitizer: found" in said
    assert "result: no longer passed; first mend a.c:3: reads" in said
