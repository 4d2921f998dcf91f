"""A session and a course that need no engine: tests and the demo replay events through them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType

from msgspec.structs import replace

from tutor.core import events as e
from tutor.core.exercise import BenchSpec, Course, Exercise, Lesson
from tutor.core.finding import Finding
from tutor.core.progress import ExerciseProgress, Progress
from tutor.core.roof import Roof
from tutor.core.state import State, reduce
from tutor.core.verdict import BenchResult, CallReport, CheckResult, GilReport, MemoryReport, Outcome, Seconds, Verdict
from tutor.core.versions import Version
from tutor.toolchains.doctor import DoctorLine
from tutor.toolchains.readiness import LessonReadiness, Machine

NOW = 1_790_000_000.0
TITLES = (
    ("C++ for people who write Python", "cxx", (("cpp-view", "A view, not a copy"),)),
    ("Rust where it counts", "rust", (("rs-bpe", "Merge the pairs"),)),
    ("C extensions", "cext", (("capi-refs", "Who owns this object?"), ("capi-errors", "Every call can fail"))),
    ("ctypes and cffi", "cffi", (("ct-layout", "The struct on the other side"), ("cffi-ann", "Nearest neighbours"))),
    ("Cython", "cython", (("cy-decay", "Decay without a loop"),)),
    ("pybind11", "pybind11", (("pb-sumtree", "A replay buffer's sum tree"),)),
    ("PyTorch operators", "torch", (("op-quant", "Quantise on the way"),)),
    ("Patterns of foreign functions", "cext", (("ffi-batch", "Cross the border once"),)),
)

README = """# Who owns this object?

A data loader collates a million small batches an epoch. One reference that is never given back, and the
job dies of memory at night.

## What to do

Finish `collate` in `collate.c`:

- take a list of samples, return a new list of `float`;
- give back every reference that you take, also when a call in the middle fails.

```c
PyObject *item = PyList_GetItem(list, i);   /* borrowed */
```

## What is checked

The sum, the references of every argument, and each error path. At least **1.5 times** as fast as the list
comprehension.
"""

SOLUTION = b"""#include <Python.h>

static PyObject *collate(PyObject *self, PyObject *list)
{
    Py_ssize_t n = PyList_Size(list);
    PyObject *out = PyList_New(n);
    if (out == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        double score = PyFloat_AsDouble(PyList_GetItem(list, i));
        if (score == -1.0 && PyErr_Occurred()) {
            Py_DECREF(out);
            return NULL;
        }
        PyList_SetItem(out, i, PyFloat_FromDouble(score * 0.5));
    }
    return out;
}
"""
LEARNER = SOLUTION.replace(b"PyObject *out = PyList_New(n);", b"Py_INCREF(list);\n    PyObject *out = PyList_New(n)")
STARTER = SOLUTION.replace(
    b"        PyList_SetItem(out, i, PyFloat_FromDouble(score * 0.5));\n", b"        /* TODO */\n"
)


def course(root: Path = Path("lessons")) -> Course:
    """Eight lessons, ten exercises."""
    lessons = []
    for number, (title, toolchain, entries) in enumerate(TITLES, 1):
        made = tuple(exercise(id, f"{number}.{i}", name, toolchain, root) for i, (id, name) in enumerate(entries, 1))
        lessons.append(Lesson(number, f"{number:02}_x", title, "", root, made))
    return Course(root, tuple(lessons))


def exercise(id: str, number: str, title: str, toolchain: str, root: Path) -> Exercise:
    """One exercise whose file is collate.c."""
    bench = (BenchSpec("batch-4096", "list comprehension", 1.5, 3.0), BenchSpec("batch-16", "list comprehension", 1.2))
    summary = "Collate samples without losing a reference."
    return Exercise(id, number, title, summary, toolchain, "collate", root / id, ("collate.c",), bench=bench)  # type: ignore[arg-type]


PASSED = SOLUTION.replace(b"score * 0.5", b"0.5 * score")
KEPT = (
    Version(1, NOW - 90000, "replaced", "reset", {"collate.c": STARTER.replace(b"TODO", b"now what")}, "d0"),
    Version(2, NOW - 600, "passed", "passed", {"collate.c": PASSED}, "d1"),
    Version(3, NOW - 60, "replaced", "undo", {"collate.c": LEARNER}, "d2"),
)


_VERSIONS = {"gcc, g++": "12.2.0, 12.2.0", "clang": "16.0.6 at /usr/bin/clang-16", "numpy": "2.4.6", "cffi": "2.1.1"}
MACHINE = Machine(
    (
        DoctorLine("Python", "ok", "3.11.7 at /usr/bin/python3"),
        DoctorLine("Python.h", "ok", "/usr/include/python3.11"),
        *(DoctorLine(name, "ok", found) for name, found in _VERSIONS.items()),
        DoctorLine("cargo", "missing", "cargo was not found", "lesson 2 is skipped", "install rustup from [rustup.rs]"),
        DoctorLine("torch", "ok", "2.15.0", "built without CUDA"),
        DoctorLine("GPU", "limited", "none that nvidia-smi names", "CUDA exercises are compiled and not run"),
    ),
    tuple(
        LessonReadiness(
            number,
            title,
            len(entries) + 1,
            ("rs-bpe", "rs-two") if number == 2 else (),
            ("op-cuda",) if number == 7 else (),
            ("cargo was not found",) if number == 2 else ("no GPU",),
        )
        for number, (title, _, entries) in enumerate(TITLES, 1)
    ),
)


class FakeMaterial:
    """Texts from this file, the learner's from a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: tuple[Version, ...] = KEPT
        self.found = MACHINE

    def readme(self, exercise: Exercise) -> str:
        return README

    def hints(self, exercise: Exercise) -> tuple[str, ...]:
        return (
            "Count what `Py_INCREF` adds.",
            "Who gives it back when `PyFloat_AsDouble` fails?",
            "Use `Py_DECREF(out)`.",
        )

    def solution(self, exercise: Exercise) -> dict[str, bytes]:
        return {"collate.c": SOLUTION}

    def starter(self, exercise: Exercise) -> dict[str, bytes]:
        return {"collate.c": STARTER}

    def learner(self, exercise: Exercise) -> dict[str, bytes]:
        return {"collate.c": LEARNER}

    def versions(self, exercise: Exercise) -> tuple[Version, ...]:
        return self.kept

    def machine(self, course: Course) -> Machine:
        return self.found

    def keep_text(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}.txt"
        path.write_text(text)
        return path

    def path(self, exercise: Exercise, name: str) -> Path:
        return self.folder / exercise.id / name


