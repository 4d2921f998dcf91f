"""CUDA runs: what is said where there is no GPU, and the lock and contention watch of a benchmark where there is one.

The zygote of this flavour imports torch and never touches the driver. Every check's child makes its own context and
takes it along when it ends, so a poisoned context can't reach the next check.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tutor.core import protocol
from tutor.core.verdict import CheckResult, Outcome

NO_GPU = "skipped: no usable NVIDIA GPU on this machine"
PATIENCE = 30.0
_PAUSE = 0.02


def skip(request: protocol.Bench, send: Callable[[protocol.Reply], None]) -> None:
    """End a benchmark that needs a GPU where there is none: nothing passed, nothing failed."""
    result = CheckResult("gpu", Outcome.SKIPPED, NO_GPU)
    send(protocol.Done(request.run_id, "ok", NO_GPU, result=result))


@contextlib.contextmanager
def locked(device: str, patience: float = PATIENCE) -> Iterator[bool]:
    """Hold the one lock of a GPU (its uuid) of this machine; yields False when somebody else had it first.

    The second one waits: two benchmarks on one GPU measure each other. It waits for `patience` seconds at most, as the
    first may have been stopped in the middle of its own. Where the lock can't be had at all it goes on without one:
    what it measures is noisier then, never wrong.
    """
    descriptor = _open_lock(Path(tempfile.gettempdir(), f"mltutor-gpu-{device}.lock"))
    if descriptor is None:
        yield True
        return
    try:
        free = taken = _taken(descriptor)
        deadline = time.monotonic() + patience
        while not taken and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            taken = _taken(descriptor)
        yield free
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int | None:
    """The file that all users of the machine share, made when it is missing. To lock it none needs to write it."""
    reading = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with contextlib.suppress(OSError):
        return os.open(path, reading)
    with contextlib.suppress(OSError):
        made = os.open(path, reading | os.O_CREAT | os.O_EXCL, 0o644)
        os.fchmod(made, 0o644)  # whatever the umask of the first user
        return made
    with contextlib.suppress(OSError):  # another one was faster in making it
        return os.open(path, reading)
    return None


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


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
