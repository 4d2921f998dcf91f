"""What must be true of an exercise's folder, besides its code: the right files, a README, hints, faults."""

from __future__ import annotations

from pathlib import Path

from tutor.content.texts import hints, readme
from tutor.core.exercise import Exercise

README_LINES = 120
AT_LEAST = 3
_NEEDED = ("exercise.toml", "README.md", "hints.md")
_LEFTOVERS = ("__pycache__", ".pytest_cache", "target", ".hypothesis")


def folder_problems(exercise: Exercise) -> list[str]:
    """Sentences about what is missing or does not belong. Raises ContentError for unreadable texts."""
    folder = exercise.folder
    problems = [f"{name} is missing" for name in _NEEDED if not (folder / name).is_file()]
    problems += [f"stray file {path.relative_to(folder)}" for path in _stray(exercise)]
    lines = readme(exercise).strip().splitlines()
    if not lines:
        problems.append("README.md is empty")
    if len(lines) > README_LINES:
        problems.append(f"README.md has {len(lines)} lines, at most {README_LINES}")
    if (there := len(hints(exercise))) < AT_LEAST:
        problems.append(f"{there} hints, at least {AT_LEAST}")
    if len(exercise.faults) < AT_LEAST:
        problems.append(f"{len(exercise.faults)} faults, at least {AT_LEAST}")
    if exercise.bench and not (folder / "bench.py").is_file():
        problems.append("bench.py is missing")
    if not list(folder.glob("test_*.py")):
        problems.append("no test_*.py")
    return problems


def _stray(exercise: Exercise) -> list[Path]:
    """Files that no part of the format accounts for; what Python, pytest and cargo leave behind is passed over."""
    folder = exercise.folder
    known = {folder / name for name in (*_NEEDED, "bench.py", *(fault.patch for fault in exercise.faults))}
    known |= {exercise.solution / name for name in (*exercise.files, *exercise.given)}
    known |= {folder / "alternatives" / style / name for style in exercise.alternatives for name in exercise.files}
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path not in known
        and not (path.parent == folder and path.match("test_*.py"))
        and not any(part in _LEFTOVERS for part in path.relative_to(folder).parts)
    ]
