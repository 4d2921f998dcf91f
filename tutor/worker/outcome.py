"""From what pytest saw to a CheckResult: a short message, a longer detail, findings on the learner's lines."""

from __future__ import annotations

import inspect
import re
import reprlib
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.core.verdict import CheckResult, Outcome
from tutor.worker.context import CheckContext
from tutor.worker.contract import complaint
from tutor.worker.defects import Defects
from tutor.worker.places import Place, find_symbol, learner_place

_EXPECTED = re.compile(r"DID NOT RAISE (?:any of )?(\(.*\)|.*)")
_CLASS = re.compile(r"<class '(?:\w+\.)*(\w+)'>")
_OPCHECKS = {
    "test_schema": "schema",
    "test_autograd_registration": "autograd-registration",
    "test_faketensor": "fake-kernel",
    "test_aot_dispatch": "fake-kernel",
}
_MESSAGE_LENGTH = 400
_DETAIL_LENGTH = 20_000


def check_id(item: pytest.Item) -> str:
    """`test_strided_view_sums_right[float32]` is shown as `strided view sums right [float32]`."""
    name, bracket, parameters = item.name.partition("[")
    words = name.removeprefix("test_").replace("_", " ")
    return f"{words} [{parameters}" if bracket else words


@dataclass(slots=True)
class Phase:
    """One of setup, call, teardown with its exception, if any, and pytest's own text."""

    when: str
    excinfo: pytest.ExceptionInfo[BaseException] | None
    text: str


class PhaseRecorder:
    """A plugin that keeps the exceptions, which pytest's reports have turned into text."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Record one phase."""
        report = yield
        self.phases.append(Phase(call.when, call.excinfo, report.longreprtext))
        return report


def judge(item: pytest.Item, phases: list[Phase], context: CheckContext) -> CheckResult:
    """The result of a check whose process is alive, with what its fixtures measured. A pass needs a call phase."""
    return replace(
        _judged(item, phases, context),
        references=tuple(context.references),
        gil=tuple(context.gil),
        memory=tuple(context.memory),
    )


def _judged(item: pytest.Item, phases: list[Phase], context: CheckContext) -> CheckResult:
    failed = next((phase for phase in phases if phase.excinfo is not None), None)
    name = check_id(item)
    if failed is None:
        if any(phase.when == "call" for phase in phases):
            return CheckResult(name, Outcome.PASS)
        return CheckResult(name, Outcome.ERROR, "the check did not run")
    error = _first_error(failed.excinfo.value)  # type: ignore[union-attr]
    if isinstance(error, pytest.skip.Exception) and _skip_is_ours(item, failed):
        return CheckResult(name, Outcome.SKIPPED, str(error.msg))
    findings = _findings(item, failed, error, context.artifact)
    outcome = Outcome.ERROR if type(error).__name__ == "FixtureLookupError" else Outcome.FAIL
    others = f" (and {len(findings) - 1} more findings)" if len(findings) > 1 else ""
    detail = _detail(item, failed, error, context)
    return CheckResult(name, outcome, f"{findings[0].message}{others}", detail, findings=findings)


