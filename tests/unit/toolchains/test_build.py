"""Every toolchain builds a good source with real compilers, and names the line of a broken one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest
import samples as s
from building import build, load, make_request

from tutor.core.exercise import BuildOptions, ToolchainName
from tutor.core.finding import Severity
from tutor.toolchains.diagnose_python import syntax_errors
from tutor.toolchains.registry import configure, environment_problem, toolchain
from tutor.ui.caret import column_of

GIVEN: dict[str, Mapping[str, str]] = {
    "view.hpp": {"view.cpp": s.VIEW_CPP},
    "src/lib.rs": {"Cargo.toml": s.CARGO_TOML, "Cargo.lock": s.CARGO_LOCK},
}
GOOD: list[tuple[ToolchainName, str, dict[str, str], str, str]] = [
    ("cxx", "zero", {"total.c": s.C_LIBRARY}, "print(built.total is not None)", "True"),
    (
        "cxx",
        "view",
        {"view.hpp": s.VIEW_HPP},
        "built.view_sum.restype = ctypes.c_double; print(built.view_sum((ctypes.c_double * 3)(1, 2, 3), 3))",
        "6.0",
    ),
    ("cext", "one", {"one.c": s.CEXT}, "print(built.answer(41), built.nothing(1))", "42 None"),
    ("cython", "cy", {"cy.pyx": s.CYTHON}, "import array; print(built.total(array.array('d', [1, 2])))", "3.0"),
    ("pybind11", "two", {"two.cpp": s.PYBIND}, "print(built.add(1, 2))", "3"),
    ("cffi", "_three", {"build_three.py": s.CFFI_BUILD}, "print(built.lib.twice(21))", "42"),
    ("rust", "four", {"src/lib.rs": s.RUST}, "print(built.count(1))", "3"),
    ("torch", "five", {"five.cpp": s.STABLE}, "print(built.same(torch.ones(2)).sum().item())", "2.0"),
]
BROKEN: list[tuple[str, ToolchainName, str, str, str, str, str, str]] = [
    ("typo", "cxx", "zero", "total.c", s.C_LIBRARY, "s += x[i]", "s += y[i]", "s += y[i]"),
    ("template", "cxx", "view", "view.hpp", s.VIEW_HPP, "s += data[i]", "s += data.at(i)", "data.at(i)"),
    ("macro", "cext", "one", "one.c", s.CEXT, "(void)used;", "(void)used", "(void)used"),
    ("implicit", "cext", "one", "one.c", s.CEXT, "PyErr_Occurred()", "PyErr_Ocurred()", "PyErr_Ocurred()"),
    ("cython", "cython", "cy", "cy.pyx", s.CYTHON, "double s = 0", 'double s = "no"', "double s ="),
    ("cython-name", "cython", "cy", "cy.pyx", s.CYTHON, "s += x[i]", "s += z[i]", "s += z[i]"),
    ("binding", "pybind11", "two", "two.cpp", s.PYBIND, '"add", &add', '"add", 7', '"add", 7'),
    ("cffi-c", "cffi", "_three", "build_three.py", s.CFFI_BUILD, "2 * x", "2 * y", "2 * y"),
    ("cffi-cdef", "cffi", "_three", "build_three.py", s.CFFI_BUILD, "int twice(int x);\n", "int twice(!\n", "twice(!"),
    ("cffi-run", "cffi", "_three", "build_three.py", s.CFFI_BUILD, "= FFI()", "= FFO()", "= FFO()"),
    ("rust", "rust", "four", "src/lib.rs", s.RUST, "n + text", "drop(text); n + text", "drop(text)"),
    ("torch", "torch", "five", "five.cpp", s.STABLE, "return x;", "return 3.5f;", "return 3.5f;"),
]


def skip_unless_ready(name: ToolchainName) -> None:
    found = toolchain(name).probe()
    if not found.ready:
        pytest.skip(f"{name}: {found.missing}")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(("name", "module", "files", "code", "want"), GOOD, ids=[f"{g[0]}-{g[1]}" for g in GOOD])
def test_good_source_builds_and_loads(
    tmp_path: Path,
    cache: Path,
    compiler: str,
    name: ToolchainName,
    module: str,
    files: dict[str, str],
    code: str,
    want: str,
) -> None:
    configure(cache, compiler)  # type: ignore[arg-type]
    skip_unless_ready(name)
    built = build(make_request(tmp_path, name, module, files, GIVEN.get(next(iter(files)))))
    assert built.code == 0, built.output
    assert built.findings == ()
    assert all((built.request.out / output).is_file() for output in built.plan.outputs)
    assert load(built.artifact, code) == want


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    ("name", "module", "file", "text", "old", "new", "at"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_broken_source_gives_a_finding_on_its_line(
    tmp_path: Path, cache: Path, compiler: str, name: ToolchainName, module: str, file: str,
    text: str, old: str, new: str, at: str,
) -> None:  # fmt: skip
    configure(cache, compiler)  # type: ignore[arg-type]
    skip_unless_ready(name)
    wrong = s.swapped(text, old, new)
    built = build(make_request(tmp_path, name, module, {file: wrong}, GIVEN.get(file)))
    assert built.code != 0
    assert environment_problem(built.output) is None
    first = built.findings[0]
    assert (first.code, first.severity) == ("build", Severity.ERROR)
    assert (first.file, first.line) == (file, s.line_of(wrong, at)), built.output


OPENMP = """#include <omp.h>

