"""The files of an exercise as bytes: solution, starter, given, and the solution with a planted fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tutor.content.render import render_solution, render_starter
from tutor.core.errors import ContentError
from tutor.core.exercise import Exercise, Fault

if TYPE_CHECKING:
    import whatthepatch

_DIFF_REMEDY = "make it again with `diff -u a/FILE b/FILE` against the marked file in solution/"


def solution_files(exercise: Exercise) -> dict[str, bytes]:
    """The learner's files as the solution has them, by name. Raises ContentError."""
    return {name: _render(exercise, name, _raw(exercise, name), render_solution) for name in exercise.files}


def alternative_files(exercise: Exercise, name: str) -> dict[str, bytes]:
    """The learner's files in another style; those that `alternatives/name` lacks are the solution's. ContentError."""
    folder = exercise.folder / "alternatives" / name
    found = {file: _read(folder / file) for file in exercise.files if (folder / file).is_file()}
    return solution_files(exercise) | found


def starter_files(exercise: Exercise) -> dict[str, bytes]:
    """The learner's files as he gets them, by name. Raises ContentError."""
    return {name: _render(exercise, name, _raw(exercise, name), render_starter) for name in exercise.files}


def given_files(exercise: Exercise) -> dict[str, bytes]:
    """The files beside the learner's that he does not edit, by name. Raises ContentError."""
    return {name: _render(exercise, name, _raw(exercise, name), render_solution) for name in exercise.given}


def faulted_files(exercise: Exercise, fault: Fault) -> dict[str, bytes]:
    """All files, the learner's and the given ones, as the solution with `fault` planted. Raises ContentError."""
    raw = {name: _raw(exercise, name) for name in (*exercise.files, *exercise.given)}
    import whatthepatch  # 5 ms that no start of the app needs

    patch = exercise.folder / fault.patch
    diffs = list(whatthepatch.parse_patch(_patch_text(patch)))
    if not any(diff.changes for diff in diffs):
        raise ContentError(patch, "holds no change", remedy=_DIFF_REMEDY)
    for diff in diffs:
        name = _patched_name(diff, raw, patch)
        raw[name] = _apply(diff, raw[name], patch, name)
    return {name: _render(exercise, name, content, render_solution) for name, content in raw.items()}


def fault_line(exercise: Exercise, fault: Fault) -> int | None:
    """The line of the faulted file that the finding must name; None when the fault declares none.

    Raises ContentError unless `at` occurs on exactly one line.
    """
    if fault.line is not None or not fault.at:
        return fault.line
    text = faulted_files(exercise, fault)[fault.file].decode(errors="surrogateescape")
    lines = [number for number, line in enumerate(text.split("\n"), 1) if fault.at in line]
    if len(lines) != 1:
        where = f"lines {', '.join(map(str, lines))}" if lines else "no line"
        message = f"{fault.at!r} must occur on one line of {fault.file} with {fault.patch} applied: it is on {where}"
        raise ContentError(exercise.folder / "exercise.toml", message, key="fault.at")
    return lines[0]


def digest(files: dict[str, bytes]) -> str:
    """16 hex digits that stand for these names and contents."""
    import hashlib  # 3 ms, most of them OpenSSL, which a start does not need

    total = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            total.update(len(part).to_bytes(8, "little") + part)
    return total.hexdigest()[:16]


def _raw(exercise: Exercise, name: str) -> bytes:
    return _read(exercise.solution / name)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ContentError(path, error.strerror or str(error)) from error


def _render(exercise: Exercise, name: str, raw: bytes, render: Callable[[str, Path], str]) -> bytes:
    text = raw.decode(errors="surrogateescape")
    return render(text, exercise.solution / name).encode(errors="surrogateescape")


def _patch_text(patch: Path) -> str:
    try:
        return patch.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ContentError(patch, "this is not UTF-8") from error
    except OSError as error:
        raise ContentError(patch, error.strerror or str(error)) from error


def _patched_name(diff: whatthepatch.patch.diffobj, raw: dict[str, bytes], patch: Path) -> str:
    paths = [diff.header.new_path, diff.header.old_path] if diff.header else []
    for path in paths:
        for name in (path, (path or "").partition("/")[2]):
            if name in raw:
                return str(name)
    shown = ", ".join(dict.fromkeys(path for path in paths if path)) or "nothing"
    raise ContentError(patch, f"changes {shown}, which is no file of solution/", remedy=_DIFF_REMEDY)


def _apply(diff: whatthepatch.patch.diffobj, raw: bytes, patch: Path, name: str) -> bytes:
    import whatthepatch

    text = raw.decode(errors="surrogateescape")
    ends = text.endswith("\n")
    try:
        lines = whatthepatch.apply_diff(diff, text.removesuffix("\n").split("\n"))
    except whatthepatch.exceptions.HunkException as error:
        raise ContentError(patch, f"does not apply to solution/{name}: {error}", remedy=_DIFF_REMEDY) from error
    return ("\n".join(lines) + ("\n" if ends else "")).encode(errors="surrogateescape")