def _first_error(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _skip_is_ours(item: pytest.Item, phase: Phase) -> bool:
    """A skip counts only when a marker or the check's own text asks for it, not when the learner's code raises it."""
    if phase.when == "setup":
        return True
    statement = ""
    for entry in phase.excinfo.traceback:  # type: ignore[union-attr]
        if str(entry.path) == str(item.path):
            statement = str(entry.statement)
    return phase.when == "call" and ("skip" in statement)


def _findings(item: pytest.Item, phase: Phase, error: BaseException, artifact: Artifact) -> tuple[Finding, ...]:
    code = found_code(item)
    place = marked_place(item, artifact)
    raised_at = _learner_frame(phase, artifact)
    if isinstance(error, Defects):
        fallback = place or _called_place(item, artifact)
        return tuple(_placed(finding, fallback) for finding in error.findings)
    if isinstance(error, SystemExit):
        return (_placed(Finding("forbidden", f"sys.exit({error.code!r}) was called"), raised_at),)
    if isinstance(error, pytest.skip.Exception | pytest.exit.Exception | pytest.xfail.Exception):
        text = f"pytest.{type(error).__name__.lower().removesuffix('ped').removesuffix('ed')} was called by your code"
        return (_placed(Finding("forbidden", text), raised_at),)
    if complaint(f"{type(error).__name__}: {error}"):
        return (_placed(Finding("exception-contract", str(error)), place or _called_place(item, artifact)),)
    finding = Finding(_opcheck_code(error) or code, explain(error))
    return (_placed(finding, place or raised_at or _called_place(item, artifact)),)


def _opcheck_code(error: BaseException) -> str:
    """The finding that a failed part of torch.library.opcheck stands for."""
    if type(error).__name__ != "OpCheckError":
        return ""
    return next((code for test, code in _OPCHECKS.items() if test in str(error)), "")


def _placed(finding: Finding, place: Place | None) -> Finding:
    if finding.line is not None or place is None or (finding.file and finding.file != place.file):
        return finding
    return finding.at(place.file, place.line)


def found_code(item: pytest.Item) -> str:
    """What a failing assert of the check stands for, by its `finds` marker."""
    marker = item.get_closest_marker("finds")
    return str(marker.args[0]) if marker and marker.args else "wrong-result"


def marked_place(item: pytest.Item, artifact: Artifact) -> Place | None:
    """The line that the check's `finds` marker names with `at`."""
    marker = item.get_closest_marker("finds")
    return find_symbol(artifact, str(marker.kwargs.get("at", ""))) if marker else None


def _called_place(item: pytest.Item, artifact: Artifact) -> Place | None:
    """The definition of the first function of `built` that the check's source calls."""
    try:
        source = inspect.getsource(item.function)  # type: ignore[attr-defined]
    except (OSError, TypeError, AttributeError):
        return None
    for name in re.findall(r"\bbuilt\.(?:lib\.)?(\w+)", source):
        place = find_symbol(artifact, name)
        if place:
            return place
    return None


def _learner_frame(phase: Phase, artifact: Artifact) -> Place | None:
    """The innermost line of the learner's own Python or Cython files in the traceback."""
    found = None
    for entry in phase.excinfo.traceback:  # type: ignore[union-attr]
        found = learner_place(artifact, str(entry.frame.code.raw.co_filename), entry.lineno + 1) or found
    return found


def explain(error: BaseException) -> str:
    """One short message: what the assert says, without pytest's picture of the expression."""
    text = str(error)
    if isinstance(error, pytest.fail.Exception):
        match = _EXPECTED.search(_CLASS.sub(r"\1", text))
        names = match and match.group(1).strip("()").replace(", ", " or ")
        return f"{names} was expected, but nothing was raised" if names else _short(text)
    if isinstance(error, AssertionError):
        said = text.split("\nassert ", 1)[0] or "the check's assertion does not hold"
        return _short(said)
    if type(error).__name__ == "OpCheckError" and error.__cause__ is not None:
        cause = error.__cause__
        if type(cause).__name__ == "UnsupportedOperatorException":
            return f"opcheck: {cause} has no fake kernel"
        return _short(f"opcheck: {type(cause).__name__}: {cause}")
    return _short(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _short(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    joined = "; ".join(lines[:4])
    return joined if len(joined) <= _MESSAGE_LENGTH else joined[: _MESSAGE_LENGTH - 1] + "…"


def _detail(item: pytest.Item, phase: Phase, error: BaseException, context: CheckContext) -> str:
    parts = [phase.text, *getattr(error, "__notes__", ())]
    # After a named defect the values may hold freed objects: showing them could kill the check that found it.
    values = "" if isinstance(error, Defects) else _values(item, phase)
    if values:
        parts.append("values:\n" + values)
    if context.seeded:
        parts.append(f"seed: {context.seed} (MLTUTOR_SEED repeats it)")
    return "\n\n".join(part for part in parts if part)[:_DETAIL_LENGTH]


def _values(item: pytest.Item, phase: Phase) -> str:
    """The local values of the check at the line that failed, shortened."""
    names: dict[str, Any] = {}
    for entry in phase.excinfo.traceback:  # type: ignore[union-attr]
        if str(entry.path) == str(item.path):
            names = dict(entry.frame.f_locals)
    fixtures = set(getattr(item, "fixturenames", ()))
    shown = {name: value for name, value in names.items() if name not in fixtures and not name.startswith(("@", "__"))}
    return "\n".join(f"  {name} = {_repr(value)}" for name, value in shown.items())


def _repr(value: object) -> str:
    if callable(value) or inspect.ismodule(value):
        return type(value).__name__
    shortener = reprlib.Repr()
    shortener.maxother = shortener.maxstring = 200
    shortener.maxlist = shortener.maxtuple = shortener.maxdict = 12
    return shortener.repr(value)
