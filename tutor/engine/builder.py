"""From sources to an artifact: a folder of its own for every build, the content cache, steps side by side."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tutor.content import sources
from tutor.core import protocol as p
from tutor.core.errors import EnvironmentMissing, TutorError, WorkerError
from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding, Severity
from tutor.engine import snapshot
from tutor.engine.process import CommandResult, run_command
from tutor.engine.snapshot import Snapshot
from tutor.engine.zygotes import Zygotes
from tutor.store.build_cache import BuildCache
from tutor.toolchains.base import Availability, BuildPlan, BuildRequest, Command, CythonStep, Step, Toolchain
from tutor.toolchains.diagnose_python import syntax_errors
from tutor.toolchains.registry import environment_problem, retry_plainly, syntax_check, toolchain

KEEP_BUILDS = 8


@dataclass(frozen=True, slots=True)
class BuildOutcome:
    """What became of a build; `artifact` is set exactly when `ok`. `seconds` is wall time, `raw` all output."""

    ok: bool
    artifact: p.Artifact | None
    findings: tuple[Finding, ...] = ()
    raw: str = ""
    seconds: float = 0.0
    cached: bool = False


class ToolchainMissing(EnvironmentMissing):
    """This toolchain can't build here: the run is skipped, with the remedy."""


class Builder:
    """Builds snapshots below `scratch`; results are kept in `cache` by content."""

    def __init__(
        self,
        cache: BuildCache,
        scratch: Path,
        zygotes: Zygotes,
        find: Callable[[ToolchainName], Toolchain] = toolchain,
    ) -> None:
        self._cache, self._scratch, self._zygotes, self._find = cache, scratch, zygotes, find
        self._available: dict[ToolchainName, Availability] = {}
        self._numbers = itertools.count(1)
        self._builds: list[tuple[Snapshot, Path]] = []
        self._newest: dict[str, tuple[BuildRequest, BuildPlan]] = {}

    async def build(
        self,
        exercise: Exercise,
        taken: Snapshot,
        on_step: Callable[[str], None] = lambda label: None,
        sanitizer: str = "",
    ) -> BuildOutcome:
        """Build one snapshot into a new folder. `on_step` gets each step's label as it starts.

        Raises ToolchainMissing, EnvironmentMissing, OSError (scratch folder not writable).
        """
        started = time.perf_counter()
        if taken.problem:
            return BuildOutcome(False, None, (taken.problem,), taken.problem.message)
        chain = await self.chain(exercise)
        request, everything = await asyncio.to_thread(self._lay_out, exercise, taken, sanitizer)
        unreadable, said = await asyncio.to_thread(syntax_errors, request)
        if unreadable:
            return BuildOutcome(False, None, unreadable, said, time.perf_counter() - started)
        plan = await asyncio.to_thread(chain.plan, request)
        key = _key(plan, everything, exercise)
        kept: bool = bool(plan.outputs) and await asyncio.to_thread(self._cache.get, key, request.out)
        if kept:
            return BuildOutcome(True, plan.artifact, seconds=time.perf_counter() - started, cached=True)
        ok, raw = await self._run_stages(plan, on_step)
        if await asyncio.to_thread(_header_rejected, plan, raw) and not ok:
            plan = await asyncio.to_thread(chain.plan, request)  # now without the precompiled header
            ok, raw = await self._run_stages(plan, on_step)
        if not ok and (problem := await asyncio.to_thread(environment_problem, raw)):
            raise problem
        findings = await asyncio.to_thread(_findings, chain, request, ok, raw)
        if ok:
            if not sanitizer:
                self._newest[exercise.id] = request, plan
            _must_exist(plan, request.out)
            if plan.outputs:
                await asyncio.to_thread(self._cache.put, key, request.out, plan.outputs)
        return BuildOutcome(ok, plan.artifact if ok else None, findings, raw, time.perf_counter() - started)

    async def missing_includes(self, exercise: Exercise) -> tuple[Finding, ...]:
        """What the newest build compiled only because a precompiled header brought an #include along.

        Compiles once more without that header and without making code, at low priority; nothing when none was used.
        """
        newest = self._newest.pop(exercise.id, None)
        command = syntax_check(newest[1]) if newest else None
        if newest is None or command is None:
            return ()
        result = await run_command(command, low=True)
        return () if result.ok else self._find(exercise.toolchain).parse(newest[0], result.output)

    async def chain(self, exercise: Exercise) -> Toolchain:
        """The exercise's toolchain, probed once. Raises ToolchainMissing with the remedy."""
        name = exercise.toolchain
        chain = self._find(name)
        if name not in self._available:
            self._available[name] = await asyncio.to_thread(chain.probe)
        there = self._available[name]
        if not there.ready:
            del self._available[name]  # the learner may install it while we run
            raise ToolchainMissing(f"{name} can't be built here: {there.missing or there.detail}", there.remedy)
        return chain

    def _lay_out(self, exercise: Exercise, taken: Snapshot, sanitizer: str) -> tuple[BuildRequest, dict[str, bytes]]:
        everything = {**sources.given_files(exercise), **taken.files}
        folder = self._scratch / f"build-{next(self._numbers)}"
        request = BuildRequest(exercise, folder / "src", folder / "out", sanitizer=sanitizer)
        request.out.mkdir(parents=True)
        request.source.mkdir()
        snapshot.write(everything, request.source)
        self._builds.append((taken, folder))
        return request, everything

    def forget_old(self) -> None:
        """Remove all but the newest build folders; files that a process has mapped live on until it ends."""
        self._builds, old = self._builds[-KEEP_BUILDS:], self._builds[:-KEEP_BUILDS]
        _remove(old)

    async def forget(self, taken: Snapshot) -> None:
        """Remove the folders of what was built of this snapshot, that very object: another may hold the same."""
        over = [build for build in self._builds if build[0] is taken]
        for build in over:
            self._builds.remove(build)
        await asyncio.to_thread(_remove, over)

    async def _run_stages(self, plan: BuildPlan, on_step: Callable[[str], None]) -> tuple[bool, str]:
        raw = ""
        for stage in plan.stages:
            results = await self._side_by_side(stage, on_step)
            raw += "".join(result.output for result in results)
            if not all(result.ok for result in results):
                return False, raw
        return True, raw

    async def _side_by_side(self, stage: tuple[Step, ...], on_step: Callable[[str], None]) -> list[CommandResult]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._run_step(step, on_step)) for step in stage]
        except* TutorError as group_of_one:
            raise group_of_one.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _run_step(self, step: Step, on_step: Callable[[str], None]) -> CommandResult:
        on_step(step.label)
        if isinstance(step, CythonStep):
            return await self._cythonize(step)
        # a compiler that is killed leaves its temporary files: with the build, not in the machine's /tmp
        result = await run_command(replace(step, env={"TMPDIR": str(self._scratch), **step.env}))
        if result.timed_out:
            text = f"{result.output}\nerror: `{step.label}` was ended after {step.timeout:.0f} s\n"
            return CommandResult(result.code, text, result.seconds, True)
        return result

    async def _cythonize(self, step: CythonStep) -> CommandResult:
        zygote = self._zygotes.of("cython")
        message = p.Cythonize(zygote.next_id(), str(step.source), str(step.output), step.shared, annotate=True)
        try:
            done = await zygote.finish(message)
        except WorkerError:
            return await run_command(step.fallback)
        if done.outcome in ("ok", "failed"):
            return CommandResult(int(done.outcome == "failed"), done.message, done.seconds)
        return await run_command(step.fallback)


