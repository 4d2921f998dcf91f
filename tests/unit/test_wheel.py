"""The wheel: pure Python, with the lessons and the sources of native/, and it works without the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_it_is_pure_python_and_holds_lessons_and_native_sources(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.endswith((".so", ".o", ".a", ".pyc"))]
    for wanted in (
        "lessons/03_c_extensions/01_collate/exercise.toml",
        "native/crash/crash.c",
        "native/camera/camera.c",
    ):
        assert f"tutor/_data/{wanted}" in names
    assert [name for name in names if name.startswith("tutor/ui/") and name.endswith(".tcss")]


def test_it_lists_the_course_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    words = ["-m", "tutor.cli.main", "--workspace", str(tmp_path / "work"), "list", "--ids"]
    env = {"PYTHONPATH": str(site), "MLTUTOR_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import tutor; print(tutor.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(site) in where.stdout
    listed = subprocess.run([sys.executable, *words], env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "capi-refs" in listed.stdout.split()
