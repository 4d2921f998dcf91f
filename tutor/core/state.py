"""The state that both faces show, and `reduce`, the one function that changes it."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from tutor.core import events as e
from tutor.core.exercise import Stage
from tutor.core.finding import Finding
from tutor.core.history import PastRun
from tutor.core.progress import Progress
from tutor.core.roof import Roof
from tutor.core.verdict import BenchResult, CheckResult, Verdict


class RunState(Struct, frozen=True):
    """The newest run as far as it has come. `verdict` is set when it is over, `cancelled` when it was ended."""

    run_id: int
    exercise: str
    digest: str
    saved_at: float
    stage: Stage = "build"
    detail: str = ""
    build_ok: bool | None = None
    build_findings: tuple[Finding, ...] = ()
    raw: str = ""
    build_seconds: float = 0.0
    cached: bool = False
    announced: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    bench: tuple[BenchResult, ...] = ()
    verdict: Verdict | None = None
    examined: tuple[e.Examined, ...] = ()
    cancelled: bool = False

    @property
    def active(self) -> bool:
        """True while the run goes on."""
        return self.verdict is None and not self.cancelled

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings so far; the verdict's, and those of the second wave, once there is one."""
        if self.verdict:
            return self.verdict.findings + self.second_wave
        return self.build_findings + tuple(f for check in self.checks for f in check.findings)

    @property
    def second_wave(self) -> tuple[Finding, ...]:
        """What the sanitizers found."""
        return tuple(finding for look in self.examined for finding in look.findings)

    @property
    def judged(self) -> Verdict | None:
        """The verdict as it stands now: what the second wave found counts against it."""
        return self.verdict and self.verdict.joined(self.second_wave)


class State(Struct, frozen=True):
    """Everything the panels show."""

    current: str = ""
    run: RunState | None = None
    last_save: float | None = None
    watch: e.WatchStatus = field(default_factory=lambda: e.WatchStatus("starting"))
    missing: str = ""
    unreadable: bool = False
    preparing: tuple[e.Preparing, ...] = ()
    notices: tuple[e.Notice, ...] = ()
    progress: Progress = field(default_factory=Progress)
    past: tuple[PastRun, ...] = ()
    compared: e.Compared | None = None
    roof: Roof | None = None


def reduce(state: State, event: e.Event) -> State:
    """The next state. An event of a run that is not the newest changes nothing."""
    match event:
        case e.RunStarted():
            run = RunState(event.run_id, event.exercise, event.digest, event.saved_at)
            return replace(state, run=run, missing="")
        case (
            e.StageStarted()
            | e.BuildFinished()
            | e.ChecksAnnounced()
            | e.CheckFinished()
            | e.BenchMeasured()
            | e.RunFinished()
            | e.RunCancelled()
            | e.Examined()
        ):
            if state.run is None or state.run.run_id != event.run_id:
                return state
            return replace(state, run=_reduce_run(state.run, event))
        case _:
            return _reduce_session(state, event)


def _reduce_run(run: RunState, event: e.Event) -> RunState:
    match event:
        case e.StageStarted(stage=stage, detail=detail):
            return replace(run, stage=stage, detail=detail)
        case e.BuildFinished():
            return replace(
                run,
                build_ok=event.ok,
                build_findings=event.findings,
                raw=event.raw,
                build_seconds=event.seconds,
                cached=event.cached,
            )
        case e.ChecksAnnounced(ids=ids):
            return replace(run, announced=ids)
        case e.CheckFinished(result=result):
            return replace(run, checks=(*run.checks, result))
        case e.BenchMeasured(result=result):
            kept = tuple(b for b in run.bench if b.case != result.case)
            return replace(run, bench=(*kept, result))
        case e.RunFinished(verdict=verdict):
            return replace(run, verdict=verdict)
        case e.Examined(title=title):
            others = tuple(look for look in run.examined if look.title != title)
            return replace(run, examined=(*others, event))
        case _:
            return replace(run, cancelled=True)


def _reduce_session(state: State, event: e.Event) -> State:
    match event:
        case e.ExerciseOpened(exercise=exercise):
            run = state.run if state.run and state.run.exercise == exercise else None
            same = state.current == exercise
            past, compared = (state.past, state.compared) if same else ((), None)
            return replace(state, current=exercise, run=run, missing="", past=past, compared=compared)
        case e.SaveSeen(at=at):
            return replace(state, last_save=at, missing="")
        case e.FileMissing(path=path, unreadable=unreadable):
            return replace(state, missing=path, unreadable=unreadable)
        case e.WatchStatus():
            return replace(state, watch=event)
        case e.Preparing():
            kept = tuple(p for p in state.preparing if p.task != event.task)
            return replace(state, preparing=(*kept, event))
        case e.Notice():
            return replace(state, notices=(*state.notices[-19:], event))
        case e.ProgressChanged(progress=progress):
            return replace(state, progress=progress)
        case _:
            return _reduce_facts(state, event)


def _reduce_facts(state: State, event: e.Event) -> State:
    """What is known besides the run: the runs before it, a comparison, the machine's limits."""
    match event:
        case e.PastRuns(exercise=exercise, runs=runs) if exercise == state.current:
            return replace(state, past=runs)
        case e.RoofKnown(roof=roof):
            return replace(state, roof=roof)
        case e.Compared(exercise=exercise) if exercise == state.current:
            return replace(state, compared=event)
        case _:
            return state