class FakeSession:
    """Emits what a test feeds it, keeps the intents it was given, answers the simple ones as the engine would."""

    def __init__(self, script: Iterable[e.Event] = ()) -> None:
        self.state = State(progress=Progress({"cpp-view": ExerciseProgress(passed_digest="a", passed_at=1.0)}))
        self.intents: list[e.Intent] = []
        self.refuse: Exception | None = None
        self.closed = False
        self.queue: asyncio.Queue[e.Event] = asyncio.Queue()
        for event in script:
            self.queue.put_nowait(event)

    async def __aenter__(self) -> FakeSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.closed = True

    async def handle(self, intent: e.Intent) -> None:
        self.intents.append(intent)
        if self.refuse is not None:
            raise self.refuse
        match intent:
            case e.Open(exercise=name):
                self.feed(e.ExerciseOpened(name))
            case e.Hint(level=level):
                self.feed(e.HintShown(self.state.current, level or 1))
            case e.Reset():
                self.feed(e.FilesReplaced(self.state.current, "the starter"))
            case e.Undo():
                self.feed(e.FilesReplaced(self.state.current, "your version of 14:02"))
            case e.BringBack(number=number):
                self.feed(e.FilesReplaced(self.state.current, f"version {number}"))
            case e.Compare(against=against):
                self.feed(*compared(self.state.current, against))

    def feed(self, *events: e.Event) -> None:
        """Queue events for the app."""
        for event in events:
            self.queue.put_nowait(event)

    async def events(self) -> AsyncIterator[tuple[e.Event, State]]:
        while True:
            event = await self.queue.get()
            self.state = reduce(self.state, event)
            yield event, self.state


CHECKS = (
    "test_sum_is_right",
    "test_arguments_keep_their_references",
    "test_error_in_the_middle_gives_back_everything",
    "test_empty_list",
    "test_result_is_new",
    "test_memory_stays",
)
LEAK = Finding("ref-leak", "argument 0 (list) gains 1 reference a call", "collate.c", 6, "list", 1.0)
ROWS = (
    CallReport("argument 0", "list", 1.0, "collate.c:6", (1, 2, 3, 4, 5, 6)),
    CallReport("argument 0[0]", "float", 0.0, "", (0, 0, 0)),
    CallReport("result", "list", 0.0),
)
RAW = """collate.c: In function 'collate':
collate.c:7:34: error: expected ',' or ';' before 'if'
    7 |     PyObject *out = PyList_New(n)
      |                                  ^
"""


def opening() -> tuple[e.Event, ...]:
    """What a session says first."""
    return (e.WatchStatus("inotify + poll"), e.SaveSeen("capi-refs", "collate.c", NOW - 12))


def started(run_id: int = 1, saved_at: float = NOW - 1.5) -> tuple[e.Event, ...]:
    """A run of capi-refs up to its build."""
    return (e.RunStarted(run_id, "capi-refs", "d1", saved_at), e.StageStarted(run_id, "build", "gcc collate.c"))


def verdict(outcome: Outcome, **more: object) -> Verdict:
    """A verdict of capi-refs."""
    fields = {"stage": "check", "seconds": Seconds(0.11, 0.18, 0.0, 0.9, 1.24), **more}
    return Verdict("capi-refs", "d1", outcome, **fields)  # type: ignore[arg-type]


def build_error(run_id: int = 1) -> tuple[e.Event, ...]:
    """A missing semicolon."""
    message = "expected ',' or ';' before 'if'\nThe statement on this line has no semicolon at its end."
    finding = Finding("build", message, "collate.c", 7)
    done = verdict(Outcome.FAIL, findings=(finding,), stage="build", seconds=Seconds(build=0.31, total=0.36))
    return (*started(run_id), e.BuildFinished(run_id, False, (finding,), RAW, 0.31), e.RunFinished(run_id, done))


