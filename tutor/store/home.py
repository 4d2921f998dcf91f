"""Where mltutor keeps its own files: state, cache and configuration, by XDG or below MLTUTOR_HOME."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import socket
import sys
from pathlib import Path

import platformdirs
from msgspec import Struct

CACHE_BYTES = 2 << 30


class Home(Struct, frozen=True):
    """Three folders, made when first written to. `cache` differs per host, interpreter and torch version."""

    state: Path
    cache: Path
    config: Path

    @classmethod
    def locate(cls) -> Home:
        """The folders of this user on this host. MLTUTOR_HOME puts all three below itself."""
        chosen = os.environ.get("MLTUTOR_HOME")
        if chosen:
            base = Path(chosen).expanduser().absolute()
            return cls(base / "state", base / "cache" / cache_tag(), base / "config")
        folders = platformdirs.PlatformDirs("mltutor", appauthor=False)
        return cls(
            Path(folders.user_state_dir), Path(folders.user_cache_dir) / cache_tag(), Path(folders.user_config_dir)
        )

    @property
    def progress(self) -> Path:
        """The progress file."""
        return self.state / "progress.json"

    @property
    def history(self) -> Path:
        """The run history."""
        return self.state / "history.jsonl"

    @property
    def builds(self) -> Path:
        """The folder of the build cache."""
        return self.cache / "builds"


def _torch_version() -> str:
    """The installed torch's version, from the name of its metadata folder; empty without torch.

    importlib.metadata says the same 10 ms later: it brings the email package along, before the first paint.
    """
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder or "."):
                if name.startswith("torch-") and name.endswith(".dist-info"):
                    return name.removeprefix("torch-").removesuffix(".dist-info")
    return ""


def cache_tag() -> str:
    """Names what compiled files depend on: `host-cpython-311-x86_64-torch2.11.0`. Many hosts may share a home."""
    release = _torch_version()
    torch = f"torch{release}" if release else "notorch"
    words = (socket.gethostname(), sys.implementation.cache_tag or "python", platform.machine(), torch)
    return "-".join(re.sub(r"[^\w.+]+", "_", word) for word in words)
