"""Reads what Python, cffi and Cython say of the learner's file before anything is compiled."""

from __future__ import annotations

import ast
import re
import traceback

from tutor.core.finding import Finding, Severity
from tutor.toolchains.base import BuildRequest
from tutor.toolchains.diagnose_cc import learners_name
from tutor.toolchains.explain import enrich

_CYTHON = re.compile(r"^(?P<warning>warning: )?(?P<file>[^\s:][^:]*\.(?:pyx|pxd|pxi)):(?P<line>\d+):\d+: (?P<text>.+)$")
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*(?:Error|Exception|Warning|Exit|Interrupt))(?:: (?P<text>.*))?$")
_CDEF = re.compile(r"<cdef source string>:(?P<line>\d+)")
_SAID = re.compile(r"^(?P<file>[^\s:]+\.py): error: (?P<text>.+)$", re.M)


def syntax_errors(request: BuildRequest) -> tuple[tuple[Finding, ...], str]:
    """Findings for the learner's Python files that can't be read, and Python's own words; nothing is run."""
    found, said = [], ""
    for name in request.exercise.files:
        if not name.endswith(".py"):
            continue
        try:
            ast.parse((request.source / name).read_bytes(), filename=name)
        except SyntaxError as error:
            found.append(Finding("build", f"syntax error: {error.msg}", name, error.lineno))
            said += "".join(traceback.format_exception_only(error))
        except (ValueError, OSError) as error:
            found.append(Finding("build", f"Python can't read this: {error}", name, 1))
            said += f"{name}: {error}\n"
    return tuple(found), said


def cython_findings(request: BuildRequest, output: str) -> tuple[Finding, ...]:
    """Cython's own errors, in order."""
    found: dict[tuple[str, int], Finding] = {}
    for line in output.splitlines():
        match = _CYTHON.match(line)
        if match is None or match["warning"] or match["text"].startswith(("warning", "performance hint")):
            continue
        if re.match(r"(?:note|warning|error): .*\[-W", match["text"]) or match["text"].startswith(("error:", "note:")):
            continue
        name = learners_name(request, match["file"]) or match["file"]
        place = name, int(match["line"])
        found.setdefault(place, Finding("build", enrich(match["text"], match["text"]), *place))
    return tuple(found.values())


def traceback_findings(request: BuildRequest, output: str) -> tuple[Finding, ...]:
    """The exception that ended the learner's build script, on the innermost line of theirs."""
    said = _SAID.search(output)
    if said:
        name = learners_name(request, said["file"]) or request.exercise.main_file
        return (Finding("build", enrich(said["text"], said["text"]), name, _line_of(request, name, "set_source")),)
    if "Traceback (most recent call last)" not in output:
        return ()
    file, line = "", None
    text = ""
    for row in output.splitlines():
        frame, raised = _FRAME.match(row), _RAISED.match(row)
        name = learners_name(request, frame["file"]) if frame else ""
        if frame and name:
            file, line = name, int(frame["line"])
        elif raised:
            text = f"{raised['type'].rsplit('.', 1)[-1]}: {raised['text'] or ''}".rstrip(": ")
    inside = _CDEF.search(output)
    if inside and line is not None:
        # cffi counts lines in the string; the string begins on the line of the call.
        line += int(inside["line"]) - 1
    return (Finding("build", enrich(text or "the build script failed", output), file, line, severity=Severity.ERROR),)


def _line_of(request: BuildRequest, name: str, text: str) -> int | None:
    try:
        lines = (request.source / name).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((number for number, line in enumerate(lines, 1) if text in line), None)
