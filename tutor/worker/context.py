"""What one check knows: its artifact, its seed, and the rows its fixtures have measured."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tutor.core.protocol import Artifact
from tutor.core.verdict import CallReport, GilReport, MemoryReport


@dataclass(slots=True, eq=False)
class CheckContext:
    """Shared by the fixtures of a check. `loaded` is what `built` returned, so that a session loads it once.

    say: tells the supervisor how far the check has come (`loading`, `loaded`).
    """

    artifact: Artifact
    seed: int
    references: list[CallReport] = field(default_factory=list)
    gil: list[GilReport] = field(default_factory=list)
    memory: list[MemoryReport] = field(default_factory=list)
    seeded: bool = False
    loaded: Any = None
    say: Callable[[str], None] = lambda _: None


CONTEXT: pytest.StashKey[CheckContext] = pytest.StashKey()


def context_of(config: pytest.Config, folder: Path) -> CheckContext:
    """The context of the run, or, where plain pytest runs, one made from the environment or by building."""
    found = config.stash.get(CONTEXT, None)
    if found is None:
        seed = int(os.environ.get("MLTUTOR_SEED", "0")) or fresh_seed()
        found = config.stash[CONTEXT] = CheckContext(_artifact_for(folder), seed)
        prepare_process(found.artifact)
    return found


def fresh_seed() -> int:
    """A seed that nobody can have hard-coded a result for."""
    return secrets.randbelow(2**31 - 1) + 1


def prepare_process(artifact: Artifact) -> None:
    """Set the variables and the import path that the artifact asks for."""
    os.environ.update(artifact.env)
    sys.path[:0] = artifact.sys_path


def _artifact_for(folder: Path) -> Artifact:
    text = os.environ.get("MLTUTOR_ARTIFACT") or _build(folder)
    try:
        return msgspec.json.decode(text, type=Artifact)
    except msgspec.DecodeError as error:
        pytest.fail(f"no artifact for {folder.name}: {error}", pytrace=False)


def _build(folder: Path) -> str:
    argv = [sys.executable, "-m", "tutor.cli.main", "build", str(folder), "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        pytest.fail(f"the build failed:\n{_reason(done)}", pytrace=False)
    return done.stdout


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    try:
        document = json.loads(done.stdout)
        return str(document.get("message") or done.stderr)
    except (json.JSONDecodeError, AttributeError):
        return done.stderr or done.stdout
