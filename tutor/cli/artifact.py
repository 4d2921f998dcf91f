"""Builds one version of an exercise outside a session, into a folder that outlives the command."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from tutor.cli.context import Context
from tutor.content.sources import solution_files, starter_files
from tutor.core.exercise import Exercise
from tutor.engine import snapshot
from tutor.engine.builder import Builder, BuildOutcome
from tutor.engine.zygotes import Zygotes
from tutor.store.atomic import explained
from tutor.store.build_cache import BuildCache
from tutor.store.home import CACHE_BYTES
from tutor.toolchains.settings import configure

_KEEP_SECONDS = 24 * 3600.0


async def build_artifact(context: Context, exercise: Exercise, subject: str) -> tuple[BuildOutcome, str]:
    """Build `subject` (`learner`, `solution`, `starter`); the outcome, and its artifact as JSON or nothing."""
    configure(context.home.cache)
    scratch = _scratch(context.home.cache / "artifacts")
    builder = Builder(BuildCache(context.home.builds, CACHE_BYTES), scratch, Zygotes())
    outcome = await builder.build(exercise, _taken(context, exercise, subject))
    import msgspec

    return outcome, msgspec.json.encode(outcome.artifact).decode() if outcome.artifact else ""


def _taken(context: Context, exercise: Exercise, subject: str) -> snapshot.Snapshot:
    if subject == "learner":
        context.workspace.start(exercise)
        return snapshot.take(exercise, context.workspace.folder(exercise), context.workspace.root)
    return snapshot.of(solution_files(exercise) if subject == "solution" else starter_files(exercise))


def _scratch(root: Path) -> Path:
    """A new folder below `root`; those of yesterday go."""
    with explained("can't make a folder in"):
        root.mkdir(parents=True, exist_ok=True)
        for old in root.iterdir():
            if time.time() - old.stat().st_mtime > _KEEP_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=root)).resolve()
