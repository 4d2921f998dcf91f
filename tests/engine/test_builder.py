"""The builder with a real compiler: what is not built at all, and what need not be built again."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tutor.core.exercise import Exercise
from tutor.engine import snapshot
from tutor.engine.builder import BuildOutcome
from tutor.engine.workbench import Workbench
from tutor.store.home import Home

TWICE = b"import add\n\n\ndef twice(x):\n    return add.total([x, x])\n"


@pytest.fixture
def both(exercise: Exercise) -> Exercise:
    """The learner writes C and the Python around it."""
    return replace(exercise, files=(*exercise.files, "twice.py"))


class Learner:
    """Saves files and has them built."""

    def __init__(self, workbench: Workbench, exercise: Exercise) -> None:
        self.workbench, self.exercise = workbench, exercise
        self.files = {"add.c": (exercise.solution / "add.c").read_bytes(), "twice.py": TWICE}
        self.steps: list[str] = []

    async def saves(self, name: str, text: bytes) -> BuildOutcome:
        self.files[name] = text
        self.steps.clear()
        return await self.workbench.builder.build(self.exercise, snapshot.of(self.files), self.steps.append)


async def test_python_that_cannot_be_read_is_one_finding_and_nothing_is_compiled(both: Exercise, home: Home) -> None:
    async with Workbench(home, lambda event: None) as workbench:
        learner = Learner(workbench, both)
        built = await learner.saves("twice.py", TWICE.replace(b"twice(x)", b"twice(x"))
        assert (built.ok, built.artifact, learner.steps) == (False, None, [])
        assert [(f.code, f.file, f.line) for f in built.findings] == [("build", "twice.py", 4)]
        assert "SyntaxError" in built.raw
        assert "def twice(x:" in built.raw


async def test_a_change_in_python_compiles_nothing_and_is_there(both: Exercise, home: Home) -> None:
    async with Workbench(home, lambda event: None) as workbench:
        learner = Learner(workbench, both)
        first = await learner.saves("twice.py", TWICE)
        assert first.ok, first.raw
        assert learner.steps
        changed = TWICE.replace(b"twice", b"double")
        second = await learner.saves("twice.py", changed)
        assert second.cached
        assert learner.steps == []
        assert second.artifact is not None
        assert Path(second.artifact.sys_path[-1], "twice.py").read_bytes() == changed
        third = await learner.saves("add.c", learner.files["add.c"] + b"\n/* more */\n")
        assert third.ok
        assert learner.steps
