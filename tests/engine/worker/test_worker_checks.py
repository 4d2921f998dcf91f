"""Checks in forks: outcomes, crashes and limits, each reported while the others go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from worker_harness import Outcome, Planted, ZygoteClient, leaves_a_process, outcome, until

from tutor.core import protocol
from tutor.core.protocol import Limits
from tutor.core.verdict import Outcome as Verdict
from tutor.worker import crash
from tutor.worker.channel import Crashed

Run = Callable[..., Outcome]


def test_pass_and_fail_are_told_apart(run: Run, planted: Planted) -> None:
    seen = run(
        """
        def test_adds_right(built):
            assert built.add(1, 2) == 3

        def test_adds_wrong(built):
            got = built.add(1, 2)
            assert got == 4, f"1 + 2: got {got}, want 4"

        @pytest.mark.finds("dtype", at="no_exception")
        def test_named(built):
            assert built.add(1, 2) == 5
        """
    )
    assert seen.announced == ("adds right", "adds wrong", "named")
    assert seen.results["adds right"].outcome is Verdict.PASS
    wrong = seen.results["adds wrong"]
    assert (wrong.outcome, wrong.message) == (Verdict.FAIL, "1 + 2: got 3, want 4")
    assert (wrong.findings[0].code, wrong.findings[0].file) == ("wrong-result", "planted.c")
    assert wrong.findings[0].line == planted.line("static PyObject *add(")
    assert "got = 3" in wrong.detail
    named = seen.results["named"].findings[0]
    assert (named.code, named.line) == ("dtype", planted.line("static PyObject *no_exception("))
    assert seen.done.outcome == "failed"


def test_crashes_name_their_line_and_others_report(run: Run, planted: Planted) -> None:
    seen = run(
        """
        def test_segfault(built):
            built.touch_null()

        def test_abort(built):
            built.give_up()

        def test_fine(built):
            assert built.add(2, 2) == 4
        """
    )
    segfault, abort = seen.results["segfault"], seen.results["abort"]
    assert segfault.findings[0].code == "crash"
    assert segfault.findings[0].line == planted.line("HERE touch_null")
    assert "Segmentation fault in touch_null" in segfault.message
    assert segfault.output == "printed before"
    assert abort.findings[0].line == planted.line("HERE give_up")
    assert seen.results["fine"].outcome is Verdict.PASS


def test_endless_loop_that_holds_the_gil_times_out(run: Run, planted: Planted) -> None:
    seen = run("def test_it(built):\n    built.spin()\n", limits=Limits(seconds=0.5))
    finding = seen.only.findings[0]
    assert finding.code == "timeout"
    assert planted.line("*spin(") <= (finding.line or 0) <= planted.line("*hog(")


def test_memory_hog_is_stopped(run: Run) -> None:
    seen = run("def test_it(built):\n    built.hog()\n", limits=Limits(rss_bytes=200 << 20))
    assert [f.code for f in seen.only.findings] == ["out-of-memory"]


def test_output_flood_is_stopped(run: Run) -> None:
    text = "def test_it():\n    while True:\n        print('x' * 1000)\n"
    seen = run(text, limits=Limits(output_bytes=100_000))
    assert [f.code for f in seen.only.findings] == ["output-flood"]
    assert len(seen.only.output) == 100_000


def test_null_without_exception_is_explained(run: Run) -> None:
    seen = run("def test_it(built):\n    built.no_exception()\n")
    assert [f.code for f in seen.only.findings] == ["exception-contract"]


def test_missing_error_is_explained(run: Run) -> None:
    seen = run("def test_it(built):\n    with pytest.raises(ValueError):\n        built.add(1, 2)\n")
    assert seen.only.message == "ValueError was expected, but nothing was raised"


def test_missing_error_of_several_kinds_is_explained(run: Run) -> None:
    seen = run("def test_it(built):\n    with pytest.raises((TypeError, ValueError)):\n        built.add(1, 2)\n")
    assert seen.only.message == "TypeError or ValueError was expected, but nothing was raised"


def test_learners_python_line_is_named(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    source.write_text("def f(x):\n    y = x\n    return y.nothing\n")
    artifact = protocol.Artifact("python", "mine", sys_path=(str(tmp_path),), sources={"mine.py": str(source)})
    seen = run("def test_it(built):\n    built.f(1)\n", artifact)
    finding = seen.only.findings[0]
    assert (finding.code, finding.file, finding.line) == ("wrong-result", "mine.py", 3)


def test_syntax_error_in_python_is_a_build_finding(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    source.write_text("x = 1\ndef f(:\n")
    artifact = protocol.Artifact("python", "mine", sys_path=(str(tmp_path),), sources={"mine.py": str(source)})
    finding = run("def test_it(built):\n    pass\n", artifact).only.findings[0]
    assert (finding.code, finding.file, finding.line) == ("build", "mine.py", 2)


def test_library_that_can_not_be_loaded_is_a_finding(run: Run, planted: Planted) -> None:
    artifact = protocol.Artifact("extension", "other_name", planted.artifact.path, sources=planted.artifact.sources)
    finding = run("def test_it(built):\n    pass\n", artifact).only.findings[0]
    assert finding.code == "build"
    assert "PyInit_other_name" in finding.message


def test_broken_check_file_is_our_mistake(run: Run) -> None:
    seen = run("import no_such_module_at_all\n")
    assert seen.done.outcome == "broken"
    assert "no_such_module_at_all" in seen.done.message


def test_only_and_parameters(run: Run) -> None:
    text = "@pytest.mark.parametrize('n', [1, 2])\ndef test_some_value(n, rng):\n    assert n\n"
    assert run(text).announced == ("some value [1]", "some value [2]")
    assert run(text, only=("some value [2]",)).announced == ("some value [2]",)


def test_seed_is_shown_and_can_be_repeated(run: Run) -> None:
    text = "def test_it(rng):\n    assert False, str(rng.integers(1 << 60))\n"
    first, second = run(text, seed=7).only, run(text, seed=7).only
    assert "seed: 7" in first.detail
    assert first.message == second.message
    assert run(text).only.message != run(text).only.message


def test_gpu_checks_are_skipped_with_the_reason(run: Run) -> None:
    if os.path.exists("/dev/nvidiactl"):
        pytest.skip("this machine has a GPU")
    seen = run("@pytest.mark.gpu\ndef test_it():\n    assert False\n")
    assert (seen.only.outcome, seen.only.message) == (Verdict.SKIPPED, "no NVIDIA GPU on this machine")


def test_cancel_kills_the_tree_setsid_or_not(
    zygote: ZygoteClient, planted: Planted, lesson: Callable[[str], Path], tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    folder = lesson(leaves_a_process(note))
    request = protocol.Check(zygote.run_id(), "test", str(folder), planted.artifact, Limits(seconds=60))
    zygote.send(request)
    until(note.exists)
    grandchild = int(note.read_text())
    seen = outcome(zygote.finish(protocol.Cancel(request.run_id)))
    assert seen.done.outcome == "cancelled"
    assert seen.results == {}
    assert not _alive(grandchild)


def test_a_cancelled_run_leaves_no_folder(
    lesson: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    client = ZygoteClient("plain", tmp_path / "errors.txt")
    folder = lesson("def test_it(tmp_path):\n    open('here', 'w').close()\n    time.sleep(600)\n")
    request = protocol.Check(client.run_id(), "t", str(folder), protocol.Artifact("python", "nothing"))
    client.send(request)
    until(lambda: list(temporary.glob("**/mltutor-run-*/check-0/here")))
    assert outcome(client.finish(protocol.Cancel(request.run_id))).done.outcome == "cancelled"
    assert list(temporary.glob("**/mltutor-run-*")) == []
    client.close()
    assert list(temporary.glob("mltutor-*")) == []


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_runs_overlap(zygote: ZygoteClient, planted: Planted, lesson: Callable[[str], Path]) -> None:
    folder = lesson("def test_slow():\n    time.sleep(600)\n\ndef test_fast(built):\n    assert built.add(1, 1) == 2\n")
    slow = protocol.Check(zygote.run_id(), "t", str(folder), planted.artifact, Limits(seconds=60), ("slow",))
    fast = protocol.Check(zygote.run_id(), "t", str(folder), planted.artifact, only=("fast",))
    zygote.send(slow)
    assert outcome(zygote.finish(fast)).done.outcome == "ok"
    assert not any(isinstance(r, protocol.Done) for r in zygote.replies[slow.run_id])
    assert outcome(zygote.finish(protocol.Cancel(slow.run_id))).done.outcome == "cancelled"


def test_lesson_folder_stays_clean(run: Run, tmp_path: Path) -> None:
    run("def test_it(tmp_path):\n    (tmp_path / 'x').write_text('y')\n    open('here', 'w').close()\n")
    assert sorted(path.name for path in (tmp_path / "lesson").iterdir()) == ["exercise.toml", "test_it.py"]


ENDLESS = {
    "the import": "while True:\n    pass\n",
    "a call": "def it():\n    while True:\n        pass\n",
}
THREE = "".join(f"def test_{name}(built):\n    built.it()\n\n" for name in ("one", "two", "three"))


def run_endless(tmp_path: Path, where: str, jobs: int) -> Outcome:
    (tmp_path / "endless.py").write_text(ENDLESS[where])
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "test_endless.py").write_text(THREE)
    artifact = protocol.Artifact("python", "endless", sys_path=(str(tmp_path),))
    client = ZygoteClient()
    try:
        limits = Limits(seconds=0.5)
        request = protocol.Check(client.run_id(), "t", str(tmp_path / "checks"), artifact, limits, jobs=jobs)
        return outcome(client.finish(request))
    finally:
        client.close()


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_import_that_never_ends_decides_for_the_checks_that_have_not_come_so_far(tmp_path: Path, jobs: int) -> None:
    seen = run_endless(tmp_path, "the import", jobs)
    assert seen.done.outcome == "failed"
    assert set(seen.results) == set(seen.announced) == {"one", "two", "three"}
    assert seen.codes("one") == ["timeout"] or seen.codes("two") == ["timeout"]
    told = [result.message for result in seen.results.values() if result.findings]
    assert all(message.startswith("the import is still running after 0.5 s") for message in told)
    last = seen.results["three"]
    assert last.outcome is Verdict.SKIPPED
    assert last.message.startswith("not run: the import of your module never ended")


def test_a_check_that_hangs_after_the_import_decides_for_itself_only(tmp_path: Path) -> None:
    seen = run_endless(tmp_path, "a call", 2)
    assert [result.message for result in seen.results.values()] == ["still running after 0.5 s"] * 3
    assert all(seen.codes(name) == ["timeout"] for name in seen.announced)


def test_crash_in_an_inlined_header_is_on_the_learners_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "planted.c"
    source.write_text("static PyObject *\nsize_of(PyObject *self)\n{\n    return 0;\n}\n")
    artifact = protocol.Artifact("extension", "planted", sources={"planted.c": str(source)})
    frames = [crash.Frame("planted.so", "size_of", "/usr/include/python/object.h", 23)]
    monkeypatch.setattr(crash, "read_frames", lambda report, artifact: frames)
    place, function = crash.crash_place(Crashed(11), artifact)
    assert place is not None
    assert (place.file, place.line, function) == ("planted.c", 2, "size_of")
