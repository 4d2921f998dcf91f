"""The proofs of many exercises from one `verify`: its zygotes start once, and one exercise's tail overlaps the next."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Sequence

from tutor.core.exercise import Course
from tutor.engine.verify import VerifyRow, verify
from tutor.store.home import Home


class Proofs:
    """Runs `verify` in a thread; whoever asks for an exercise waits until its last row is there."""

    def __init__(self, course: Course, names: Sequence[str], home: Home) -> None:
        self._course, self._names, self._home = course, tuple(names), home
        self._rows: dict[str, list[VerifyRow]] = defaultdict(list)
        self._changed = threading.Condition()
        self._over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def of(self, name: str) -> list[VerifyRow]:
        """All rows of an exercise: its folder, starter and solution, and one a fault. Raises what stopped `verify`."""
        expected = 3 + sum(len(one.faults) + len(one.alternatives) for one in self._course.exercises if one.id == name)
        with self._changed:
            self._changed.wait_for(lambda: self._over or len(self._rows[name]) >= expected)
            if len(self._rows[name]) < expected and self._error is not None:
                raise self._error
            assert len(self._rows[name]) == expected, f"{name}: {len(self._rows[name])} rows, {expected} expected"
            return self._rows[name]

    def _run(self) -> None:
        try:
            asyncio.run(self._collect())
        except BaseException as error:  # noqa: BLE001 - it is raised where the rows are asked for
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    async def _collect(self) -> None:
        async for row in verify(self._course, self._names, jobs=2, home=self._home):
            with self._changed:
                self._rows[row.exercise].append(row)
                self._changed.notify_all()
