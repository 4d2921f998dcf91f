"""Facts about Python and the installed packages, learned from files and never by importing them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
import sysconfig
from functools import cache
from pathlib import Path

import tutor

PACKAGE_ROOT = Path(tutor.__file__).resolve().parent


@cache
def python_include() -> Path:
    """Folder of Python.h; it may not exist (python3-dev missing)."""
    return Path(sysconfig.get_paths()["include"])


def extension_suffix() -> str:
    """`.cpython-311-x86_64-linux-gnu.so`."""
    return str(sysconfig.get_config_var("EXT_SUFFIX") or ".so")


@cache
def package_folder(name: str) -> Path | None:
    """Folder of an importable package, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


@cache
def numpy_include() -> Path | None:
    """Folder of numpy/arrayobject.h."""
    folder = package_folder("numpy")
    for inside in ("_core/include", "core/include"):
        if folder and (folder / inside).is_dir():
            return folder / inside
    return None


@cache
def version(name: str) -> str:
    """Version of an installed distribution, or nothing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


@cache
def torch_versions() -> tuple[str, str]:
    """(`2.15.0+cu132`, `13.2`) from torch/version.py; empty where there is no torch or no CUDA in it."""
    folder = package_folder("torch")
    if folder is None:
        return "", ""
    try:
        text = (folder / "version.py").read_text(encoding="utf-8")
    except OSError:
        return "", ""
    found = re.search(r"^__version__ = '([^']*)'", text, re.M)
    cuda = re.search(r"^cuda\b[^=]*= '([^']*)'", text, re.M)
    return found[1] if found else "", cuda[1] if cuda else ""


def torch_release() -> tuple[int, int]:
    """(2, 15), or (0, 0)."""
    found = re.match(r"(\d+)\.(\d+)", torch_versions()[0])
    return (int(found[1]), int(found[2])) if found else (0, 0)


def native_root() -> Path:
    """native/ of the checkout, or its copy in an installed wheel."""
    return _data("native")


def lessons_root() -> Path:
    """lessons/ of the checkout, or its copy in an installed wheel."""
    return _data("lessons")


def _data(name: str) -> Path:
    packed = PACKAGE_ROOT / "_data" / name
    return packed if packed.is_dir() else PACKAGE_ROOT.parent / name


@cache
def machine() -> str:
    """What -march=native and the ABI depend on: the processor's features and the interpreter."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = platform.processor()
    features = "".join(re.findall(r"^(?:model name|flags|Features)\s*:.*$", text, re.M)[:2])
    return digest(platform.machine(), features, sys.version, extension_suffix())


def digest(*parts: object) -> str:
    """16 hex characters that stand for these values."""
    text = "\0".join(os.fspath(p) if isinstance(p, Path) else str(p) for p in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
