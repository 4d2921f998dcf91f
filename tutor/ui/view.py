"""What the panels are drawn from: the engine's state, and the few things the app knows besides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tutor.core.exercise import Course, Exercise
from tutor.core.nudge import Nudge, nudge
from tutor.core.state import RunState, State
from tutor.core.verdict import Outcome
from tutor.ui.glyphs import UNICODE, Glyphs


@dataclass(frozen=True, slots=True)
class View:
    """One moment of the app. `previous` is the last finished run of this exercise, shown until the next one reports.

    sources: the learner's files as lines, by name. now: time.time(). last_seconds: how long the last verdict took.
    hints: how many the exercise has.
    """

    state: State
    course: Course
    exercise: Exercise | None = None
    previous: RunState | None = None
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    now: float = 0.0
    last_seconds: float | None = None
    hints: int = 0
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
        return self._settled(self.run is not None and bool(self.run.announced or self.run.checks))

    def benched(self) -> RunState | None:
        """The run whose speed is shown."""
        return self._settled(self.run is not None and bool(self.run.bench))

    def _settled(self, reported: bool) -> RunState | None:
        run = self.run
        if run is None or reported or not run.active or run.build_ok is False:
            return run
        return self.previous or run

    @property
    def nudge(self) -> Nudge | None:
        """The offer after the same failure again and again; None while a run goes on."""
        run = self.run
        if self.exercise is None or run is None or run.verdict is None or run.verdict.verdict is not Outcome.FAIL:
            return None
        return nudge(self.state.past, self.state.progress.of(self.exercise.id).hints, self.hints)

    def neighbour(self, step: int) -> Exercise | None:
        """The exercise `step` places away in reading order, or None at an end."""
        every = self.course.exercises
        if self.exercise is None:
            return every[0] if every else None
        place = next((i for i, one in enumerate(every) if one.id == self.exercise.id), 0) + step
        return every[place] if 0 <= place < len(every) else None
