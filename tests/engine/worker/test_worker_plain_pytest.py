"""The plugin where plain pytest runs: lesson folders load the artifact of the environment, others notice nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from worker_harness import Planted

import tutor


def pytest_in(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pytest", "-p", "tutor.worker.plugin", "-p", "no:cacheprovider", "-rs", str(folder)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment}
    environment["PYTHONPATH"] = str(Path(tutor.__file__).parents[1])
    return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)


def test_lesson_runs_with_an_artifact_from_the_environment(lesson: Callable[[str], Path], planted: Planted) -> None:
    folder = lesson(
        "def test_a(built, rng):\n    assert built.add(1, 2) == 3\n"
        "def test_b(built, refs):\n    refs(built.lose_list, [0.5])\n"
        "@pytest.mark.gpu\ndef test_c():\n    pass\n"
    )
    done = pytest_in(folder, MLTUTOR_ARTIFACT=msgspec.json.encode(planted.artifact).decode(), CUDA_VISIBLE_DEVICES="")
    assert "1 failed, 1 passed, 1 skipped" in done.stdout, done.stdout
    assert "lose_list leaks 1 list a call" in done.stdout


def test_other_projects_notice_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "import sys, pytest\n"
        "@pytest.fixture\ndef rng():\n    return 4\n"
        "@pytest.mark.gpu\ndef test_it(rng):\n    assert rng == 4\n    assert 'numpy' not in sys.modules\n"
    )
    done = pytest_in(tmp_path, CUDA_VISIBLE_DEVICES="")
    assert "1 passed" in done.stdout, done.stdout
