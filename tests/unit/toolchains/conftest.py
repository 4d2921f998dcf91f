from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tutor.toolchains import programs
from tutor.toolchains.registry import configure


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the whole run: native libraries and crates are made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def toolchain_settings(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("MLTUTOR_COMPILER", raising=False)
    configure(cache, "gcc")
    yield
    configure(cache, "gcc")


@pytest.fixture
def fresh_probes() -> Iterator[None]:
    programs.forget()
    yield
    programs.forget()
