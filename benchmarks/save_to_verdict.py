"""From save to verdict: mltutor against the usual way, per toolchain, in turn within one run.

    python -m benchmarks.save_to_verdict [EXERCISE ...] [--compilers gcc,clang] [--rounds 5] [--json FILE]

Each round edits the learner's file and waits for the last check, once with mltutor's watcher and warm workers and once
with the usual build and a new pytest. Seconds are medians, ratios are medians of the pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import usual_way
from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.content.sources import given_files, solution_files
from tutor.content.workspace import Workspace
from tutor.core import events as e
from tutor.core.exercise import Course, Exercise
from tutor.core.stats import paired_ratio

DEFAULT = ("cpp-view", "capi-refs", "ct-layout", "cffi-ann", "cy-decay", "pb-sumtree", "op-quant", "rs-bpe")
PREPARATION_SECONDS = 600.0
VERDICT_SECONDS = 180.0
CLANGS = ("", "-16", "-17", "-18", "-19", "-20")


@dataclass(frozen=True, slots=True)
class Row:
    """One toolchain with one compiler: seconds by round, and the ratio usual / mltutor with its interval."""

    exercise: str
    toolchain: str
    compiler: str
    usual_label: str
    usual: list[float]
    mltutor: list[float]
    cached: float | None
    first_error: float | None
    ratio: float
    low: float
    high: float


class Loop:
    """One exercise under a live session: `save` writes like an editor and waits for the last check."""

    def __init__(self, session: object, exercise: Exercise, folder: Path) -> None:
        self.session, self.exercise, self.folder = session, exercise, folder

    async def save(self, content: bytes) -> tuple[float, float | None, bool]:
        """Seconds until the last check (or the failed build), until the build's word, and whether all passed."""
        path = self.folder / self.exercise.main_file
        async with aclosing(self.session.events()) as events:
            pending = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            started = time.perf_counter()
            path.write_bytes(content)
            return await asyncio.wait_for(self._verdict(events, pending, started), VERDICT_SECONDS)

    async def _verdict(self, events: object, pending: object, started: float) -> tuple[float, float | None, bool]:
        run_id, build = None, None
        while True:
            event, state = await pending
            pending = asyncio.ensure_future(anext(events))
            if isinstance(event, e.RunStarted):
                run_id = event.run_id
            if run_id is None or getattr(event, "run_id", None) != run_id:
                continue
            now = time.perf_counter() - started
            if isinstance(event, e.BuildFinished):
                build = now
            run = state.run
            reported = run.announced and len(run.checks) == len(run.announced)
            if isinstance(event, e.CheckFinished) and reported:
                pending.cancel()
                return now, build, all(check.outcome == "pass" for check in run.checks)
            if isinstance(event, e.RunFinished):
                pending.cancel()
                return now, build, event.verdict.passed


async def measure(course: Course, exercise: Exercise, compiler: str, rounds: int, scratch: Path) -> Row:
    """Rounds of both ways in turn. Raises RuntimeError when either way fails on the solution."""
    from tutor.engine.session import Session
    from tutor.store.home import Home

    way = usual_way.usual_way(exercise)
    usual = prepare_usual(way, exercise, scratch / f"usual-{exercise.id}")
    workspace = Workspace(scratch / "workspace")
    workspace.start(exercise)
    folder = workspace.folder(exercise)
    for name, content in solution_files(exercise).items():
        (folder / name).write_bytes(content)
    async with Session(course, workspace, Home.locate()) as session:
        await session.handle(e.Open(exercise.id))
        await asyncio.wait_for(session.prepared(), PREPARATION_SECONDS)
        loop = Loop(session, exercise, folder)
        original = solution_files(exercise)[exercise.main_file]
        mark = b"#" if exercise.main_file.endswith((".py", ".pyx")) else b"//"
        await loop.save(original + mark + b" warm-up\n")
        way_seconds, loop_seconds = [], []
        for number in range(rounds):
            usual_way.edit(usual, exercise, number)
            way_seconds.append(await asyncio.to_thread(usual_way.seconds, way, exercise, usual))
            content = original + mark + f" edit {number} {os.getpid()}\n".encode()
            spent, _, passed = await loop.save(content)
            if not passed:
                raise RuntimeError(f"{exercise.id}: the solution did not pass under mltutor")
            loop_seconds.append(spent)
        cached, _, _ = await loop.save(original + mark + f" edit 0 {os.getpid()}\n".encode())
        error = await first_error(loop, original)
    ratio = paired_ratio(loop_seconds, way_seconds)
    return Row(
        exercise.id, exercise.toolchain, compiler, way.label, way_seconds, loop_seconds, cached, error,
        ratio.value, ratio.low, ratio.high,
    )  # fmt: skip


