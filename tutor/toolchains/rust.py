"""Rust with PyO3: `cargo build` straight in a maturin project, one target folder for all exercises."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutor.core.errors import ContentError
from tutor.core.exercise import Exercise, ToolchainName
from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.toolchains import programs
from tutor.toolchains.base import Availability, BuildPlan, BuildRequest, Command, WarmTask
from tutor.toolchains.diagnose_rust import cargo_findings
from tutor.toolchains.packages import digest, extension_suffix, machine
from tutor.toolchains.recipe import snapshot_sources
from tutor.toolchains.settings import settings

REMEDY = "install Rust: https://rustup.rs, or `apt install cargo`"
OLDEST = (1, 83)  # what pyo3 0.29 asks for
# Cargo knows a crate by its folder and builds it anew in another one, so the snapshot is copied to where it always
# lies. The lock keeps two sessions from mixing their copies; killing the command releases it.
_BUILD = """
project=$1; source=$2; made=$3; out=$4; shift 4
if [ "$source" != "$project" ]; then
  rm -rf "$project" && mkdir -p "$project" && cp -R "$source/." "$project/" || exit 74
fi
cd "$project" && "$@" && { [ -z "$out" ] || cp "$made" "$out"; }
"""


@dataclass(frozen=True, slots=True)
class Crate:
    """What a Cargo.toml says: name of the library file, whether it is a Python module (uses pyo3)."""

    library: str
    python: bool

    @property
    def file(self) -> str:
        """Name of the cdylib that cargo makes."""
        return f"lib{self.library}.so"


def read_crate(folder: Path) -> Crate:
    """Raises ContentError when Cargo.toml is missing or malformed."""
    file = folder / "Cargo.toml"
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        package: Mapping[str, Any] = table.get("package", {})
        name = table.get("lib", {}).get("name") or str(package["name"]).replace("-", "_")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, AttributeError) as error:
        raise ContentError(file, f"not a usable Cargo.toml: {error}") from error
    return Crate(str(name), "pyo3" in table.get("dependencies", {}))


def missing_crates(folder: Path) -> tuple[str, ...]:
    """Crates of Cargo.lock (`name-version`) that cargo has not downloaded yet."""
    try:
        table = tomllib.loads((folder / "Cargo.lock").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return ()
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    have = {file.name.removesuffix(".crate") for file in home.glob("registry/cache/*/*.crate")}
    wanted = [f"{p['name']}-{p['version']}" for p in table.get("package", ()) if "source" in p]
    return tuple(crate for crate in wanted if crate not in have)


class RustToolchain:
    """Release profile: optimised, no overflow checks, incremental, line tables for crashes."""

    name: ToolchainName = "rust"

    def probe(self) -> Availability:
        """cargo of 2024-11 or later; crates are cargo's to fetch."""
        cargo = programs.cargo()
        if not cargo.usable:
            return Availability(False, missing=cargo.problem or "cargo was not found", remedy=REMEDY)
        number = ".".join(map(str, cargo.version))
        if cargo.version < OLDEST:
            return Availability(False, missing=f"cargo {number} is too old, 1.83 is needed", remedy=REMEDY)
        return Availability(True, f"cargo {number}")

    def plan(self, request: BuildRequest) -> BuildPlan:
        """One command: copy to the fixed folder, cargo build, copy the library out."""
        exercise = request.exercise
        crate = read_crate(request.source)
        output = exercise.module + (extension_suffix() if crate.python else ".so")
        command = _cargo(exercise.id, request.source, crate, request.out / output)
        kind: Any = "extension" if crate.python else "library"
        artifact = Artifact(
            kind, exercise.module, str(request.out / output), (str(request.source),), {}, snapshot_sources(request)
        )
        key = digest(programs.cargo().version, sorted(_environment().items()), machine(), sys.executable)
        return BuildPlan(((command,),), artifact, key, (output,))

    def parse(self, request: BuildRequest, output: str) -> tuple[Finding, ...]:
        """What rustc and cargo say."""
        return cargo_findings(request, output)

    def warm(self, exercises: Sequence[Exercise]) -> tuple[WarmTask, ...]:
        """Each exercise's solution once: fetches the crates, builds what all exercises share."""
        return tuple(task for exercise in exercises if (task := _warm_task(exercise)))


def _warm_task(exercise: Exercise) -> WarmTask | None:
    folder = exercise.solution
    lock = (folder / "Cargo.lock").read_bytes().hex() if (folder / "Cargo.lock").is_file() else ""
    key = digest(lock, programs.cargo().version, sorted(_environment().items()))
    done = settings().cache / "cargo" / "ready" / key
    if done.is_file() or not programs.cargo().usable:
        return None
    label = f"Rust crates of {exercise.number}"
    # A project of its own: the shared dependencies are all that matters. A mark instead of the library, because cargo
    # cleans its target folder as it likes.
    build = _cargo(f"warm-{key}", folder, read_crate(folder), None, label)
    mark = Command(("sh", "-c", 'mkdir -p "${1%/*}" && : >"$1"', "sh", str(done)), folder, label, {})
    # cargo locks its target folder, which all builds share.
    return WarmTask(f"rust-{key}", label, (build, mark), done, 20.0, locks=True)


def _cargo(name: str, source: Path, crate: Crate, out: Path | None, label: str = "cargo build") -> Command:
    root = settings().cache / "cargo"
    project, made = root / "src" / name, root / "target" / "release" / crate.file
    words = [programs.cargo().path or "cargo", "build", "--release", "--lib", "--quiet", "--color", "never", "--locked"]
    if not missing_crates(source):
        words.append("--offline")
    argv = ["sh", "-c", _BUILD, "sh", str(project), str(source), str(made), str(out or ""), *words]
    flock = shutil.which("flock")
    if flock:
        argv = ["sh", "-c", 'mkdir -p "${2%/*}" && exec "$@"', "sh", flock, f"{root}/src/{name}.lock", *argv]
    return Command(tuple(argv), source, label, _environment(), timeout=300.0)


def _environment() -> dict[str, str]:
    root = settings().cache / "cargo"
    return {
        "CARGO_TARGET_DIR": str(root / "target"),
        # Without these two pyo3 is configured, and built, anew whenever another Python comes first on PATH.
        "PYO3_PYTHON": sys.executable,
        "PYO3_BUILD_EXTENSION_MODULE": "1",
        "CARGO_PROFILE_RELEASE_OPT_LEVEL": "3",
        "CARGO_PROFILE_RELEASE_INCREMENTAL": "true",
        "CARGO_PROFILE_RELEASE_DEBUG": "line-tables-only",
        "CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS": "false",
        "CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS": "false",
        "CARGO_TERM_PROGRESS_WHEN": "never",
        "RUSTFLAGS": "-C target-cpu=native -C force-frame-pointers=yes",
    }
