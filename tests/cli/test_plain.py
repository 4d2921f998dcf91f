"""The plain watch mode: numbered lines where no screen can be drawn."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from watch import Watch

from tutor.cli.commands.start import plain_reason

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
