"""Probing survives programs that hang, can't be run or answer nonsense; what is missing comes with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutor.core.errors import EnvironmentMissing, UsageError
from tutor.core.exercise import ToolchainName
from tutor.toolchains import packages, programs
from tutor.toolchains.compilers import compiler
from tutor.toolchains.doctor import examine, file_system
from tutor.toolchains.registry import configure, settings, toolchain


def write_program(folder: Path, name: str, body: str, mode: int = 0o755) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0", (12, 2, 0)),
        ("Ubuntu clang version 18.1.3 (1ubuntu1)", (18, 1, 3)),
        ("mold 1.10.1 (compatible with GNU ld)", (1, 10, 1)),
        ("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", (1, 95, 0)),
        ("nvcc: NVIDIA\nCuda compilation tools, release 13.5, V13.5.37", (13, 5, 37)),
        ("no number here", ()),
    ],
)
def test_version_is_read(text: str, version: tuple[int, ...]) -> None:
    assert programs.version_in(text) == version


def test_probe_survives_a_hanging_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_program(tmp_path / "bin", "gcc", "exec sleep 60")
    output, problem = programs.run_probe((str(path), "--version"), seconds=0.3)
    assert output == ""
    assert "no answer" in problem


def test_probe_survives_a_program_without_execute_permission(tmp_path: Path) -> None:
    path = write_program(tmp_path / "bin", "gcc", "echo gcc 13.1.0", mode=0o644)
    program = programs.probe("gcc", str(path))
    assert not program.usable
    assert "Permission denied" in program.problem


def test_probe_reports_a_failing_program(tmp_path: Path) -> None:
    path = write_program(tmp_path / "bin", "gcc", "echo broken install >&2; exit 3")
    program = programs.probe("gcc", str(path))
    assert "code 3" in program.problem
    assert "broken install" in program.problem


@pytest.mark.usefixtures("fresh_probes")
def test_an_old_clang_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    write_program(folder, "clang", "echo clang version 14.0.6")
    write_program(folder, "clang-17", "echo clang version 17.0.1")
    monkeypatch.setenv("PATH", str(folder))
    assert programs.clang().version == (17, 0, 1)


@pytest.mark.usefixtures("fresh_probes")
@pytest.mark.parametrize("name", ["cxx", "cext", "ctypes", "cffi", "cython", "pybind11", "torch", "rust", "cuda"])
def test_missing_programs_come_with_a_remedy(
    name: ToolchainName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    found = toolchain(name).probe()
    assert not found.ready
    assert found.missing
    assert "install" in found.remedy


@pytest.mark.usefixtures("fresh_probes")
def test_plan_without_a_compiler_is_an_environment_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentMissing) as caught:
        compiler().driver("c++")
    assert "apt install g++" in caught.value.remedy


@pytest.mark.usefixtures("fresh_probes")
def test_doctor_speaks_of_everything_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    lines = {line.name: line for line in examine((tmp_path,))}
    assert lines["gcc, g++"].status == "missing"
    assert lines["cargo"].status == "missing"
    assert lines["Python"].status == "ok"
    assert all(line.remedy for line in lines.values() if line.status == "missing")


def test_file_system_is_named() -> None:
    assert file_system(Path("/proc")).found == "proc"


def test_compiler_choice_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTUTOR_COMPILER", "icc")
    with pytest.raises(UsageError, match="icc"):
        configure(tmp_path, "auto")
    monkeypatch.setenv("MLTUTOR_COMPILER", "clang")
    configure(tmp_path, "gcc")
    assert settings().compiler == "clang"


def test_torch_is_examined_without_importing_it() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from tutor.toolchains import doctor, registry; doctor.examine();"
        "[t.probe() for t in registry.all_toolchains()]; print({'torch', 'numpy'} & set(sys.modules))"
    )
    root = str(packages.PACKAGE_ROOT.parent)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
