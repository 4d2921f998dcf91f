"""Turns a build plan into compile commands for the learner's own files, for the language server in his editor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from tutor.content.clangd import CompileEntry, write
from tutor.content.workspace import Workspace
from tutor.core.exercise import Exercise
from tutor.engine.builder import Builder
from tutor.store.atomic import explained
from tutor.toolchains.base import BuildPlan, BuildRequest, Command

_WITH_VALUE = {"-include-pch", "-o"}


async def describe(builder: Builder, exercise: Exercise, workspace: Workspace) -> None:
    """Write compile_commands.json for the exercise. Raises EnvironmentMissing, WorkspaceError."""
    chain = await builder.chain(exercise)
    folder = workspace.folder(exercise)
    request = BuildRequest(exercise, folder, folder / ".mltutor-build")
    with explained("can't read"):
        plan = await asyncio.to_thread(chain.plan, request)
    entries = tuple(_entries(plan, [folder / name for name in exercise.files]))
    await asyncio.to_thread(write, workspace.root, entries)


def _entries(plan: BuildPlan, files: list[Path]) -> Iterator[CompileEntry]:
    for stage in plan.stages:
        for step in stage:
            for file in files:
                if isinstance(step, Command) and any(step.cwd / word == file for word in step.argv[1:]):
                    yield CompileEntry(file, step.cwd, tuple(_for_clangd(step.argv)))


def _for_clangd(argv: tuple[str, ...]) -> Iterator[str]:
    """The command without what only this build has: outputs, and precompiled headers that clangd may not read."""
    words = iter(argv)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif word == "-Winvalid-pch" or word.startswith("-Wl,"):
            continue
        else:
            yield word
