"""What the tests of all folders share: mltutor's own native libraries, compiled once for the session."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def own_libraries(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Copies the crash handler and the probe into a cache: every test has its own home, and making them takes 4 s."""
    from tutor.engine.workbench import crash_handler
    from tutor.toolchains.settings import configure, settings

    cache = tmp_path_factory.mktemp("own")
    before = settings()
    configure(cache, before.compiler)
    with ThreadPoolExecutor(1) as thread:  # a thread has no loop of pytest's yet
        thread.submit(lambda: asyncio.run(crash_handler())).result()
    configure(before.cache, before.compiler)

    def put_into(other: Path) -> None:
        if (cache / "native").is_dir():
            shutil.copytree(cache / "native", other / "native", dirs_exist_ok=True)

    return put_into