def _remove(builds: Iterable[tuple[Snapshot, Path]]) -> None:
    for _, folder in builds:
        shutil.rmtree(folder, ignore_errors=True)


def _header_rejected(plan: BuildPlan, raw: str) -> bool:
    """True when a precompiled header was to blame and has been given up."""
    commands = [step for stage in plan.stages for step in stage if isinstance(step, Command)]
    return any([retry_plainly(command, raw) for command in commands])


def _key(plan: BuildPlan, files: dict[str, bytes], exercise: Exercise) -> str:
    read = {name: data for name, data in files.items() if not name.endswith(plan.unread)}
    text = f"{exercise.id}\n{exercise.module}\n{plan.key}\n{sources.digest(read)}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _findings(chain: Toolchain, request: BuildRequest, ok: bool, raw: str) -> tuple[Finding, ...]:
    """What the toolchain reads from the output; a failed build always has at least one error."""
    found = tuple(chain.parse(request, raw)) if raw else ()
    if ok:
        return tuple(f for f in found if f.severity is not Severity.ERROR)
    if any(f.severity is Severity.ERROR for f in found):
        return found
    words = [line.strip() for line in raw.splitlines() if line.strip()]
    first = next((w for w in words if "error" in w.lower()), words[-1] if words else "the build failed silently")
    return (Finding("build", first, file=request.exercise.main_file), *found)


def _must_exist(plan: BuildPlan, out: Path) -> None:
    missing = [name for name in plan.outputs if not (out / name).exists()]
    if missing:
        raise EnvironmentMissing(
            f"the build ended well but made no {', '.join(missing)}", "mltutor doctor checks the tools"
        )
