"""Decodes exercise.toml and lesson.toml; every mistake names the file, the key and the line."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from tutor.content.toml_lines import line_of, parse_path
from tutor.core.errors import ContentError
from tutor.core.exercise import BenchSpec, BuildOptions, Exercise, Fault, StarterFails

_TABLES: dict[str, type[msgspec.Struct]] = {
    "build": BuildOptions,
    "starter": StarterFails,
    "bench": BenchSpec,
    "fault": Fault,
}
_OURS = {"number", "folder", "given"}
# Fields of the structs that go by a better name in the file.
_IN_FILE = {"faults": "fault", "stage": "fails"}
_SYNTAX = re.compile(r"^(.*) \(at line (\d+), column \d+\)$")
_FIELD = re.compile(r"field `([^`]+)`")
_PLACE = re.compile(r"^(.*?)(?: - at `(\$[^`]*)`)?$", re.DOTALL)


class Document:
    """A TOML file with its text, for errors that point at a key."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.text = read_text(file)
        try:
            self.values: dict[str, Any] = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise _syntax_error(file, str(error), self.text) from error

    def error(self, message: str, *path: str | int, remedy: str = "") -> ContentError:
        """A ContentError about the value that `path` leads to."""
        key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")
        return ContentError(self.file, message, key=key, line=line_of(self.text, path), remedy=remedy)

    def reject_unknown(self, table: Any, known: set[str], *path: str | int) -> None:
        """Raise for the first key of `table` that nobody reads, with the nearest one that somebody does."""
        if not isinstance(table, dict):
            return  # the type error follows
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                allowed = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(sorted(known))}"
                raise self.error("unknown key", *path, key, remedy=allowed)

    def convert(self, values: dict[str, Any], kind: Any) -> Any:
        """`values` as the struct `kind`; a wrong or missing value is a ContentError."""
        try:
            return msgspec.convert(values, kind, dec_hook=lambda _type, value: value)
        except msgspec.ValidationError as error:
            message, place = _PLACE.match(str(error)).groups()  # type: ignore[union-attr]
            path = parse_path(place or "$")
            path = tuple(_IN_FILE.get(step, step) if isinstance(step, str) else step for step in path)
            missing = _FIELD.search(message)
            if missing and "missing required" in message:
                raise self.error(f"`{_IN_FILE.get(missing[1], missing[1])}` is missing", *path) from error
            raise self.error(_plain(message), *path) from error


def read_text(file: Path) -> str:
    """The text of a lesson file. Raises ContentError when it is missing or not UTF-8, with the line."""
    try:
        raw = file.read_bytes()
    except FileNotFoundError as error:
        raise ContentError(file, "is missing") from error
    except OSError as error:
        raise ContentError(file, error.strerror or str(error)) from error
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ContentError(file, "this is not UTF-8", line=raw.count(b"\n", 0, error.start) + 1) from error


def read_exercise(folder: Path, number: str, given: tuple[str, ...]) -> tuple[Exercise, Document]:
    """The exercise of `folder/exercise.toml`, not yet checked against the other files of its folder."""
    document = Document(folder / "exercise.toml")
    values = document.values
    document.reject_unknown(values, _keys(Exercise) - _OURS)
    for name, kind in _TABLES.items():
        entries = values.get(name, [])
        for index, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            path = (name, index) if isinstance(entries, list) else (name,)
            document.reject_unknown(entry, _keys(kind), *path)
    fields_of_exercise = _renamed(values) | {"number": number, "folder": folder, "given": given}
    exercise: Exercise = document.convert(fields_of_exercise, Exercise)
    return exercise, document


def _keys(kind: type[msgspec.Struct]) -> set[str]:
    return {_IN_FILE.get(name, name) for name in kind.__struct_fields__}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """The same values under the names of the structs' fields."""
    field: dict[str, str] = {name: of for of, name in _IN_FILE.items()}
    starter = values.get("starter")
    nested: dict[str, Any] = {}
    if isinstance(starter, dict):
        nested["starter"] = {field.get(k, k): v for k, v in starter.items()}
    return {field.get(k, k): v for k, v in (values | nested).items()}


def read_lesson(folder: Path) -> tuple[str, str]:
    """(title, summary) of `folder/lesson.toml`."""
    document = Document(folder / "lesson.toml")
    document.reject_unknown(document.values, {"title", "summary"})
    for key in ("title", "summary"):
        if key not in document.values:
            raise document.error(f"`{key}` is missing")
        value = document.values[key]
        if not isinstance(value, str) or not value.strip():
            raise document.error("a line of text is expected", key)
    return document.values["title"], document.values["summary"]


def _syntax_error(file: Path, message: str, text: str) -> ContentError:
    match = _SYNTAX.match(message)
    if match:
        return ContentError(file, f"not TOML: {match[1]}", line=int(match[2]))
    return ContentError(file, f"not TOML: {message}", line=text.count("\n") + 1)


def _plain(message: str) -> str:
    """msgspec's words without its backquotes and with a small first letter."""
    message = message.replace("`", "")
    return message[:1].lower() + message[1:]