async def first_error(loop: Loop, original: bytes) -> float | None:
    """Seconds until the build's error shows after a save that can't compile; None where nothing is built."""
    if loop.exercise.toolchain in {"ctypes", "cffi"}:
        return None
    _, build, _ = await loop.save(original + b"\nthis is not code ;(\n")
    return build


def prepare_usual(way: usual_way.UsualWay, exercise: Exercise, folder: Path) -> Path:
    """A folder with the solution and the usual way's files, built once so that caches are warm (not timed)."""
    for name, content in {**given_files(exercise), **solution_files(exercise)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for name, text in way.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if exercise.toolchain == "rust":
        subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", folder / "venv"], check=True)
        expose_packages(folder / "venv")
    usual_way.make_native_libraries(exercise, folder)
    usual_way.seconds(way, exercise, folder)
    return folder


def expose_packages(venv: Path) -> None:
    """Let a nested virtual environment see the packages of the one that runs this."""
    site = next((venv / "lib").glob("python*/site-packages"))
    own = [path for path in sys.path if path.endswith("site-packages")]
    (site / "outer.pth").write_text("\n".join(own) + "\n", encoding="utf-8")


def table(rows: Sequence[Row]) -> Table:
    """The ratios, one line a toolchain and compiler."""
    out = Table(title="save to last check, medians")
    for name in ("toolchain", "exercise", "compiler", "usual way", "usual s", "mltutor s", "ratio", "95 %", "cached s"):
        out.add_column(name, justify="right" if name.endswith(" s") or name == "ratio" else "left")
    out.add_column("first error s", justify="right")
    for row in rows:
        out.add_row(
            row.toolchain, row.exercise, row.compiler, row.usual_label,
            f"{median(row.usual):.2f}", f"{median(row.mltutor):.2f}", f"{row.ratio:.1f}x",
            f"{row.low:.1f}-{row.high:.1f}", number(row.cached), number(row.first_error),
        )  # fmt: skip
    return out


def number(value: float | None) -> str:
    """Seconds with two digits, or a dash."""
    return "-" if value is None else f"{value:.2f}"


async def run(args: argparse.Namespace, scratch: Path) -> list[Row]:
    """All rows; a compiler that is not there is left out with a line that says so."""
    course = load_course()
    rows = []
    for compiler in args.compilers.split(","):
        if compiler == "clang" and not any(shutil.which(f"clang++{v}") for v in CLANGS):
            print("clang: not installed, left out", file=sys.stderr)
            continue
        os.environ["MLTUTOR_COMPILER"] = compiler
        for name in args.exercises or DEFAULT:
            exercise = find_exercise(course, name, None)
            print(f"{compiler}: {exercise.id}", file=sys.stderr, flush=True)
            try:
                rows.append(await measure(course, exercise, compiler, args.rounds, scratch / compiler))
            except RuntimeError as error:
                print(f"{exercise.id}: left out, one of the ways failed\n{error}", file=sys.stderr)
    return rows


def earlier_rows(path: Path, measured: set[tuple[str, str]]) -> list[dict[str, object]]:
    """Rows of an earlier run that this one did not measure: each holds both ways of one run."""
    if not path.exists():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [row for row in rows if (row["exercise"], row["compiler"]) not in measured]


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exercises", nargs="*")
    parser.add_argument("--compilers", default="gcc,clang")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "save_to_verdict.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mltutor-bench-") as scratch:
        rows = asyncio.run(run(args, Path(scratch)))
    Console(width=150).print(table(rows))
    args.json.parent.mkdir(parents=True, exist_ok=True)
    kept = earlier_rows(args.json, {(row.exercise, row.compiler) for row in rows})
    document = {"schema": 1, "machine": platform.machine(), "cores": os.cpu_count()}
    document["rows"] = [*kept, *(asdict(row) for row in rows)]
    args.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"written to {args.json}")


if __name__ == "__main__":
    main()
