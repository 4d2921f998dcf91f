"""What the panels are drawn from: the engine's state, and the few things the app knows besides it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from tutor.core import events as e
from tutor.core.exercise import Course, Exercise
from tutor.core.finding import Finding
from tutor.core.nudge import Nudge, nudge
from tutor.core.state import RunState, State
from tutor.core.verdict import Outcome
from tutor.ui.glyphs import UNICODE, Glyphs


class View(Struct, frozen=True):
    """One moment of the app. `previous` is the last finished run of this exercise, shown until the next one reports.

    sources: the learner's files as lines, by name; paths: where they lie. now: time.time().
    last_seconds: how long the last verdict took.
    hints: how many the exercise has. checking: time.time() when the run's checks began. patience: for how many seconds
    of checking the list of the run before stays.
    """

    state: State
    course: Course
    exercise: Exercise | None = None
    previous: RunState | None = None
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    now: float = 0.0
    last_seconds: float | None = None
    hints: int = 0
    checking: float = 0.0
    patience: float = 0.0
    connected: bool = True
    glyphs: Glyphs = UNICODE

    @property
    def run(self) -> RunState | None:
        """The newest run of the exercise that is shown."""
        run = self.state.run
        return run if run and self.exercise and run.exercise == self.exercise.id else None

    @property
    def running(self) -> bool:
        """True while a run of this exercise goes on."""
        return self.run is not None and self.run.active

    def built(self) -> RunState | None:
        """The run whose build is shown: the newest once it has built, until then the one before."""
        return self._settled(self.run is not None and self.run.build_ok is not None)

    def checked(self) -> RunState | None:
        """The run whose checks are shown."""
        run, previous = self.run, self.previous
        if run is not None and run.active and previous and previous.checks and self.now < self.checking + self.patience:
            return previous
        return self._settled(run is not None and bool(run.announced or run.checks))

    def benched(self) -> RunState | None:
        """The run whose speed is shown: with patience the run before until the verdict, the tab has the newest."""
        if self.patience and self.running and self.previous and self.previous.bench:
            return self.previous
        return self._settled(self.run is not None and bool(self.run.bench))

    def _settled(self, reported: bool) -> RunState | None:
        run = self.run
        if run is None or reported or not run.active or run.build_ok is False:
            return run
        return self.previous or run

    def editable(self, finding: Finding | None) -> tuple[str, int | None] | None:
        """File and line of a finding in one of the learner's own files: where an editor opens; None elsewhere."""
        if finding is None or self.exercise is None:
            return None
        name = self.exercise.own(finding.file)
        return (name, finding.line) if name is not None else None

    @property
    def nudge(self) -> Nudge | None:
        """The offer after the same failure again and again; None while a run goes on."""
        run = self.run
        if self.exercise is None or run is None or run.verdict is None or run.verdict.verdict is not Outcome.FAIL:
            return None
        return nudge(self.state.past, self.state.progress.of(self.exercise.id).hints, self.hints)

    @property
    def advice(self) -> str:
        """What an exercise that was never run builds on and has not passed."""
        return self.course.advice(self.exercise, self.state.progress) if self.exercise is not None else ""

    def neighbour(self, step: int) -> Exercise | None:
        """The exercise `step` places away in reading order, or None at an end."""
        every = self.course.exercises
        if self.exercise is None:
            return every[0] if every else None
        place = next((i for i, one in enumerate(every) if one.id == self.exercise.id), 0) + step
        return every[place] if 0 <= place < len(every) else None


def followed(view: View, event: e.Event, state: State, now: float) -> View:
    """The view after an event."""
    before, exercise = view.run, view.exercise
    if state.current and state.current != (exercise.id if exercise else ""):
        exercise = view.course.find(state.current)
        view = replace(view, exercise=exercise, previous=None, sources={}, paths=(), hints=0)
    elif isinstance(event, e.RunStarted) and before is not None and before.verdict is not None:
        view = replace(view, previous=before)
    if isinstance(event, e.ChecksAnnounced):
        view = replace(view, checking=now)
    if isinstance(event, e.RunFinished) and state.run is not None and state.run.verdict is event.verdict:
        view = replace(view, last_seconds=event.verdict.seconds.total)
    return replace(view, state=state, connected=True, now=now)