int threads(void) {
    int most = 0;
#pragma omp parallel num_threads(3) reduction(max : most)
    most = omp_get_num_threads();
    return most;
}
"""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_openmp_builds_with_whatever_has_its_library(tmp_path: Path, cache: Path, compiler: str) -> None:
    configure(cache, compiler)  # type: ignore[arg-type]
    skip_unless_ready("cxx")
    built = build(make_request(tmp_path, "cxx", "omp", {"omp.c": OPENMP}, build=BuildOptions(flags=("-fopenmp",))))
    assert built.code == 0, built.output
    assert load(built.artifact, "print(built.threads())") == "3"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("name", ["cext", "pybind11"])
def test_columns_are_bytes_where_a_line_has_tabs(
    tmp_path: Path, cache: Path, compiler: Literal["gcc", "clang"], name: ToolchainName
) -> None:
    configure(cache, compiler)
    if not toolchain(name).probe().ready:
        pytest.skip(toolchain(name).probe().missing)
    line = "\tint here = 1;\t/* é */ here = nowhere;"
    file = "one.c" if name == "cext" else "one.cpp"
    built = build(make_request(tmp_path, name, "one", {file: f"void f(void)\n{{\n{line}\n}}\n"}))
    (finding,) = [one for one in toolchain(name).parse(built.request, built.output) if "nowhere" in one.message]
    assert column_of(built.output, finding) == line.encode().index(b"nowhere") + 1


def test_undefined_symbol_is_a_link_error_where_it_is_used(tmp_path: Path) -> None:
    skip_unless_ready("cxx")
    text = "int elsewhere(int);\n\nint here(int x) {\n    return elsewhere(x);\n}\n"
    built = build(make_request(tmp_path, "cxx", "link", {"link.c": text}))
    assert built.code != 0
    assert built.findings[0].file == "link.c"
    assert built.findings[0].line in (1, 4)
    assert "elsewhere" in built.findings[0].message


def test_warning_that_matters_becomes_a_finding(tmp_path: Path) -> None:
    skip_unless_ready("cxx")
    text = "int f(double *x) {\n    int *p = x;\n    return *p;\n}\n"
    built = build(make_request(tmp_path, "cxx", "warn", {"warn.c": text}))
    assert built.code == 0
    assert [(f.file, f.line, f.severity) for f in built.findings] == [("warn.c", 2, Severity.WARNING)]


def test_error_in_a_given_file_is_led_back_to_the_learners_header(tmp_path: Path) -> None:
    skip_unless_ready("cxx")
    wrong = s.swapped(s.VIEW_HPP, "T sum() const", "T total() const")
    built = build(make_request(tmp_path, "cxx", "view", {"view.hpp": wrong}, {"view.cpp": s.VIEW_CPP}))
    assert built.code != 0
    assert built.findings[0].file == "view.cpp"
    assert "sum" in built.findings[0].message


def test_ctypes_builds_only_the_native_library(tmp_path: Path) -> None:
    skip_unless_ready("ctypes")
    request = make_request(
        tmp_path, "ctypes", "layout", {"layout.py": "answer = 42\n"}, build=BuildOptions(native=("crash",))
    )
    built = build(request)
    assert built.code == 0, built.output
    assert Path(built.artifact.extra["crash"]).is_file()
    assert built.artifact.env == {"MLTUTOR_LIB_CRASH": built.artifact.extra["crash"]}
    assert load(built.artifact, "print(built.answer)") == "42"
    assert toolchain("ctypes").plan(request).stages == ()


def test_a_syntax_error_of_python_has_its_line_and_python_s_words(tmp_path: Path) -> None:
    request = make_request(tmp_path, "ctypes", "layout", {"layout.py": "x = 1\ndef f(:\n    pass\n"})
    found, said = syntax_errors(request)
    assert [(f.code, f.file, f.line) for f in found] == [("build", "layout.py", 2)]
    assert 'File "layout.py", line 2' in said


def test_python_with_a_null_byte_is_no_crash(tmp_path: Path) -> None:
    request = make_request(tmp_path, "ctypes", "layout", {"layout.py": "x = '\0'\n"})
    assert [f.file for f in syntax_errors(request)[0]] == ["layout.py"]


def test_cffi_module_name_must_be_the_exercises(tmp_path: Path) -> None:
    skip_unless_ready("cffi")
    wrong = s.swapped(s.CFFI_BUILD, '"_three"', '"_other"')
    built = build(make_request(tmp_path, "cffi", "_three", {"build_three.py": wrong}))
    assert built.code != 0
    assert built.findings[0].line == s.line_of(wrong, "set_source")
    assert "'_other'" in built.findings[0].message


def test_cuda_compiles_without_a_gpu(tmp_path: Path) -> None:
    skip_unless_ready("cuda")
    built = build(make_request(tmp_path, "cuda", "six", {"scale.cu": s.CUDA_KERNEL}, {"scale.cpp": s.CUDA_BINDING}))
    assert built.code == 0, built.output
    assert load(built.artifact, "print(built.scale_.default._schema.name)") == "six::scale_"


def test_cuda_builds_a_module_that_python_imports(tmp_path: Path) -> None:
    skip_unless_ready("cuda")
    given = {"module.cpp": s.CUDA_MODULE}
    built = build(make_request(tmp_path, "cuda", "seven", {"scale.cu": s.CUDA_KERNEL}, given))
    assert built.code == 0, built.output
    assert built.artifact.kind == "extension"
    assert load(built.artifact, "print(built.__doc__)") == "scale by the C API"


def test_cuda_error_names_the_kernels_line(tmp_path: Path) -> None:
    skip_unless_ready("cuda")
    wrong = s.swapped(s.CUDA_KERNEL, "x[i] *= by", "x[j] *= by")
    built = build(make_request(tmp_path, "cuda", "six", {"scale.cu": wrong}, {"scale.cpp": s.CUDA_BINDING}))
    assert built.code != 0
    assert (built.findings[0].file, built.findings[0].line) == ("scale.cu", 3)


def test_key_is_the_same_for_another_snapshot_folder(tmp_path: Path) -> None:
    skip_unless_ready("cxx")
    first, second = (
        toolchain("cxx").plan(make_request(tmp_path / name, "cxx", "zero", {"total.c": s.C_LIBRARY}))
        for name in ("a", "b")
    )
    assert first.key == second.key
    assert first.artifact.path != second.artifact.path


def test_debug_information_has_plain_file_names(tmp_path: Path) -> None:
    skip_unless_ready("cxx")
    built = build(make_request(tmp_path, "cxx", "zero", {"total.c": s.C_LIBRARY}))
    assert str(built.request.source).encode() not in Path(built.artifact.path).read_bytes()
