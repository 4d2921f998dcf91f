"""A Python of each version when it is asked for, and what became of the cases, for the table in the docs."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from matrix_pythons import OUTCOMES, Python, make_ready, pythons


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what became of each case, where MLTUTOR_MATRIX names a file: docs/matrix.py makes the table of it.

    Cases that were not asked about this time keep what the file says of them.
    """
    outcomes = session.config.stash[OUTCOMES]
    if (name := os.environ.get("MLTUTOR_MATRIX")) and outcomes:
        path = Path(name)
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        known = {(row["defect"], row["toolchain"], row["python"]): row["outcome"] for row in before} | outcomes
        rows = [{"defect": d, "toolchain": t, "python": v, "outcome": o} for (d, t, v), o in sorted(known.items())]
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def python_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Python]]:
    """A Python by its version, made ready when first asked for."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("the probe attaches on x86-64 Linux only")
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    ready: dict[str, Python] = {}

    def find(version: str) -> Python:
        if version not in ready:
            ready[version] = make_ready(pythons()[version], tmp_path_factory.mktemp(f"python{version}"), loop)
        return ready[version]

    yield find
    for python in ready.values():
        loop.run_until_complete(python.worker.close())
    loop.close()