GIL = (GilReport("collate", 0.0121, 0.93, 0.00042, (0.2, *[1.0] * 37, 0.6, 0.0)),)
MEMORY = (MemoryReport("collate", leaked=0.0), MemoryReport("collate", peak=1_240_000))
LEAKED = (MemoryReport("collate", leaked=56.0),)


def results(leaks: bool) -> tuple[CheckResult, ...]:
    """Six checks; two of them fail where the code leaks."""
    made = []
    for at, one in enumerate(CHECKS):
        bad = leaks and at in (1, 5)
        rows = ROWS if at == 1 else ()
        if not leaks:
            rows = tuple(CallReport(r.what, r.type, 0.0, "", (0, 0, 0)) for r in rows)
        message = LEAK.message if at == 1 else "after 4096 calls 229376 bytes more are in use, want 0"
        made.append(
            CheckResult(
                one,
                Outcome.FAIL if bad else Outcome.PASS,
                message if bad else "",
                "" if not bad or at == 1 else "assert grown == 0\n  where grown = 229376",
                "collating [1.0, 2.0]\n" if bad and at == 5 else "",
                (LEAK,) if bad and at == 1 else (),
                rows,
                GIL if at == 3 else (),
                MEMORY if at == 5 and not leaks else LEAKED if at == 5 else (),
                0.004 if at else 0.14,
            )
        )
    return tuple(made)


def checked(run_id: int, leaks: bool) -> tuple[e.Event, ...]:
    """A build that works and its checks."""
    every = results(leaks)
    return (
        *started(run_id),
        e.BuildFinished(run_id, True, (), "", 0.11),
        e.StageStarted(run_id, "check", "6 checks"),
        e.ChecksAnnounced(run_id, CHECKS),
        *(e.CheckFinished(run_id, result) for result in every),
    )


def failing(run_id: int = 1) -> tuple[e.Event, ...]:
    """Checks that fail with a finding."""
    done = verdict(Outcome.FAIL, checks=results(True), findings=(LEAK,), seconds=Seconds(0.11, 0.18, total=0.31))
    return (*checked(run_id, True), e.RunFinished(run_id, done))


def benches() -> tuple[BenchResult, ...]:
    """One case of gold, one that is met, one that is too slow."""
    return (
        BenchResult(
            "batch-4096", "list comprehension", 3.4, 3.2, 3.55, 1.5, True, 3.0, True, 31.2e-6, 106e-6, pairs=41
        ),
        BenchResult(
            "batch-16", "list comprehension", 1.31, 1.22, 1.4, 1.2, True, None, True, 410e-9, 537e-9, pairs=201
        ),
    )


def passing(run_id: int = 1) -> tuple[e.Event, ...]:
    """All checks pass, both cases are fast enough."""
    done = verdict(Outcome.PASS, checks=results(False), bench=benches(), stage="bench")
    passed = Progress({"capi-refs": ExerciseProgress("d1", NOW)})
    return (
        *checked(run_id, False),
        e.StageStarted(run_id, "bench", "batch-4096"),
        *(e.BenchMeasured(run_id, bench, True) for bench in benches()),
        e.RunFinished(run_id, done),
        e.ProgressChanged(passed),
    )


ROOF = Roof(((24_000, 280e9), (6_000_000, 100e9), (256_000_000, 20e9)), 120e9)


def measured(run_id: int = 1) -> tuple[e.Event, ...]:
    """A pass whose cases say what they move, one by memory and one by arithmetic, and the machine's limits."""
    first, second = benches()
    bench = (
        replace(first, bytes=20_000_000, flops=10_000_000, seconds=2e-3),
        replace(second, bytes=20_000_000, flops=4_000_000_000, seconds=50e-3),
    )
    done = verdict(Outcome.PASS, checks=results(False), bench=bench, stage="bench")
    told = (e.BenchMeasured(run_id, one, True) for one in bench)
    return (*checked(run_id, False), *told, e.RunFinished(run_id, done), e.RoofKnown(ROOF))


def compared(exercise: str, against: str) -> tuple[e.Event, ...]:
    """The learner is a little slower in one case, and as fast in the other."""
    one = BenchResult("batch-4096", "list", 0.8, 0.78, 0.82, 1.5, None, None, True, 31.2e-6, 25e-6, against)
    two = BenchResult("batch-16", "list", 1.01, 0.97, 1.04, 1.2, None, None, True, 410e-9, 412e-9, against)
    return (
        e.Compared(exercise, against, "building"),
        e.Compared(exercise, against, "measuring batch-4096", (one,)),
        e.Compared(exercise, against, "", (one, two), True),
    )


def preparing() -> tuple[e.Event, ...]:
    """Background work under way."""
    return (
        e.Preparing("C++ headers", "ready"),
        e.Preparing("pybind11 headers", "running", 1, 3),
        e.Preparing("Rust crates", "waiting"),
    )
