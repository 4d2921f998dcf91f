"""Runs a build plan without the engine, and loads what it made in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutor.core.exercise import BuildOptions, Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.toolchains.base import BuildPlan, BuildRequest, Command, CythonStep, WarmTask
from tutor.toolchains.registry import toolchain


@dataclass
class Built:
    request: BuildRequest
    plan: BuildPlan
    code: int
    output: str
    seconds: float

    @property
    def artifact(self) -> Artifact:
        return self.plan.artifact

    @property
    def findings(self) -> tuple[Finding, ...]:
        return toolchain(self.request.exercise.toolchain).parse(self.request, self.output)


def run_command(command: Command) -> tuple[int, str]:
    done = subprocess.run(
        command.argv,
        cwd=command.cwd,
        env={**os.environ, **command.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=command.timeout,
    )
    return done.returncode, done.stdout


def run_task(task: WarmTask) -> float:
    start = time.perf_counter()
    for step in task.steps:
        code, output = run_command(step)
        assert code == 0, f"{step.label}: {output}"
    assert task.target.is_file(), task
    return time.perf_counter() - start


def make_request(
    tmp: Path,
    name: ToolchainName,
    module: str,
    files: Mapping[str, str],
    given: Mapping[str, str] | None = None,
    build: BuildOptions | None = None,
) -> BuildRequest:
    source, out = tmp / "source", tmp / "out"
    out.mkdir(parents=True)
    for file, text in {**files, **(given or {})}.items():
        path = source / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    exercise = Exercise(
        f"t-{module}",
        "1.1",
        "t",
        "s",
        name,
        module,
        tmp,
        tuple(files),
        tuple(given or ()),
        build=build or BuildOptions(),
    )
    return BuildRequest(exercise, source, out)


def build(request: BuildRequest) -> Built:
    plan = toolchain(request.exercise.toolchain).plan(request)
    start = time.perf_counter()
    code, output = 0, ""
    for stage in plan.stages:
        for step in stage:
            result = run_command(step.fallback if isinstance(step, CythonStep) else step)
            code, output = code or result[0], output + result[1]
        if code:
            break
    return Built(request, plan, code, output, time.perf_counter() - start)


LOAD = """
import ctypes, importlib.machinery, importlib.util, sys
kind, module, path, paths = sys.argv[1:5]
sys.path[:0] = [p for p in paths.split(":") if p]
if kind == "library":
    built = ctypes.CDLL(path)
elif kind == "torch":
    import torch
    torch.ops.load_library(path)
    built = getattr(torch.ops, module)
elif kind == "extension":
    if "torch" in sys.argv[5]:
        import torch
    loader = importlib.machinery.ExtensionFileLoader(module, path)
    built = importlib.util.module_from_spec(importlib.util.spec_from_loader(module, loader))
    loader.exec_module(built)
else:
    built = importlib.import_module(module)
exec(sys.argv[5])
"""


def load(artifact: Artifact, code: str) -> str:
    """What `code` prints with the loaded artifact as `built`."""
    words: list[Any] = [sys.executable, "-c", LOAD, artifact.kind, artifact.module, artifact.path]
    done = subprocess.run(
        [*words, ":".join(artifact.sys_path), code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **artifact.env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
