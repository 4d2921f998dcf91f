"""Asks one worker about statements over planted modules."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tutor.core.diagnosis import Diagnosis
from tutor.core.finding import Severity
from tutor.engine.diagnose import Question, ask

DEFECTS = Path(__file__).parents[1] / "probe" / "defects.c"
SETUP = """
import sys
sys.path.insert(0, {folder!r})
import defects, stripped
class C: pass
x, many = C(), [C() for _ in range(9)]
"""


@dataclass(frozen=True)
class Asker:
    """`ask(statement)` about modules of `folder`; `codes` of what was found, notes left out."""

    loop: asyncio.AbstractEventLoop
    worker: object
    folder: Path

    def __call__(self, statement: str, setup: str = SETUP, seconds: float = 20.0, **options: object) -> Diagnosis:
        question = Question(statement, setup.replace("{folder!r}", repr(str(self.folder))), seconds, **options)  # type: ignore[arg-type]
        return self.loop.run_until_complete(ask(self.worker, question))  # type: ignore[arg-type]

    def codes(self, statement: str, **options: object) -> list[str]:
        diagnosis = self(statement, **options)  # type: ignore[arg-type]
        assert diagnosis.problem is None, diagnosis.problem
        return [f.finding.code for f in diagnosis.findings if f.finding.severity is not Severity.NOTE]
