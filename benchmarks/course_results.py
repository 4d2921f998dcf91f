"""What the reference solutions of the course reach: every benchmark of every exercise, in one run.

    python -m benchmarks.course_results [EXERCISE ...] [--rounds 3] [--page FILE]

The engine that judges a learner's save builds and times each solution, as often as --rounds says, and the measurement
with the middle ratio counts: nothing is measured again because its number was not liked. A run of the whole course
writes docs/results.md and benchmarks/results/course_results.json; a run of some exercises prints its page, or writes it
to --page.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from benchmarks.course_page import ExtraBytes, Machine, Results, Row, page
from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.content.sources import solution_files
from tutor.core.exercise import BenchSpec, Course, Exercise
from tutor.core.protocol import Artifact
from tutor.core.verdict import BenchResult, Outcome, Verdict
from tutor.engine import snapshot
from tutor.engine.pipeline import Job
from tutor.engine.verify import prepare
from tutor.engine.workbench import Workbench
from tutor.store.home import Home
from tutor.toolchains.compilers import compiler

ROOT = Path(__file__).resolve().parents[1]
PAGE, RESULTS = ROOT / "docs" / "results.md", Path(__file__).parent / "results" / "course_results.json"
# Exercises that promise to need no memory, and the case whose inputs show it.
EXTRA_BYTES = {"op-rope": "prefill-2048"}


def main() -> int:
    """0 when all that could run has passed, 1 when a solution failed or missed a target."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("exercises", nargs="*", metavar="EXERCISE")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--page", type=Path)
    words.add_argument("--extra-bytes", nargs=2, metavar=("FOLDER", "CASE"), help=argparse.SUPPRESS)
    options = words.parse_args()
    if options.extra_bytes:
        print(json.dumps(_peaks(*options.extra_bytes, msgspec.json.decode(sys.stdin.read(), type=Artifact))))
        return 0
    course = load_course()
    named = {find_exercise(course, text, None).id for text in options.exercises}
    chosen = [exercise for exercise in course.exercises if not named or exercise.id in named]
    results = asyncio.run(run(course, chosen, max(1, options.rounds)))
    text = page(results)
    whole = not options.exercises
    if whole:
        RESULTS.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")
    target = options.page or (PAGE if whole else None)
    if target:
        target.write_text(text, encoding="utf-8")
        print(f"written to {target}")
    else:
        print(text)
    return 1 if any(row.met is False or row.problem.startswith("failed") for row in results.rows) else 0


async def run(course: Course, chosen: Sequence[Exercise], rounds: int) -> Results:
    """Build and time the solutions one after the other."""
    started, rows, extra = time.monotonic(), [], []
    load_before = os.getloadavg()[0]
    async with Workbench(Home.locate(), lambda event: None) as workbench:
        await prepare(course, chosen)  # no build of a header may run beside a benchmark
        for exercise in (one for one in chosen if one.bench):
            print(f"{exercise.id} ...", end=" ", file=sys.stderr, flush=True)
            taken = snapshot.of(solution_files(exercise))
            verdicts = await _verdicts(workbench, exercise, taken, rounds)
            made = rows_of(exercise, verdicts)
            print(", ".join(row.problem or f"{row.ratio:.1f}x" for row in made), file=sys.stderr, flush=True)
            rows += made
            if exercise.id in EXTRA_BYTES and verdicts[-1].bench:
                built = await workbench.builder.build(exercise, taken)
                if built.artifact:
                    extra.append(await asyncio.to_thread(_extra_bytes, exercise, built.artifact))
    machine = _machine(load_before, os.getloadavg()[0], time.monotonic() - started)
    untimed = tuple(one.id for one in chosen if not one.bench)
    return Results(machine, rounds, tuple(rows), tuple(extra), untimed)


async def _verdicts(workbench: Workbench, exercise: Exercise, taken: snapshot.Snapshot, rounds: int) -> list[Verdict]:
    """One a round; what could not be measured once is not tried again."""
    verdicts: list[Verdict] = []
    for number in range(1, rounds + 1):
        job = Job(number, exercise, taken, time.time(), "command", checks=False)
        verdicts.append(await workbench.pipeline.run(job))
        if len(verdicts[-1].bench) < len(exercise.bench):
            break
    return verdicts


