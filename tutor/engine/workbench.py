"""What every run needs, opened and closed together: scratch folder, build cache, zygotes, builder, pipeline."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from tutor.core.errors import TutorError, WorkspaceError
from tutor.core.protocol import Warm
from tutor.engine.builder import Builder
from tutor.engine.pipeline import Emit, Pipeline
from tutor.engine.process import run_command
from tutor.engine.quiet import Quiet
from tutor.engine.roof import RoofMeter
from tutor.engine.secondwave import SecondWave
from tutor.engine.zygotes import Zygotes
from tutor.store.build_cache import BuildCache
from tutor.store.home import CACHE_BYTES, Home
from tutor.toolchains.base import BuildPlan, Command
from tutor.toolchains.native import build_native
from tutor.toolchains.probe import build_probe
from tutor.toolchains.settings import configure, settings


class Workbench:
    """Builder, zygotes and pipeline over one scratch folder that no other process uses."""

    def __init__(self, home: Home, emit: Emit, launcher: Sequence[str] = (), worker: Sequence[str] = ()) -> None:
        configure(home.cache, settings().compiler)
        self.scratch = _scratch(home, bool(launcher))
        self.zygotes = Zygotes(launcher, worker, crash_handler)
        self.quiet = Quiet()
        self.roof = RoofMeter(home.cache, launcher, self.quiet)
        self.builder = Builder(BuildCache(home.builds, CACHE_BYTES), self.scratch, self.zygotes)
        self.pipeline = Pipeline(self.builder, self.zygotes, self.quiet, emit)
        self.second_wave = SecondWave(self.builder, self.zygotes, self.quiet, emit)

    async def __aenter__(self) -> Workbench:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.zygotes.close()
        await asyncio.to_thread(shutil.rmtree, self.scratch, True)


async def crash_handler() -> Warm | None:
    """The libraries that name the line of a crash or a lost reference, built once; without it there is no line."""
    made = [await _make(build_native, "crash"), await _make(build_probe)]
    paths = tuple(path for path in made if path)
    return Warm(0, preload=paths) if paths else None


async def _make(plan_of: Callable[..., BuildPlan], *names: str) -> str:
    """Where the artifact of a plan lies once its steps are done; empty when it can't be made here."""
    try:
        plan = await asyncio.to_thread(plan_of, *names)
        for stage in plan.stages:
            for step in stage:
                if isinstance(step, Command) and not (await run_command(step)).ok:
                    return ""
    except (TutorError, OSError):
        return ""
    return plan.artifact.path


def _scratch(home: Home, remote: bool) -> Path:
    """A new folder; in the shared cache when the worker runs on another machine, else in the system's own."""
    parent: Path | None = None
    try:
        if remote:
            parent = home.cache / "runs"
            parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="mltutor-", dir=parent)).resolve()
    except OSError as error:
        raise WorkspaceError(
            f"can't make a scratch folder: {error.strerror}", "Free space in the temporary folder, or set TMPDIR."
        ) from error
