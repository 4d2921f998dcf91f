"""The same planted defects on every other Python of this machine that can run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
VERSIONS = [f"3.{minor}" for minor in (11, 12, 13) if minor != sys.version_info[1]]
ASK = "import sysconfig, os, pytest, msgspec; assert os.path.exists(sysconfig.get_paths()['include'] + '/Python.h')"


def usable_python(version: str) -> str:
    """A Python of this version with its headers, pytest and msgspec: MLTUTOR_TEST_PYTHONS (paths, by :) or PATH."""
    given = [path for path in os.environ.get("MLTUTOR_TEST_PYTHONS", "").split(":") if path]
    for path in [*given, shutil.which(f"python{version}")]:
        if path is None:
            continue
        asked = f"import sys; assert '%d.%d' % sys.version_info[:2] == '{version}'; {ASK}"
        if subprocess.run([path, "-c", asked], capture_output=True, check=False).returncode == 0:
            return path
    pytest.skip(f"no Python {version} with Python.h, pytest and msgspec (name one in MLTUTOR_TEST_PYTHONS)")


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_every_defect_is_named_on(version: str) -> None:
    python = usable_python(version)
    words = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={HERE}"]
    files = [str(HERE / name) for name in ("test_passes.py", "test_native.py")]
    done = subprocess.run(
        [*words, f"--confcutdir={HERE}", *files],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
