"""check, bench, verify and build over real compilers and a real worker."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Cli, Result

from tutor.cli.output import Output
from tutor.cli.render.verdict import Report, show_report
from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.core.verdict import CheckResult, Outcome, Verdict

pytestmark = pytest.mark.slow

RIGHT = "double s = 0; for (size_t i = 0; i < n; i++) s += values[i]; return s;"
KEYS = {
    "schema",
    "exercise",
    "digest",
    "verdict",
    "stage",
    "message",
    "remedy",
    "checks",
    "findings",
    "bench",
    "seconds",
}
# Without these directories on PATH there is no compiler and no cargo, and the rest goes on working.
NO_TOOLS = {"PATH": "/nonexistent", "CARGO_HOME": "/nonexistent", "HOME": "/nonexistent"}


def solve(file: Path, body: str = RIGHT) -> None:
    """Put `body` in the place of the starter's gap of demo-total."""
    text = file.read_text()
    assert "return (double)n;" in text
    file.write_text(text.replace("return (double)n;", body))


def document(result: Result) -> dict[str, object]:
    """The one JSON document on stdout."""
    decoded = json.loads(result.out)
    assert isinstance(decoded, dict)
    return decoded


def test_the_starter_fails_with_findings_on_its_lines(cli: Cli) -> None:
    result = cli("check", "demo-total")
    assert result.code == 1, result.err
    for words in (
        "demo-total  A sum  1.1, C++",
        "TMP/workspace/demo-total/total.c",
        "build  ok",
        "checks  1 of 2 pass",
        "✓ nothing adds up to zero",
        "✗ numbers are added",
        "total of [1, 2, 4.5]: got 3.0, want 7.5",
        "wrong-result  total.c:3",
        "3 │ double total(const double *values, size_t n) {",
        "FAIL demo-total: 1 of 2 checks fail",
    ):
        assert words in result.out


def test_json_is_the_promised_document(cli: Cli) -> None:
    result = cli("check", "demo-double", "--json")
    assert result.code == 1, result.err
    shown = document(result)
    assert set(shown) == KEYS
    assert (shown["schema"], shown["exercise"], shown["verdict"], shown["stage"]) == (1, "demo-double", "fail", "check")
    assert shown["checks"] == [
        {"id": "three becomes six", "outcome": "fail", "message": "twice(3): got 3, want 6"},
    ]
    (finding,) = shown["findings"]  # type: ignore[misc]
    assert set(finding) == {"code", "message", "file", "line", "type", "per_call", "severity"}
    assert finding["file"] == "double.py"
    assert set(shown["seconds"]) == {"build", "check", "diagnose", "bench", "total"}  # type: ignore[call-overload]


def test_a_build_error_shows_the_learners_line_and_caret(cli: Cli, started: Callable[[str], Path]) -> None:
    solve(started("demo-total"), "return value[0];")
    result = cli("check", "demo-total")
    assert result.code == 1
    assert "build  failed" in result.out
    lines = result.out.splitlines()
    # gcc says a second thing of the same line
    at = next(i for i, line in enumerate(lines) if line.lstrip().startswith("6 │     return value[0];"))
    assert lines[at + 1].index("^") == lines[at].index("value[0]")
    assert lines[at + 1].rstrip().endswith("^~~~~")
    assert "FAIL demo-total" in result.out


def test_markup_and_escapes_in_compiler_output_stay_text(cli: Cli, started: Callable[[str], Path]) -> None:
    solve(started("demo-total"), "#error [/bold] [red]stop[/red] \x1b[31m\n")
    result = cli("check", "demo-total")
    assert result.code == 1
    assert "[/bold] [red]stop[/red]" in result.out
    assert "\x1b" not in result.out


def test_a_right_answer_passes_with_its_speed_and_is_remembered(cli: Cli, started: Callable[[str], Path]) -> None:
    solve(started("demo-total"))
    result = cli("check", "1.1")
    assert result.code == 0, result.out
    for words in ("speed", "thousand  on target", "target 1.5×", "PASS demo-total", "s from save to verdict"):
        assert words in result.out
    assert document(cli("progress", "--json"))["passed"] == 1
    assert "✓ 1.1  demo-total" in cli("list").out
    (record,) = [json.loads(line) for line in (cli.home / "state" / "history.jsonl").read_text().splitlines()]
    assert record["verdict"] == "pass"
    assert record["bench"][0]["met"] is True
    assert cli("solution", "demo-total").code == 0, "earned: no question"


def test_without_the_benchmark_nothing_is_passed_for_good(cli: Cli, started: Callable[[str], Path]) -> None:
    solve(started("demo-total"))
    result = cli("check", "demo-total", "--no-bench")
    assert result.code == 0
    assert "speed" not in result.out
    assert document(cli("progress", "--json"))["passed"] == 0


@pytest.mark.parametrize("against", ["baseline", "solution"])
def test_bench_gives_ratio_and_interval(cli: Cli, started: Callable[[str], Path], against: str) -> None:
    solve(started("demo-total"))
    result = cli("bench", "demo-total", "--against", against, "--json")
    assert result.code == 0, result.out
    shown = document(result)
    (case,) = shown["bench"]  # type: ignore[misc]
    assert set(case) == {"case", "baseline", "speedup", "low", "high", "target", "met"}
    assert case["low"] <= case["speedup"] <= case["high"]
    assert shown["checks"] == []


def test_diff_times_both(cli: Cli, started: Callable[[str], Path]) -> None:
    solve(started("demo-total"))
    result = cli("diff", "demo-total", "--yes", "--bench")
    assert result.code == 0, result.out
    assert "the solution" in result.out