def rows_of(exercise: Exercise, verdicts: Sequence[Verdict]) -> list[Row]:
    """A row for every case that the exercise declares, measured or not."""
    last = verdicts[-1]
    if len(last.bench) < len(exercise.bench):  # it broke: what earlier rounds measured doesn't make up for that
        measured = {result.case: [result] for result in last.bench}
    else:
        measured = {spec.case: [r for v in verdicts for r in v.bench if r.case == spec.case] for spec in exercise.bench}
    middle = {case: sorted(found, key=lambda r: r.speedup)[(len(found) - 1) // 2] for case, found in measured.items()}
    return [_row(exercise, spec, middle.get(spec.case), _problem(last)) for spec in exercise.bench]


def _row(exercise: Exercise, spec: BenchSpec, result: BenchResult | None, problem: str) -> Row:
    head = (exercise.number, exercise.id, exercise.toolchain, spec.case, spec.baseline)
    goal = (spec.target, spec.gold, spec.gated)
    if result is None:
        return Row(*head, *goal, problem=problem or "failed: no result")
    return Row(
        *head, *goal, result.speedup, result.low, result.high, result.seconds, result.baseline_seconds,
        result.pairs, result.met if spec.gated else None,
    )  # fmt: skip


def _problem(verdict: Verdict) -> str:
    """Why a case has no number."""
    if verdict.verdict in (Outcome.SKIPPED, Outcome.ERROR):
        reason = "no GPU" if "GPU" in verdict.message else verdict.message
        return f"not run: {reason}"
    return f"failed: {verdict.message}"


def _extra_bytes(exercise: Exercise, artifact: Artifact) -> ExtraBytes:
    """Measured in a new process: there the high-water mark is nobody else's."""
    case = EXTRA_BYTES[exercise.id]
    argv = [sys.executable, "-m", "benchmarks.course_results", "--extra-bytes", str(exercise.folder.absolute()), case]
    done = subprocess.run(
        argv, input=msgspec.json.encode(artifact).decode(), stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    solution, baseline = json.loads(done.stdout.splitlines()[-1])
    return ExtraBytes(exercise.id, case, solution, baseline)


def _peaks(folder: str, name: str, artifact: Artifact) -> tuple[int, int]:
    """Bytes that the solution's call and the baseline's add to the process at their highest, the result included."""
    import numpy as np

    from tutor.worker.context import CheckContext, prepare_process
    from tutor.worker.fixtures.memory import Memory
    from tutor.worker.loading import load
    from tutor.worker.sides import load_case

    prepare_process(artifact)
    case, built, memory = load_case(folder, name), load(artifact), Memory(CheckContext(artifact, 0))
    peaks: list[tuple[int, int]] = []
    for _ in range(2):  # the first call of each pays for what is loaded late
        mine, theirs = (case.make(np.random.default_rng()) for _ in range(2))
        mine = case.prepare(built, mine) if case.prepare else mine
        theirs = case.prepare_baseline(theirs) if case.prepare_baseline else theirs
        peaks.append((memory.peak(case.learner, built, *mine)[1], memory.peak(case.baseline, *theirs)[1]))
    return peaks[-1]


def _machine(before: float, after: float, seconds: float) -> Machine:
    """What the numbers depend on; nothing that tells which machine it was."""
    driver = compiler().driver("c++")
    known = {name: _version(*argv) for name, argv in _TOOLS.items()}
    tools = {name: found for name, found in known.items() if found}
    packages = ("numpy", "torch", "cython", "pybind11", "cffi")
    found = {name: importlib.metadata.version(name).partition("+")[0] for name in packages}
    return Machine(
        date=time.strftime("%Y-%m-%d"),
        processor=_processor(),
        cores=os.cpu_count() or 0,
        architecture=platform.machine(),
        python=platform.python_version(),
        driver=f"{Path(driver).name} {_version(driver, '--version')}",
        tools=tools,
        packages=found,
        load_before=round(before, 1),
        load_after=round(after, 1),
        seconds=round(seconds),
        gpu=_gpu(),
    )


_TOOLS = {
    "gcc": ("gcc", "-dumpfullversion"),
    "rustc": ("rustc", "--version"),
}


def _version(*argv: str) -> str:
    """The first version number that a program tells of itself; empty when it is not there."""
    numbers = re.findall(r"\b\d+\.\d+(?:\.\d+)?\b", _said(*argv))
    return numbers[0] if numbers else ""


def _said(*argv: str) -> str:
    """What a program writes to stdout; empty when it is not there or fails."""
    try:
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _gpu() -> str:
    """The first GPU and its driver; empty where there is none."""
    said = _said("nvidia-smi", "--id=0", "--query-gpu=name,driver_version", "--format=csv,noheader")
    name, _, driver = said.partition(", ")
    return f"{name} (driver {driver})" if said else ""


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor()
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return " ".join(model[1].split()) if model else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
