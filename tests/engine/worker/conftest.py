"""A compiled extension with planted defects, and zygotes that check it."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from worker_harness import Outcome, Planted, ZygoteClient, outcome

from tutor.core import protocol

HERE = Path(__file__).parent
NATIVE = HERE.parents[2] / "native"
CRASH_SOURCE = NATIVE / "crash" / "crash.c"


def compile_c(source: Path, output: Path, *flags: str) -> Path:
    """Compile C to a shared object: `source`, and what else is among the flags."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    include = sysconfig.get_paths()["include"]
    argv = ["gcc", "-O1", "-g1", "-shared", "-fPIC", "-w", f"-I{include}", str(source), "-o", str(output), *flags]
    subprocess.run(argv, check=True)
    return output


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("planted")
    source = folder / "planted.c"
    shutil.copy(HERE / "planted.c", source)
    library = compile_c(source, folder / "planted.so")
    return Planted(protocol.Artifact("extension", "planted", str(library), sources={"planted.c": str(source)}))


@pytest.fixture(scope="session")
def crash_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c(CRASH_SOURCE, tmp_path_factory.mktemp("crash") / "crash.so", "-pthread")


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory, crash_library: Path) -> Iterator[ZygoteClient]:
    yield from started(tmp_path_factory.mktemp("zygote"), crash_library)


@pytest.fixture(scope="session")
def probed_zygote(tmp_path_factory: pytest.TempPathFactory, crash_library: Path) -> Iterator[ZygoteClient]:
    """One with the probe, which then compares what judges."""
    folder = tmp_path_factory.mktemp("probed")
    first, *others = sorted(map(str, (NATIVE / "probe").glob("*.c")))
    name = f"_probe{sysconfig.get_config_var('EXT_SUFFIX')}"
    yield from started(folder, crash_library, compile_c(Path(first), folder / name, *others, "-ldl"))


def started(folder: Path, *preload: Path) -> Iterator[ZygoteClient]:
    client = ZygoteClient("plain", folder / "errors.txt")
    (done,) = client.finish(protocol.Warm(client.run_id(), preload=tuple(map(str, preload))))
    assert isinstance(done, protocol.Done)
    assert done.outcome == "ok", done.message
    yield client
    client.close()


@pytest.fixture
def lesson(tmp_path: Path) -> Callable[[str], Path]:
    """Write a lesson folder with one check file."""

    def write(text: str, bench: str = "") -> Path:
        folder = tmp_path / "lesson"
        folder.mkdir(exist_ok=True)
        (folder / "exercise.toml").write_text("")
        (folder / "test_it.py").write_text("import os, sys, time\nimport pytest\n" + textwrap.dedent(text))
        if bench:
            (folder / "bench.py").write_text(textwrap.dedent(bench))
        return folder

    return write


@pytest.fixture
def run(zygote: ZygoteClient, planted: Planted, lesson: Callable[[str], Path]) -> Callable[..., Outcome]:
    """Run the checks of a text against the planted extension."""
    return runner(zygote, planted, lesson)


@pytest.fixture
def run_probed(probed_zygote: ZygoteClient, planted: Planted, lesson: Callable[[str], Path]) -> Callable[..., Outcome]:
    """The same where the probe is loaded."""
    return runner(probed_zygote, planted, lesson)


def runner(zygote: ZygoteClient, planted: Planted, lesson: Callable[[str], Path]) -> Callable[..., Outcome]:
    """What runs the checks of a text in this zygote."""

    def run_text(text: str, artifact: protocol.Artifact | None = None, **options: object) -> Outcome:
        request = protocol.Check(
            zygote.run_id(),
            "test",
            str(lesson(text)),
            artifact or planted.artifact,
            **options,  # type: ignore[arg-type]
        )
        return outcome(zygote.finish(request))

    return run_text