def test_source_that_is_no_utf8_fails_with_its_line_and_stays(cli: Cli, started: Callable[[str], Path]) -> None:
    file = started("demo-total")
    solve(file)
    content = file.read_bytes() + b"// \xff\n"
    file.write_bytes(content)
    result = cli("check", "demo-total")
    assert result.code == 1
    assert "not UTF-8" in result.out
    assert f"total.c:{content.count(bytes([10]))}" in result.out
    assert file.read_bytes() == content


def test_no_compiler_is_a_missing_tool_with_its_remedy_not_a_wrong_answer(cli: Cli) -> None:
    result = cli.process("check", "demo-total", "--json", **NO_TOOLS)
    assert result.code == 3, result.out + result.err
    shown = document(result)
    assert shown["verdict"] in ("skipped", "error")
    assert shown["remedy"]
    assert shown["findings"] == []


def test_doctor_without_tools_says_how_to_get_them(cli: Cli) -> None:
    result = cli.process("doctor", "--json", **NO_TOOLS)
    assert result.code == 3, result.err
    shown = document(result)
    assert set(shown) == {"schema", "ok", "lines", "toolchains", "lessons"}
    assert shown["ok"] is False
    rows = {row["name"]: row for row in shown["toolchains"]}  # type: ignore[attr-defined]
    assert set(rows) == {"cxx", "rust", "cext", "ctypes", "cffi", "cython", "pybind11", "torch", "cuda"}
    first = shown["lessons"][0]  # type: ignore[index]
    assert (first["number"], first["skipped"]) == (1, ["demo-total"])
    assert first["why"]
    for name in ("cxx", "rust"):
        assert rows[name]["status"] == "missing"
        assert rows[name]["remedy"]
    assert all(set(row) == {"name", "status", "found", "meaning", "remedy"} for row in shown["lines"])  # type: ignore[attr-defined]


def test_doctor_here(cli: Cli) -> None:
    result = cli("doctor")
    assert result.code in (0, 3)
    for words in ("this machine", "Python.h", "toolchains", "cxx", "GB free", "1 First steps: its exercise runs"):
        assert words in result.out
    assert not cli.workspace.exists(), "doctor makes nothing"


def test_verify_tells_what_is_proved_and_what_not(cli: Cli, tmp_path: Path) -> None:
    lessons = tmp_path / "lessons"
    shutil.copytree(cli.lessons, lessons)
    double = lessons / "02_second" / "01_double" / "test_double.py"
    double.write_text("def test_three_becomes_six(built):\n    assert built.twice(3)\n")
    result = replace(cli, lessons=lessons)("verify", "--json", "--jobs", "2")
    assert result.code == 1, result.err
    shown = document(result)
    rows = {(r["exercise"], r["name"]): r for r in shown["rows"]}  # type: ignore[attr-defined]
    assert rows["demo-total", "starter"]["outcome"] == "pass"
    assert rows["demo-total", "solution"]["outcome"] == "pass", rows
    assert rows["demo-total", "faults/first-skipped.patch"]["outcome"] == "pass"
    assert rows["demo-double", "starter"] | {"seconds": 0} == {
        "exercise": "demo-double",
        "what": "starter",
        "name": "starter",
        "outcome": "fail",
        "message": "the starter passes",
        "seconds": 0,
        "verdict": rows["demo-double", "starter"]["verdict"],
    }
    assert shown["problems"] == []


def test_verify_as_a_table(cli: Cli) -> None:
    result = cli("verify", "demo-double", "--repeat", "2")
    assert "turn 2 of 2" in result.out
    assert result.out.count("✓ demo-double    solution") == 2
    assert "6 proofs: 4 pass, 2 fail" in result.out
    assert result.code == 1, "demo-double has no faults"


@pytest.mark.parametrize("subject", ["learner", "solution", "starter"])
def test_build_prints_an_artifact_that_stays(cli: Cli, subject: str) -> None:
    result = cli.process("build", "demo-total", MLTUTOR_SUBJECT=subject)
    assert result.code == 0, result.err
    artifact = document(replace(result, out=result.out.replace("TMP", str(cli.tmp_path))))
    assert artifact["kind"] == "library"
    assert os.path.getsize(str(artifact["path"])) > 0
    source = Path(artifact["sources"]["total.c"]).read_text()  # type: ignore[index]
    assert ("sum += values[i]" in source) == (subject == "solution")


def test_build_of_an_unknown_subject(cli: Cli) -> None:
    result = cli.process("build", "demo-total", MLTUTOR_SUBJECT="other")
    assert result.code == 2
    assert "learner, solution, starter" in result.err


def test_a_printed_line_without_an_end_is_cut(cli: Cli, started: Callable[[str], Path]) -> None:
    """A megabyte on one line would bury the verdict."""
    file = started("demo-double")
    file.write_text("def twice(x):\n    print('y' * 300_000)\n    return x\n")
    result = cli("check", "demo-double")
    assert result.code == 1
    assert "it printed:" in result.out
    assert 300 < result.out.count("y") < 1000


def test_forty_failing_checks_do_not_push_the_findings_away(cli: Cli) -> None:
    exercise = find_exercise(load_course(cli.lessons), "demo-double")
    checks = tuple(CheckResult(f"test_{number}", Outcome.FAIL, f"got {number}") for number in range(40))
    verdict = Verdict("demo-double", "d1", Outcome.FAIL, "check", checks, message="40 of 40 checks fail")
    show_report(Output.make(False, True), Report(exercise, verdict, {}, "double.py"))
    out = cli.capture.readouterr().out
    assert out.count("got ") == 8
    assert "and 32 more that fail" in out
