"""Reads gcc, clang, nvcc and linker output: which line of the learner's file to mend first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tutor.core.finding import Finding, Severity
from tutor.toolchains.base import BuildRequest
from tutor.toolchains.explain import enrich

MOST_FINDINGS = 20
# Warnings that are mistakes: they become findings. The others stay in the raw output.
TELLING = re.compile(
    r"implicit-function-declaration|implicit-int|incompatible-(?:function-)?pointer-types|discarded-qualifiers|"
    r"int-conversion|unused-result|return-type|format(?:=|$|-)|uninitialized|maybe-uninitialized|use-after-free|"
    r"free-nonheap-object|mismatched-new-delete|dangling|return-local-addr|return-stack-address|array-bounds|"
    r"stringop-overflow|overflow|shift-count|sizeof-pointer|div-by-zero|nonnull|delete-non-virtual-dtor|parentheses"
)
_AT = re.compile(r"^(?P<file>[^\s:()][^:()]*?):(?P<line>\d+):(?:(?P<column>\d+):)?\s+(?P<rest>.*)$")
_NVCC = re.compile(r"^(?P<file>[^\s()][^()]*)\((?P<line>\d+)\):\s+(?P<rest>(?:catastrophic )?(?:error|warning).*)$")
_KIND = re.compile(r"^(?:catastrophic |fatal )?(error|warning|note)(?: #[\w-]+)?:\s*(.*)$")
_INCLUDED = re.compile(r"^(?:In file included|\s+) from (?P<file>[^:]+):(?P<line>\d+)(?::\d+)?[,:]")
_REQUIRED = re.compile(r"^\s*(?:recursively )?required (?:from|by)")
_FLAG = re.compile(r"\s*\[(?:-W(?:error[=,])?(?:-W)?([\w=+-]+)[^\]]*)\]\s*$")
_LD_AT = re.compile(
    r"(?P<file>[^\s:()]+\.\w+):(?P<line>\d+): (?P<rest>undefined reference to .*|multiple definition of .*)"
)
_LD = re.compile(
    r"^(?:\S*(?:ld|mold|collect2|lld)(?:\.\w+)?: )?(?:.*?: )?(?:error: |fatal: )?"
    r"(?P<rest>undefined (?:reference to|symbol)[: ].*|multiple definition of .*|duplicate symbol[: ].*|"
    r"relocation R_\w+ .*|cannot find -l\S+.*|library not found: .*|unable to find library .*)$"
)
_REFERENCED = re.compile(r"^>>> (?:referenced|defined) (?:by|in|at) .*?(?P<file>[^\s:()/]+\.\w+):(?P<line>\d+)")
_SYMBOL = re.compile(
    r"(?:undefined reference to|undefined symbol:|multiple definition of|duplicate symbol:) [`']?(?P<name>[~\w:]+)"
)


@dataclass(slots=True)
class Message:
    """One message of a tool with all places it names: what led to it before, what its notes point at behind."""

    severity: str
    file: str
    line: int | None
    text: str
    flag: str = ""
    before: list[tuple[str, int, str]] = field(default_factory=list)
    after: list[tuple[str, int, str]] = field(default_factory=list)


def compiler_findings(request: BuildRequest, output: str) -> tuple[Finding, ...]:
    """Findings of code `build`: errors in the order of the output (the root cause first), then telling warnings."""
    messages = list(read_messages(output.splitlines()))
    errors = [m for m in messages if m.severity == "error"]
    warnings = [m for m in messages if m.severity == "warning" and TELLING.search(m.flag)]
    found: dict[tuple[str, int | None, str], Finding] = {}
    for message in errors + warnings:
        finding = _finding(request, message, output)
        if finding.severity is Severity.WARNING and finding.file not in request.exercise.files:
            continue
        found.setdefault((finding.file, finding.line, finding.message), finding)
    if not errors:
        found.update(_unread(output))
    return tuple(found.values())[:MOST_FINDINGS]


def read_messages(lines: Iterable[str]) -> Iterator[Message]:
    """Every error and warning with its context."""
    current: Message | None = None
    before: list[tuple[str, int, str]] = []
    for line in lines:
        included = _INCLUDED.match(line)
        if included:
            before.append((included["file"], int(included["line"]), "included"))
            continue
        referenced = _REFERENCED.match(line)
        if referenced and current is not None:
            current.after.append((referenced["file"], int(referenced["line"]), "referenced"))
            continue
        located = _AT.match(line) or _NVCC.match(line)
        kind = _KIND.match(located["rest"]) if located else None
        if located and kind is None and _REQUIRED.match(located["rest"]):
            before.append((located["file"], int(located["line"]), "required"))
        elif located and kind and kind[1] == "note" and current is not None:
            current.after.append((located["file"], int(located["line"]), kind[2]))
        else:
            message = _message(line, located, kind, before)
            if message is not None:
                if current is not None:
                    yield current
                current, before = message, []
    if current is not None:
        yield current


def _message(
    line: str, located: re.Match[str] | None, kind: re.Match[str] | None, before: list[tuple[str, int, str]]
) -> Message | None:
    if located and kind and kind[1] != "note":
        flag = _FLAG.search(kind[2])
        text = _FLAG.sub("", kind[2]).strip()
        return Message(kind[1], located["file"], int(located["line"]), text, flag[1] if flag else "", before)
    linked = _LD_AT.search(line)
    if linked:
        return Message("error", linked["file"], int(linked["line"]), linked["rest"])
    linked = _LD.match(line)
    return Message("error", "", None, linked["rest"]) if linked else None


def learners_name(request: BuildRequest, path: str) -> str:
    """The exercise's name of a file that a tool named, or nothing for a file that is not the exercise's."""
    names = (*request.exercise.files, *request.exercise.given)
    clean = path.removeprefix("./")
    for folder in (request.source, request.out):
        if Path(clean).is_absolute() and Path(clean).is_relative_to(folder):
            clean = str(Path(clean).relative_to(folder))
    if clean in names:
        return clean
    # A crate is built in a folder of its own, debug information may keep only the end of the path.
    ends = [name for name in names if clean.endswith("/" + name)]
    return ends[0] if ends else ""


def _finding(request: BuildRequest, message: Message, output: str) -> Finding:
    file, line = _place(request, message)
    if message.text.startswith(("expected", "unknown type name")) and _through_macro(request, message) and line:
        line = _line_before(request, file, line)
    if line is None:
        file, line = _symbol_place(request, message.text)
    severity = Severity.ERROR if message.severity == "error" else Severity.WARNING
    return Finding("build", enrich(message.text, output), file, line, severity=severity)


def _place(request: BuildRequest, message: Message) -> tuple[str, int | None]:
    """The learner's line that caused a message, wherever the tool reports it."""
    # Instantiations lead from the learner's line to the header, the one nearest to the learner comes last. Which
    # #include brought the header in says little, so that comes after everything else.
    required = [(f, n) for f, n, why in reversed(message.before) if why == "required"]
    included = [(f, n) for f, n, why in reversed(message.before) if why == "included"]
    notes = [(f, n) for f, n, _ in message.after]
    candidates: list[tuple[str, int | None]] = [(message.file, message.line), *required, *notes, *included]
    given: tuple[str, int | None] | None = None
    for path, line in candidates:
        name = learners_name(request, path)
        if name in request.exercise.files:
            return name, line
        if name and given is None:
            given = name, line
    return given or ("", None)


