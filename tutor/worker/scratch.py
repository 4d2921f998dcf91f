"""The folder of a run of checks, below the zygote's own: whoever survives the run can remove it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

ZYGOTES = "MLTUTOR_SCRATCH"
"""Names the zygote's own folder, which goes when the zygote ends."""


def make() -> Path:
    """A new folder of the process that calls; in the system's own where no zygote set one."""
    return Path(tempfile.mkdtemp(prefix=f"{_prefix(os.getpid())}-", dir=os.environ.get(ZYGOTES)))


def remove(pid: int) -> None:
    """Remove what the process `pid` made and, killed, did not remove itself."""
    if parent := os.environ.get(ZYGOTES):
        for folder in Path(parent).glob(f"{_prefix(pid)}-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _prefix(pid: int) -> str:
    return f"mltutor-run-{pid}"
