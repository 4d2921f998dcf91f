"""The second wave on planted defects that no check sees, each with a right twin that stays silent."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from tutor.content.course import load_course
from tutor.core import events as e
from tutor.core.exercise import Course, Exercise
from tutor.core.finding import Finding
from tutor.core.progress import ExerciseProgress
from tutor.core.state import RunState
from tutor.core.verdict import Outcome, Verdict
from tutor.engine import secondwave, snapshot
from tutor.engine.pipeline import Job
from tutor.engine.record import Record, without_pass
from tutor.engine.secondwave import SecondWave, judged
from tutor.engine.workbench import Workbench
from tutor.store.home import Home
from tutor.store.progress import ProgressStore
from tutor.toolchains.sanitizers import ADDRESS, MEMCHECK, RACECHECK, SYNCCHECK, THREAD, Choice, Sanitizer, choices

PLANTED = """#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>
extern "C" long work(long n) {
    %s
}
"""
CASES = {
    "stack": (
        "volatile long at = n; long row[4] = {0}; row[at] = n; return row[0];",
        "volatile long at = n; long row[5] = {0}; row[at] = n; return row[0];",
        "out-of-bounds",
    ),
    "heap": (
        "long *p = new long[n]; p[n] = 1; long v = p[n]; delete[] p; return v;",
        "long *p = new long[n + 1]; p[n] = 1; long v = p[n]; delete[] p; return v;",
        "out-of-bounds",
    ),
    "freed": (
        "long *p = new long[n]; p[0] = n; delete[] p; return *(volatile long *)p;",
        "long *p = new long[n]; p[0] = n; long v = p[0]; delete[] p; return v;",
        "use-after-free",
    ),
    "overflow": (
        "int most = 2147483647; most += (int)n; return most;",
        "long most = 2147483647; most += n; return most;",
        "undefined",
    ),
    "race": (
        "long s = 0; auto f = [&] { for (int i = 0; i < 1000; ++i) s += i; };\\n    "
        "std::thread a(f), b(f); a.join(); b.join(); return s;",
        "long s = 0; std::mutex m; auto f = [&] { std::lock_guard<std::mutex> l(m); s += n; };\\n    "
        "std::thread a(f), b(f); a.join(); b.join(); return s;",
        "data-race",
    ),
}
needs_runtimes = pytest.mark.skipif(
    bool(ADDRESS.missing() or THREAD.missing()), reason=ADDRESS.missing() or THREAD.missing() or "there"
)


async def examined(home: Home, tmp_path: Path, body: str) -> tuple[tuple[Finding, ...], list[e.Event]]:
    folder = tmp_path / "lessons"
    shutil.copytree(Path(__file__).parent / "wave" / "lessons", folder, dirs_exist_ok=True)
    (exercise,) = load_course(folder).exercises
    events: list[e.Event] = []
    source = PLANTED % body.replace("\\n", "\n")
    async with Workbench(home, events.append) as bench:
        found = await bench.second_wave.examine(1, exercise, snapshot.of({"work.cpp": source.encode()}))
    return found, events


@needs_runtimes
@pytest.mark.parametrize("name", CASES)
async def test_planted_defect_is_named_on_its_line_and_its_twin_is_silent(
    name: str, home: Home, tmp_path: Path
) -> None:
    wrong, right, code = CASES[name]
    found, _ = await examined(home, tmp_path, wrong)
    assert code in {finding.code for finding in found}, found
    assert {(finding.file, finding.line) for finding in found if finding.code == code} == {("work.cpp", 6)}
    silent, events = await examined(home, tmp_path, right)
    assert silent == ()
    last = [event for event in events if isinstance(event, e.Examined)][-1]
    assert last.state == "clean", last


@needs_runtimes
@pytest.mark.slow
async def test_an_operator_of_torch_is_examined_too(home: Home) -> None:
    pytest.importorskip("torch")
    (exercise,) = load_course(Path(__file__).parent / "wave" / "operators").exercises
    right = (exercise.solution / "work.cpp").read_bytes()
    wrong = right.replace(b"i < n; ++i) row.data()", b"i <= n; ++i) row.data()")
    assert wrong != right
    async with Workbench(home, lambda event: None) as bench:
        found = await bench.second_wave.examine(1, exercise, snapshot.of({"work.cpp": wrong}))
        silent = await bench.second_wave.examine(2, exercise, snapshot.of({"work.cpp": right}))
    line = next(number for number, text in enumerate(wrong.split(b"\n"), 1) if b"i <= n" in text)
    assert {(finding.code, finding.file, finding.line) for finding in found} == {("out-of-bounds", "work.cpp", line)}
    assert silent == ()


KERNELS = {
    "past the end": (b"if (i < n) x[i]", b"if (i <= n) x[i]", "cuda-memcheck", b"i <= n"),
    "no barrier": (b"    __syncthreads();\n", b"", "cuda-race", b"row[i] = x[i]"),
    "barrier that some reach": (b"    __syncthreads", b"    if (i < 100) __syncthreads", "cuda-race", b"__syncthreads"),
}


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(bool(MEMCHECK.missing()), reason=MEMCHECK.missing() or "there")
@pytest.mark.parametrize("name", KERNELS)
async def test_a_kernel_is_examined_by_compute_sanitizer(home: Home, name: str) -> None:
    (exercise,) = load_course(Path(__file__).parent / "wave" / "kernels").exercises
    right = (exercise.solution / "work.cu").read_bytes()
    before, after, code, place = KERNELS[name]
    wrong = right.replace(before, after)
    assert wrong != right
    events: list[e.Event] = []
    async with Workbench(home, events.append) as bench:
        found = await bench.second_wave.examine(1, exercise, snapshot.of({"work.cu": wrong}))
        silent = await bench.second_wave.examine(2, exercise, snapshot.of({"work.cu": right}))
    line = next(number for number, text in enumerate(wrong.split(b"\n"), 1) if place in text)
    assert (code, "work.cu", line) in {(finding.code, finding.file, finding.line) for finding in found}, events
    assert silent == ()


def test_kernels_are_examined_for_what_they_use() -> None:
    (exercise,) = load_course(Path(__file__).parent / "wave" / "kernels").exercises
    alone = choices(exercise, "__global__ void f(float *x) { x[threadIdx.x] = 1; }")
    assert [choice.sanitizer for choice in alone] == [MEMCHECK]
    together = choices(exercise, "__shared__ float row[256]; __syncthreads();")
    assert [choice.sanitizer for choice in together] == [MEMCHECK, RACECHECK, SYNCCHECK]
    assert {choice.problem for choice in together} == {MEMCHECK.missing()}
    words = MEMCHECK.prefix(Path("/log"))
    assert "MLTUTOR_SANITIZER_LOG=/log" in words
    assert not any(word.startswith("LD_PRELOAD") for word in words)


async def test_a_pass_that_the_first_sanitizer_refutes_is_none_when_a_save_cancels_the_second(
    course: Course, exercise: Exercise, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = asyncio.Event()

    async def found(_self: object, sanitizer: Sanitizer, *_: object) -> tuple[Finding, ...]:
        if sanitizer is ADDRESS:
            return (Finding("out-of-bounds", "writes 8 bytes", "add.c", 3),)
        second.set()
        await asyncio.Event().wait()
        return ()

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(secondwave, "choices", lambda *_: (Choice(ADDRESS), Choice(THREAD)))
    monkeypatch.setattr(SecondWave, "_found", found)
    monkeypatch.setattr(SecondWave, "_look_for_hidden_includes", nothing)
    record = Record(home, lambda event: None)
    passed = Verdict(exercise.id, "digest", Outcome.PASS, "bench")
    await record.finished(passed, complete=True)
    job = Job(1, exercise, snapshot.of({"add.c": b""}), 0.0, "save")
    async with Workbench(home, lambda event: None) as bench:
        judging = asyncio.create_task(judged(bench.second_wave, record, job, passed, ExerciseProgress()))
        await asyncio.wait_for(second.wait(), 20)
        judging.cancel("a newer save")
        with pytest.raises(asyncio.CancelledError):
            await judging
    progress, _ = ProgressStore(home.progress).load()
    assert not progress.of(exercise.id).passed


def test_error_of_the_second_wave_counts_against_a_pass() -> None:
    passed = Verdict("x", "d", Outcome.PASS, "bench")
    finding = Finding("out-of-bounds", "writes 8 bytes", "work.cpp", 6)
    run = RunState(1, "x", "d", 0.0, verdict=passed, examined=(e.Examined(1, "AddressSanitizer", "found", (finding,)),))
    assert run.judged is not None
    assert (run.judged.verdict, run.judged.stage, run.judged.worst) == (Outcome.FAIL, "diagnose", finding)
    clean = replace(run, examined=(e.Examined(1, "AddressSanitizer", "clean"),))
    assert clean.judged == passed


def test_a_refuted_pass_leaves_what_had_passed_before() -> None:
    earlier = ExerciseProgress(passed_digest="old", passed_at=1.0)
    now = replace(earlier, passed_digest="new", passed_at=2.0, hints=1)
    assert without_pass(now, "new", earlier) == replace(now, passed_digest="old", passed_at=1.0, failures=1)
    assert not without_pass(now, "new", ExerciseProgress()).passed
    assert not without_pass(now, "new", now).passed
    assert without_pass(now, "older run", earlier) == now


def test_what_can_not_be_examined_says_why(tmp_path: Path) -> None:
    (exercise,) = load_course(Path(__file__).parent / "wave" / "lessons").exercises
    openmp = choices(replace(exercise, toolchain="cython"), "for i in prange(n, nogil=True):")
    assert [bool(choice.problem) for choice in openmp if choice.sanitizer is THREAD] == [True]
    assert choices(replace(exercise, toolchain="rust"), "std::thread") == ()
    assert choices(replace(exercise, toolchain="torch", files=("op.py",)), "") == ()
    assert [choice.sanitizer for choice in choices(exercise, "int x;")] == [ADDRESS]
