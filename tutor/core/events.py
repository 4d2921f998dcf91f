"""Events that the engine emits and intents that it takes: frozen, typed, the only way the parts talk."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from tutor.core.exercise import Stage
from tutor.core.finding import Finding
from tutor.core.history import PastRun
from tutor.core.progress import Progress
from tutor.core.roof import Roof
from tutor.core.verdict import BenchResult, CheckResult, Verdict


class ExerciseOpened(Struct, frozen=True):
    """The learner turned to an exercise; its files are in the workspace."""

    exercise: str


class SaveSeen(Struct, frozen=True):
    """A learner's file has settled with new content. `at` is time.time() of the change."""

    exercise: str
    path: str
    at: float


class FileMissing(Struct, frozen=True):
    """A watched file has been gone for longer than an editor's replace takes; or it is there and can't be read."""

    exercise: str
    path: str
    unreadable: bool = False


class WatchStatus(Struct, frozen=True):
    """How saves are noticed now: `inotify + poll` or `poll`, and why."""

    how: str
    reason: str = ""


class RunStarted(Struct, frozen=True):
    """A run of one digest begins. `saved_at` is time.time() of the save that caused it (or the request)."""

    run_id: int
    exercise: str
    digest: str
    saved_at: float
    reason: Literal["save", "open", "key", "command"] = "save"


class StageStarted(Struct, frozen=True):
    """The run has come to a stage; `detail` says what runs (`g++ collate.c`)."""

    run_id: int
    stage: Stage
    detail: str = ""


class BuildFinished(Struct, frozen=True):
    """The build is done: findings with code `build` on the learner's lines, the raw output, whether from the cache."""

    run_id: int
    ok: bool
    findings: tuple[Finding, ...] = ()
    raw: str = ""
    seconds: float = 0.0
    cached: bool = False


class ChecksAnnounced(Struct, frozen=True):
    """The ids of the checks that will report."""

    run_id: int
    ids: tuple[str, ...]


class CheckFinished(Struct, frozen=True):
    """One check has reported."""

    run_id: int
    result: CheckResult


class BenchMeasured(Struct, frozen=True):
    """A benchmark case's interval so far; `final` once a case."""

    run_id: int
    result: BenchResult
    final: bool


class RunFinished(Struct, frozen=True):
    """The verdict of a run."""

    run_id: int
    verdict: Verdict


class RunCancelled(Struct, frozen=True):
    """A newer save, or the learner, ended this run; its process tree is gone."""

    run_id: int
    reason: str = ""


class Examined(Struct, frozen=True):
    """The second wave: an instrumented build of the same sources, run after the verdict on the idle core.

    title: what examines (`ThreadSanitizer`). message: why it does not, for `unavailable` and `stopped`.
    """

    run_id: int
    title: str
    state: Literal["running", "clean", "found", "unavailable", "stopped"]
    findings: tuple[Finding, ...] = ()
    message: str = ""
    seconds: float = 0.0


class Preparing(Struct, frozen=True):
    """Background work (headers, shared modules, crates): state of one task, `done` of `total` so far."""

    task: str
    state: Literal["waiting", "running", "ready", "failed"]
    done: int = 0
    total: int = 0
    message: str = ""


class Notice(Struct, frozen=True):
    """Something the learner should know, with a remedy when there is one."""

    level: Literal["info", "warning", "error"]
    text: str
    remedy: str = ""


class HintShown(Struct, frozen=True):
    """Hints up to `level` of an exercise have been opened."""

    exercise: str
    level: int


class FilesReplaced(Struct, frozen=True):
    """Reset or undo has replaced the learner's files; `label` says what they are now."""

    exercise: str
    label: str


class ProgressChanged(Struct, frozen=True):
    """Progress as it stands now, on disk too."""

    progress: Progress


class PastRuns(Struct, frozen=True):
    """The runs of the open exercise that are over, oldest first, this session's and those before it."""

    exercise: str
    runs: tuple[PastRun, ...]


class Compared(Struct, frozen=True):
    """The learner's files timed beside another version (`against`), as far as it has come; `doing` until it is over.

    message: why there is no result, or none for all cases.
    """

    exercise: str
    against: Literal["baseline", "solution", "starter", "pass"]
    doing: str = ""
    bench: tuple[BenchResult, ...] = ()
    done: bool = False
    message: str = ""


class RoofKnown(Struct, frozen=True):
    """What one core of this machine can do at most, measured now or before."""

    roof: Roof


Event = (
    ExerciseOpened
    | SaveSeen
    | FileMissing
    | WatchStatus
    | RunStarted
    | StageStarted
    | BuildFinished
    | ChecksAnnounced
    | CheckFinished
    | BenchMeasured
    | RunFinished
    | RunCancelled
    | Examined
    | Preparing
    | Notice
    | HintShown
    | FilesReplaced
    | ProgressChanged
    | PastRuns
    | Compared
    | RoofKnown
)


class Open(Struct, frozen=True):
    """Turn to an exercise: create its files where missing, watch them; run at once when `run`."""

    exercise: str
    run: bool = False


class Run(Struct, frozen=True):
    """Build, check and (unless told otherwise) benchmark the current exercise, also when nothing changed."""

    bench: bool = True


class Stop(Struct, frozen=True):
    """End the run in progress."""


class Hint(Struct, frozen=True):
    """Open one more hint, or those up to `level`."""

    level: int | None = None


class Reset(Struct, frozen=True):
    """Put the starter back; the learner's files are kept as a snapshot."""


class Undo(Struct, frozen=True):
    """Bring back what the last reset or undo replaced."""


class BringBack(Struct, frozen=True):
    """Put a kept version in the place of the learner's files, which are kept."""

    number: int


class Compare(Struct, frozen=True):
    """Time the learner's files and another version in one run, once what runs now is over."""

    against: Literal["solution", "starter", "pass"]


class SolutionSeen(Struct, frozen=True):
    """The learner has looked at the solution."""


Intent = Open | Run | Stop | Hint | Reset | Undo | BringBack | Compare | SolutionSeen