def _through_macro(request: BuildRequest, message: Message) -> bool:
    """A syntax error inside a header's macro: what is missing stands before the macro."""
    inside = learners_name(request, message.file) == ""
    return inside and any("expan" in text and "macro" in text for _, _, text in message.after)


def _line_before(request: BuildRequest, file: str, line: int) -> int:
    lines = _lines(request, file)
    for number in range(line - 1, 0, -1):
        text = lines[number - 1].strip() if number <= len(lines) else ""
        if text and not text.startswith(("//", "/*", "*", "#")):
            return number if not text.endswith((";", "{", "}", ":")) else line
    return line


def _symbol_place(request: BuildRequest, text: str) -> tuple[str, int | None]:
    """The first line on which the learner names an undefined symbol."""
    found = _SYMBOL.search(text)
    if not found:
        return "", None
    bare = found["name"].rsplit("::", 1)[-1]
    for file in request.exercise.files:
        for number, line in enumerate(_lines(request, file), 1):
            if re.search(rf"\b{re.escape(bare)}\b", line):
                return file, number
    return "", None


def _lines(request: BuildRequest, file: str) -> list[str]:
    try:
        return (request.source / file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _unread(output: str) -> dict[tuple[str, int | None, str], Finding]:
    """A line that says `error` in a form nobody foresaw is better than none."""
    for line in output.splitlines():
        if re.search(r"(?:^|[\s:])(?:fatal )?error[: ]", line, re.I) and not re.search(r"ld returned|0 errors", line):
            return {("", None, line): Finding("build", enrich(line.strip(), output))}
    return {}
