"""Every planted defect is named with its line, and its clean twin is silent; on the Python that runs this."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.worker.probe.injection import fail_each
from tutor.worker.probe.kinds import examine_type
from tutor.worker.probe.passes import Probed, diagnose


class Mortal:
    """A fresh object that nobody else holds."""


def mortals() -> list[Mortal]:
    return [Mortal() for _ in range(9)]


def guarded(probe: Any) -> Any:
    return probe.GuardBuffer("d", 8, (5,))


# name -> (code, type, per call, argument); the argument is made by a function, or is the exporter of buffers.
CASES: dict[str, tuple[str, str, float | None, Any]] = {
    "append_leak": ("ref-leak", "float", 4, Mortal),
    "new_leak": ("ref-leak", "dict", 1, Mortal),
    "text_leak": ("ref-leak", "str", 1, Mortal),
    "argument_leak": ("ref-leak", "Mortal", 1, Mortal),
    "error_leak": ("ref-leak", "list", 1, lambda: "no number"),
    "over_release": ("ref-underflow", "Mortal", -1, mortals),
    "borrowed_result": ("borrowed-return", "Mortal", -1, mortals),
    "borrowed_item": ("borrowed-return", "Mortal", -1, mortals),
    "used_after_free": ("use-after-free", "float", None, Mortal),
    "borrow_across_change": ("use-after-free", "Mortal", None, mortals),
    "malloc_leak": ("memory-leak", "", 8000, lambda: 2.5),
    "small_leak": ("memory-leak", "", 24, Mortal),
    "pymem_leak": ("memory-leak", "", 300, Mortal),
    "past_a_block": ("out-of-bounds", "", None, Mortal),
    "past_a_pymem_block": ("out-of-bounds", "", None, Mortal),
    "past_an_object": ("out-of-bounds", "bytes", None, Mortal),
    "buffer_kept": ("buffer-not-released", "_probe.GuardBuffer", 1, guarded),
    "past_the_end": ("crash", "", None, guarded),
    "gil_missing": ("gil-missing", "", None, Mortal),
    "null_without_exception": ("exception-contract", "", None, Mortal),
    "null_with_traceback": ("exception-contract", "", None, Mortal),
    "result_with_exception": ("exception-contract", "", None, lambda: "no number"),
}
WITHOUT_A_MARK = {"error_leak", "null_without_exception", "null_with_traceback", "result_with_exception"}


@pytest.fixture
def look(probe: Any, artifact: Artifact, defects: Any) -> Callable[[str, Any], tuple[Finding, ...]]:
    def findings(name: str, make: Any) -> tuple[Finding, ...]:
        argument = make(probe) if make is guarded else make()
        diagnosis = diagnose(Probed(artifact, getattr(defects, name), (argument,)))
        assert diagnosis.unknown == ""
        return diagnosis.findings

    return findings


@pytest.mark.parametrize("name", CASES)
def test_a_defect_is_named(look: Any, marked: Callable[[str], int], name: str) -> None:
    code, kind, per_call, make = CASES[name]
    (finding,) = look(name, make)
    assert (finding.code, finding.type.rpartition(".")[2]) == (code, kind.rpartition(".")[2]), finding
    assert finding.per_call == (pytest.approx(per_call, abs=0.01) if per_call is not None else None)
    assert name in finding.message or code == "crash"
    assert finding.file == "defects.c"
    if name not in WITHOUT_A_MARK:
        assert finding.line == marked(name), finding


@pytest.mark.parametrize("name", [*CASES, "lazy_cache", "borrowed_allocators"])
def test_the_clean_twin_is_silent(look: Any, name: str) -> None:
    make = CASES[name][3] if name in CASES else Mortal
    assert look(f"clean_{name}", make) == ()


def test_rows_have_a_series(probe: Any, artifact: Artifact, defects: Any) -> None:
    row = diagnose(Probed(artifact, defects.argument_leak, (Mortal(),))).rows[0]
    assert (row.what, row.per_call, row.series) == ("arg0", 1, (1, 2, 3, 4, 5, 6))
    assert row.place.startswith("defects.c:")


@pytest.mark.parametrize("name", ["unchecked", "error_path_leak"])
def test_a_bad_error_path_is_named(
    probe: Any, artifact: Artifact, defects: Any, marked: Callable[[str], int], name: str
) -> None:
    probed = Probed(artifact, getattr(defects, name), (Mortal(),))
    assert diagnose(probed).findings == ()
    (finding,) = fail_each(probed)
    assert (finding.code, finding.line) == ("error-path", marked(name)), finding
    assert "fails" in finding.message


@pytest.mark.parametrize("name", ["unchecked", "error_path_leak", "append_leak", "gil_missing", "new_leak"])
def test_a_good_error_path_is_silent(probe: Any, artifact: Artifact, defects: Any, name: str) -> None:
    assert fail_each(Probed(artifact, getattr(defects, f"clean_{name}"), (Mortal(),))) == ()


KINDS = {
    "KeepsType": ("type-leak", "does not release its type"),
    "KeepsItem": ("type-leak", "does not release what a field holds"),
    "NoGC": ("gc-missing", "no Py_TPFLAGS_HAVE_GC"),
    "NoVisit": ("gc-missing", "does not visit a field"),
    "NoTypeVisit": ("gc-missing", "does not visit its type"),
    "NoClear": ("gc-missing", "does not clear a field"),
    "NoUntrack": ("gc-missing", "before PyObject_GC_UnTrack"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_bad_type_is_named(probe: Any, artifact: Artifact, defects: Any, name: str) -> None:
    kind = getattr(defects, name)
    (finding,) = examine_type(artifact, kind, kind)
    code, words = KINDS[name]
    assert (finding.code, finding.type) == (code, name)
    assert words in finding.message


def test_a_good_type_is_silent(probe: Any, artifact: Artifact, defects: Any) -> None:
    assert examine_type(artifact, defects.Good, defects.Good) == ()


def test_python_is_one_that_the_probe_knows() -> None:
    assert (3, 11) <= sys.version_info[:2] <= (3, 13)
