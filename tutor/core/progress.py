"""What the learner has done, by exercise id. Pure values; tutor.store keeps them on disk."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace


class ExerciseProgress(Struct, frozen=True):
    """One exercise: the digest that passed last, best speedup by case, hints opened, runs and failures in a row."""

    passed_digest: str = ""
    passed_at: float | None = None
    best: dict[str, float] = field(default_factory=dict)
    hints: int = 0
    solution_seen: bool = False
    runs: int = 0
    failures: int = 0

    @property
    def passed(self) -> bool:
        """True once any version of the exercise has passed."""
        return self.passed_at is not None


class Progress(Struct, frozen=True):
    """All exercises by id, and where the learner is."""

    exercises: dict[str, ExerciseProgress] = field(default_factory=dict)
    current: str = ""

    def of(self, exercise: str) -> ExerciseProgress:
        """Progress of one exercise; empty when it was never touched."""
        return self.exercises.get(exercise, ExerciseProgress())

    def with_exercise(self, exercise: str, value: ExerciseProgress) -> Progress:
        """The same progress with one exercise replaced."""
        return replace(self, exercises={**self.exercises, exercise: value})

    @property
    def passed(self) -> frozenset[str]:
        """Ids of the exercises that have passed."""
        return frozenset(key for key, value in self.exercises.items() if value.passed)
