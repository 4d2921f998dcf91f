"""Where mltutor keeps its own files: state, cache and configuration, by XDG or below MLTUTOR_HOME."""

from __future__ import annotations

import os
import platform
import re
import socket
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import platformdirs

CACHE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Home:
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


def cache_tag() -> str:
    """Names what compiled files depend on: `host-cpython-311-x86_64-torch2.11.0`. Many hosts may share a home."""
    try:
        torch = "torch" + metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "notorch"
    words = (socket.gethostname(), sys.implementation.cache_tag or "python", platform.machine(), torch)
    return "-".join(re.sub(r"[^\w.+]+", "_", word) for word in words)
