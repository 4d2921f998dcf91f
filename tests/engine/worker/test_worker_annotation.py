"""The annotation fixture: lines of loops that touch Python objects are named, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutor.core.protocol import Artifact
from tutor.worker.cythonize import compile_quietly
from tutor.worker.defects import Defects
from tutor.worker.fixtures.annotation import Annotation, annotated, loop_lines

TYPED = """# for each line:
def total(const double[::1] x, double limit,
          names):
    cdef double s = 0
    cdef Py_ssize_t i
    for name in (1, 2):
        print(name)
    for i in range(
        x.shape[0],
    ):
        if x[i] > limit:
            raise ValueError(
                f"x[{i}] is above {limit}",
            )
        s += x[i]
    print(names)
    while s > 10:
        s /= 2
    return s
"""


def annotation(folder: Path, source: str) -> Annotation:
    file = folder / "cy.pyx"
    file.write_text(source)
    done, said = compile_quietly(str(file), str(folder / "cy.c"), annotate=True, emit_linenums=True)
    assert done, said
    page = {"cy.html": str(folder / "cy.html")}
    return Annotation(Artifact("extension", "cy", sources={"cy.pyx": str(file)}, extra=page))


def line(source: str, text: str) -> int:
    return [text in each for each in source.splitlines()].index(True) + 1


def test_typed_loops_pass(tmp_path: Path) -> None:
    annotation(tmp_path, TYPED).check()


@pytest.mark.parametrize(
    ("old", "new", "at"),
    [
        ("const double[::1] x", "x", "s += x[i]"),
        ("cdef double s = 0", "s = names", "s += x[i]"),
        ("        s /= 2", "        s = abs(s) / len(names)", "len(names)"),
        ("        s += x[i]", "        s += float(\n            names[i]\n        )", "names[i]"),
    ],
)
def test_a_line_with_objects_is_named(tmp_path: Path, old: str, new: str, at: str) -> None:
    source = TYPED.replace(old, new, 1)
    with pytest.raises(Defects) as caught:
        annotation(tmp_path, source).check()
    assert {(f.code, f.file) for f in caught.value.findings} == {("slow", "cy.pyx")}
    assert line(source, at) in [f.line for f in caught.value.findings]


PARALLEL = """from cython.parallel cimport prange

def total(const double[::1] x, double[::1] out):
    cdef Py_ssize_t i
    for i in prange(x.shape[0], nogil=True):
        if x[i] < 0:
            with gil:
                raise ValueError(f"x[{i}] is negative")
        out[i] = x[i]
"""


def test_taking_the_gil_in_a_loop_is_named_unless_it_raises(tmp_path: Path) -> None:
    annotation(tmp_path, PARALLEL).check()
    source = PARALLEL.replace("        out[i] = x[i]", "        with gil:\n            out[i] = x[i]")
    with pytest.raises(Defects) as caught:
        annotation(tmp_path, source).check()
    assert [(f.code, f.line) for f in caught.value.findings] == [("gil-held", line(source, "out[i] = x[i]") - 1)]


def test_the_lines_of_loops_are_found_by_depth() -> None:
    source = "for i in prange(\n    n, nogil=True):\n    a = 1  # (\n    while x:\n        b = 2\n    c = 3\nd = 4\n"
    assert loop_lines(source) == [3, 4, 5, 6]
    assert loop_lines(source, depth=2) == [5]


def test_what_only_leads_to_an_exception_is_no_part_of_the_loop(tmp_path: Path) -> None:
    early = PARALLEL.replace("raise ValueError(", "message = (").replace(
        'negative")', 'negative")\n                raise ValueError(message)'
    )
    annotation(tmp_path, early).check()
    source = "for i in n:\n    if x:\n        a = 1\n        b = 2\n        raise b\n    c = 3\n    assert c\n"
    assert loop_lines(source) == [2, 6]
    assert loop_lines("for i in n:\n    a = 1\n    if x: continue\n    b = 2\n    raise b\n") == [2, 3]


FEW = ["(a, b)", "[a]", "{'a': a}.items()", "enumerate((a, b))", "zip(names, (a, b))", "names", "enumerate(names)"]
MANY = ["a", "range(n)", "zip(a, b)", "enumerate(a)", "[*a]", "[x for x in a]", "keep", "(range(n))", "a.items()"]


@pytest.mark.parametrize("iterable", FEW + MANY)
def test_a_loop_over_a_few_named_things_is_no_loop(iterable: str) -> None:
    source = f"names = 'a', 'b'\nkeep = []\nfor x in {iterable}:\n    use(x)\n"
    assert loop_lines(source) == ([] if iterable in FEW else [4])


def test_a_page_of_another_format_is_our_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="its format has changed"):
        annotated("<html></html>")
    with pytest.raises(RuntimeError, match=r"no cy\.html"):
        Annotation(Artifact("extension", "cy", sources={"cy.pyx": str(tmp_path / "cy.pyx")})).check()
