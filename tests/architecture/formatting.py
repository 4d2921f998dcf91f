"""Checks clang-format over native/ and rustfmt over the lessons; skips a formatter that is not installed.

Solutions in C and C++ are laid out by hand: their comments stand in columns, and the faults are patches against them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
C_LIKE = {".c", ".h", ".cpp", ".hpp", ".cu"}


def sources(folder: str, suffixes: set[str]) -> list[Path]:
    """Files below a folder with one of these suffixes."""
    found = (ROOT / folder).rglob("*")
    return sorted(path for path in found if path.suffix in suffixes and "target" not in path.parts)


def run(name: str, argv: list[str], files: list[Path]) -> int:
    """Exit code of the formatter in check mode; 0 with a note where it is missing or has nothing to do."""
    if shutil.which(argv[0]) is None:
        print(f"{name}: not installed, skipped")
        return 0
    if not files:
        return 0
    code = subprocess.run([*argv, *map(str, files)], cwd=ROOT, check=False).returncode
    print(f"{name}: {len(files)} files, {'clean' if code == 0 else 'not clean'}")
    return code


def main() -> int:
    """1 when any formatter would change a file."""
    c_like = run("clang-format", ["clang-format", "--dry-run", "--Werror"], sources("native", C_LIKE))
    rust = run("rustfmt", ["rustfmt", "--check", "--edition", "2021"], sources("lessons", {".rs"}))
    return 1 if c_like or rust else 0


if __name__ == "__main__":
    sys.exit(main())
