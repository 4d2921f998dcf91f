"""Where the lessons and the tutor's own native sources lie: in a checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

from tutor.core.errors import EnvironmentMissing

_PACKAGE = Path(__file__).resolve().parent.parent


def checkout_root() -> Path | None:
    """The top of the source checkout that this package runs from, None when it is installed."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "lessons").is_dir() else None


def lessons_root() -> Path:
    """The folder of the lessons. Raises EnvironmentMissing when the installation has none."""
    return _find("lessons")


def native_root() -> Path:
    """The folder of the tutor's own C, C++, CUDA and Rust sources. Raises EnvironmentMissing when there is none."""
    return _find("native")


def _find(name: str) -> Path:
    checkout = checkout_root()
    folder = (checkout or _PACKAGE / "_data") / name
    if not folder.is_dir():
        raise EnvironmentMissing(f"mltutor's {name} are missing: no folder {folder}", "install mltutor again")
    return folder
