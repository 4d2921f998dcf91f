"""The loaded probe extension, and whether it can say anything about an artifact here."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from tutor.core.protocol import Artifact

NAME = "_probe"
NOT_CHECKED = "not checked here"
_module: Any = None


def use_library(path: str) -> bool:
    """Load the probe for all later children; False when `path` is something else. ImportError when it is broken."""
    global _module
    if Path(path).name.partition(".")[0] != NAME:
        return False
    loader = importlib.machinery.ExtensionFileLoader(NAME, path)
    spec = importlib.util.spec_from_file_location(NAME, path, loader=loader)
    if spec is None:
        raise ImportError(f"{path} is no extension module")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    _module = module
    return True


def loaded() -> Any:
    """The extension, also where it can't attach; None where it was not built."""
    return _module


def probe() -> Any:
    """The extension; None where it was not built or can't attach (another processor, system or Python)."""
    return _module if _module is not None and _module.supported() else None


def can_attach(artifact: Artifact) -> bool:
    """True when the passes can watch this artifact: compiled code that calls the Python API itself."""
    return probe() is not None and artifact.kind == "extension" and os.path.isfile(artifact.path)


def can_follow(artifact: Artifact) -> bool:
    """True when at least its memory and its releases of the GIL can be watched: any compiled code that is loaded."""
    return probe() is not None and artifact.kind != "python" and os.path.isfile(artifact.path)


def attach(artifact: Artifact) -> None:
    """In a forked child: watch the artifact from now on. Raises OSError when it is not loaded."""
    module = probe()
    module.learn_types()
    module.attach(artifact.path)


def attach_gil(artifact: Artifact) -> None:
    """In a forked child: see each release of the GIL, also those that ctypes and cffi do for the learner's library."""
    attach(artifact)
    for name in ("_ctypes", "_cffi_backend"):
        bridge = sys.modules.get(name)
        if bridge is not None and getattr(bridge, "__file__", None):
            probe().attach(bridge.__file__, only_gil=True)
