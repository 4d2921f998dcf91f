"""CUDA runs: what is said where there is no GPU, and the lock and contention watch of a benchmark where there is one.

The zygote of this flavour imports torch and never touches the driver. Every check's child makes its own context and
takes it along when it ends, so a poisoned context can't reach the next check.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tutor.core import protocol
from tutor.core.verdict import CheckResult, Outcome

NO_GPU = "skipped: no usable NVIDIA GPU on this machine"


def skip(request: protocol.Bench, send: Callable[[protocol.Reply], None]) -> None:
    """End a benchmark that needs a GPU where there is none: nothing passed, nothing failed."""
    result = CheckResult("gpu", Outcome.SKIPPED, NO_GPU)
    send(protocol.Done(request.run_id, "ok", NO_GPU, result=result))


@contextlib.contextmanager
def locked(device: str) -> Iterator[bool]:
    """Hold the one lock of a GPU (its uuid) of this machine; yields False when somebody else had it first.

    The second one waits: two benchmarks on one GPU measure each other.
    """
    path = Path(tempfile.gettempdir(), f"mltutor-gpu-{device}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield free
    finally:
        os.close(descriptor)


def visible_device() -> str:
    """What names the GPU of a benchmark: the first of CUDA_VISIBLE_DEVICES, else `0`."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    return "".join(c for c in first if c.isalnum() or c == "-") or "0"


def memory_in_use() -> int | None:
    """Bytes in use on the device by anybody, or None where the driver does not say (MIG)."""
    import torch

    try:
        free, total = torch.cuda.mem_get_info()
    except RuntimeError:
        return None
    return int(total - free)
