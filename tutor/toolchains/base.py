"""The Protocol that every toolchain fulfils, and the values it speaks in: programs, plans, steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.core.protocol import Artifact


@dataclass(frozen=True, slots=True)
class Program:
    """A program that was looked for: where it is, its version (`(16, 0, 6)`), or why it can't be used."""

    name: str
    path: str | None
    version: tuple[int, ...] = ()
    problem: str = ""

    @property
    def usable(self) -> bool:
        """True when it was found and answered."""
        return self.path is not None and not self.problem


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a toolchain can build here; when not, what is missing and how to get it."""

    ready: bool
    detail: str = ""
    missing: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One external command. `parses` names the source whose errors it reports; `env` is added to the environment."""

    argv: tuple[str, ...]
    cwd: Path
    label: str
    env: Mapping[str, str]
    timeout: float = 120.0


@dataclass(frozen=True, slots=True)
class CythonStep:
    """Translate a .pyx in the warm zygote; where there is none, `fallback` does it in a new process.

    Cython's annotated page is written beside `output`, with the suffix .html.
    """

    source: Path
    output: Path
    shared: str
    fallback: Command
    label: str = "cython"


Step = Command | CythonStep


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Build `exercise` from the copied sources in `source` into the empty folder `out`.

    sanitizer: `address` or `thread` for an instrumented build, which must be loaded in a worker made for it.
    """

    exercise: Exercise
    source: Path
    out: Path
    optimise: bool = True
    sanitizer: str = ""


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What to run: stages in order, the steps of a stage may run side by side. `key` goes into the content cache.

    key: everything besides the sources that decides the output (compiler version, flags, headers, package versions).
    outputs: names in `out` to keep in the cache; empty when there is nothing to build.
    unread: endings of files that no step reads, so that they don't decide the outputs.
    """

    stages: tuple[tuple[Step, ...], ...]
    artifact: Artifact
    key: str
    outputs: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WarmTask:
    """Something to make once in the background: a precompiled header, a shared module, the crates.

    locks: its steps hold a lock that a run's own build waits for, so they must not be stopped in the middle.
    """

    name: str
    label: str
    steps: tuple[Command, ...]
    target: Path
    seconds: float = 0.0
    locks: bool = False


class Toolchain(Protocol):
    """One way from learner's source to a loadable artifact."""

    name: ToolchainName

    def probe(self) -> Availability:
        """Whether this toolchain can build here. Never raises; the result is cached by the caller."""
        ...

    def plan(self, request: BuildRequest) -> BuildPlan:
        """The commands to run. Pure besides reading what is ready (PCH files). Raises EnvironmentMissing."""
        ...

    def parse(self, request: BuildRequest, output: str) -> tuple[Finding, ...]:
        """Findings (code `build`) on the learner's lines from the tools' output, the one to fix first in front."""
        ...

    def warm(self, exercises: Sequence[Exercise]) -> tuple[WarmTask, ...]:
        """Background work that makes later builds of these exercises of it faster; empty when all is there."""
        ...
