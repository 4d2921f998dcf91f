"""Bounds of one check's process: what the kernel enforces, and the watch over resident memory of its tree."""

from __future__ import annotations

import math
import os
import resource
import signal
from contextlib import suppress

from tutor.core.protocol import Limits
from tutor.worker.linux import tree_rows

FILE_BYTES = 1 << 30
TICK = 0.05


def apply_limits(limits: Limits) -> None:
    """Set this process's own bounds. Not RLIMIT_AS (breaks sanitizers and CUDA), not RLIMIT_NPROC (counts the uid)."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, FILE_BYTES)
    # A backstop for the case that the supervisor is stopped: all cores busy through the whole wall limit, and more.
    _lower(resource.RLIMIT_CPU, math.ceil(limits.seconds * (os.cpu_count() or 1)) + 5)
    # Python ignores SIGXFSZ; the learner should see that the file was too large, as a signal.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def _lower(which: int, value: int) -> None:
    with suppress(ValueError, OSError):
        hard = resource.getrlimit(which)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (bound, bound if which == resource.RLIMIT_CORE else hard))


def grown_bytes(root: int, at_fork: int) -> int:
    """Resident bytes that the tree of `root` holds beyond the pages each process shares with the zygote."""
    return sum(max(0, row.rss - at_fork) for row in tree_rows(root))
