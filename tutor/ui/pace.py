"""When what has happened is drawn: at the next tick, or, where bytes are time, together with what follows."""

from __future__ import annotations

from tutor.core import events as e

# Over SSH a step of a run that goes on is a few bytes of news in forty of escapes: steps wait for each other so many
# ticks, and an interval that only becomes narrower waits for as many steps.
STEPS = 4
# Over SSH a list of checks that would be drawn twice within so many seconds is drawn once.
PATIENCE = 3.0


class Pace:
    """Counts ticks since the last drawing. `calm` where the line to the terminal may be slow."""

    def __init__(self, *, calm: bool) -> None:
        self.patience = PATIENCE if calm else 0.0
        self._step = STEPS if calm else 1
        self._waited, self._wait = 0, 0

    def hear(self, event: e.Event) -> None:
        """Something has happened."""
        self._within(self._ticks(event))

    def hurry(self) -> None:
        """Draw at the next tick."""
        self._within(1)

    @property
    def pending(self) -> bool:
        """True while something waits to be drawn."""
        return self._wait > 0

    def tick(self) -> bool:
        """One more tick; True when what waits is to be drawn now."""
        self._waited += 1
        if not self._wait or self._waited < self._wait:
            return False
        self._waited = self._wait = 0
        return True

    def _within(self, ticks: int) -> None:
        self._wait = min(self._wait or ticks, ticks)

    def _ticks(self, event: e.Event) -> int:
        if isinstance(event, e.BenchMeasured) and not event.final:
            return self._step * self._step
        return self._step if isinstance(event, e.CheckFinished | e.BenchMeasured | e.StageStarted) else 1
