"""When the same thing has failed again and again: one quiet offer that fits it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from tutor.core.history import PastRun, versions
from tutor.core.verdict import Outcome

PATIENCE = 3


class Nudge(Struct, frozen=True):
    """`times` versions in a row have failed with `code`; `hint` is the next one that can be opened, 0 for none."""

    code: str
    times: int
    hint: int = 0
    hints: int = 0

    @property
    def failing(self) -> str:
        """What goes on failing, in a few words."""
        subject = {"build": "the same build error", "slow": "below the target"}.get(self.code, self.code)
        return f"{subject} {self.times} times in a row"

    @property
    def offer(self) -> str:
        """The hint, or what is left when all are open; the keys are those of both faces."""
        if self.hint:
            return f"h opens hint {self.hint} of {self.hints}"
        return "all hints are open, h shows them again" if self.hints else "d compares, s shows the solution"

    @property
    def text(self) -> str:
        """Both, as one line."""
        return f"{self.failing}: {self.offer}"


def nudge(past: Sequence[PastRun], opened: int, hints: int) -> Nudge | None:
    """The offer after these runs, of an exercise with `hints` hints of which `opened` are open; None while it flows.

    Versions count, not runs: a second run of the same code says nothing about its author. Only equal messages are the
    same build error; of every other code one is like the next.
    """
    times, last = 0, past[-1] if past else None
    for run in reversed(versions(past)):
        if last is None or run.verdict is not Outcome.FAIL or not run.code or _key(run) != _key(last):
            break
        times += 1
    if last is None or times < PATIENCE:
        return None
    return Nudge(last.code, times, opened + 1 if opened < hints else 0, hints)


def _key(run: PastRun) -> tuple[str, str]:
    return run.code, run.message if run.code == "build" else ""
