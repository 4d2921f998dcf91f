"""The parts import one way: import-linter says so, and fresh interpreters prove it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# importing each of these must not drag in the modules on its right
FORBIDDEN = {
    "tutor.core.state": ("textual", "numpy", "torch", "pytest", "tutor.engine", "tutor.ui"),
    "tutor.content.course": ("textual", "numpy", "torch", "tutor.engine", "tutor.ui", "tutor.worker"),
    "tutor.store.progress": ("textual", "numpy", "torch", "tutor.engine", "tutor.worker"),
    "tutor.toolchains.registry": ("textual", "numpy", "torch", "Cython", "tutor.engine", "tutor.worker"),
    "tutor.engine.session": ("textual", "numpy", "torch", "tutor.ui", "tutor.cli", "tutor.worker"),
    "tutor.engine.verify": ("textual", "numpy", "torch", "tutor.ui", "tutor.cli", "tutor.worker"),
    "tutor.cli.main": ("textual", "numpy", "torch", "tutor.ui", "tutor.worker"),
    "tutor.ui.app": ("numpy", "torch", "tutor.cli", "tutor.worker"),
    "tutor.worker.zygote": ("textual", "tutor.engine", "tutor.content", "tutor.toolchains", "tutor.store"),
}


def loaded_after_import(module: str) -> set[str]:
    """Names in sys.modules of a fresh interpreter that imported `module`."""
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(out.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", FORBIDDEN)
def test_importing_it_loads_nothing_it_must_not(module: str) -> None:
    loaded = loaded_after_import(module)
    assert module in loaded
    assert {name for name in FORBIDDEN[module] if name in loaded} == set()


def test_import_contracts_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
