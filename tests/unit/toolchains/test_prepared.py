"""Precompiled headers, the shared Cython module and native libraries: made once, used when ready, given up when bad."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import samples as s
from building import build, load, make_request, run_command, run_task

from tutor.core.errors import ContentError
from tutor.toolchains import pch, programs
from tutor.toolchains.base import Command, CythonStep
from tutor.toolchains.native import build_native, native_library
from tutor.toolchains.registry import configure, retry_plainly, syntax_check, toolchain


def commands(plan_stages: object) -> list[Command]:
    return [step for stage in plan_stages for step in stage if isinstance(step, Command)]  # type: ignore[attr-defined]


@pytest.fixture
def clang(cache: Path) -> None:
    if not (programs.clang().usable and programs.clangxx().usable):
        pytest.skip("no clang >= 16")
    configure(cache, "clang")


@pytest.mark.usefixtures("clang")
def test_header_is_used_when_it_is_ready_and_given_up_when_it_is_bad(tmp_path: Path) -> None:
    tool = toolchain("cext")
    first = make_request(tmp_path / "a", "cext", "one", {"one.c": s.CEXT})
    assert "-include-pch" not in commands(tool.plan(first).stages)[0].argv
    for task in tool.warm(()):
        run_task(task)
    assert tool.warm(()) == ()
    command = commands(tool.plan(first).stages)[0]
    assert "-include-pch" in command.argv
    built = build(first)
    assert built.code == 0, built.output
    assert load(built.artifact, "print(built.answer(1))") == "2"

    header = Path(command.argv[command.argv.index("-include-pch") + 1])
    header.write_bytes(b"not a precompiled header")
    broken = build(make_request(tmp_path / "b", "cext", "one", {"one.c": s.CEXT}))
    assert broken.code != 0
    assert retry_plainly(command, broken.output)
    again = build(make_request(tmp_path / "c", "cext", "one", {"one.c": s.CEXT}))
    assert again.code == 0, again.output
    assert "-include-pch" not in commands(again.plan.stages)[0].argv
    pch._switched_off.clear()


@pytest.mark.usefixtures("clang")
def test_syntax_check_finds_the_include_that_a_header_hid(tmp_path: Path) -> None:
    tool = toolchain("cext")
    for task in tool.warm(()):
        run_task(task)
    text = s.CEXT.replace("#include <Python.h>\n", "")
    built = build(make_request(tmp_path, "cext", "one", {"one.c": text}))
    assert built.code == 0, built.output
    check = syntax_check(built.plan)
    assert check is not None
    code, output = run_command(check)
    assert code != 0
    findings = tool.parse(built.request, output)
    assert findings[0].file == "one.c"


def test_a_learners_error_is_not_blamed_on_the_header() -> None:
    assert not pch.rejected("one.c:3:1: error: expected ';' before 'return'")
    assert pch.rejected("error: PCH file was compiled for the target 'x' but the current one is 'y'")
    assert pch.rejected("internal compiler error: Segmentation fault")


def test_cython_uses_the_shared_module_once_it_is_made(tmp_path: Path) -> None:
    tool = toolchain("cython")
    if not tool.probe().ready:
        pytest.skip(tool.probe().missing)
    request = make_request(tmp_path, "cython", "cy", {"cy.pyx": s.CYTHON})
    for task in tool.warm(()):
        run_task(task)
    step = tool.plan(request).stages[0][0]
    assert isinstance(step, CythonStep)
    assert step.shared == "_cyutility"
    built = build(request)
    assert built.code == 0, built.output
    assert load(built.artifact, "import array; print(built.total(array.array('d', [1, 2])))") == "3.0"


def test_native_library_is_made_once(tmp_path: Path, cache: Path) -> None:
    configure(tmp_path, "gcc")
    if not programs.gcc().usable:
        pytest.skip("no gcc")
    plan = build_native("crash")
    assert [run_command(c)[0] for c in commands(plan.stages)] == [0]
    assert Path(plan.artifact.path).is_file()
    assert build_native("crash").stages == ()
    assert [p.name for p in Path(plan.artifact.path).parent.iterdir()] == ["libcrash.so"]


def test_unknown_native_library_is_a_content_error() -> None:
    with pytest.raises(ContentError, match="no C library `nothere`"):
        native_library("nothere")


CRASH = """
import ctypes, mmap, os, sys
crash, path, fd, what = ctypes.CDLL(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
crash.mltutor_crash_install(fd)
crash.mltutor_crash_unbuffer()
learner = ctypes.CDLL(path)
if what == "write_to":
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    page = libc.mmap(None, 4096, 0, 0x22, -1, 0)
    crash.mltutor_crash_guard(ctypes.c_void_p(page), ctypes.c_void_p(page + 4096))
    learner.write_to(ctypes.c_void_p(page + 8))
else:
    getattr(learner, what)()
"""
BAD_C = """#include <stdio.h>
#include <stdlib.h>
void write_to(int *p) {
    *p = 1;
}
int deep(int n) {
    volatile char big[4096];
    big[0] = (char)n;
    return deep(n + 1) + big[0];
}
void give_up(void) {
    printf("so far");
    abort();
}
"""


@pytest.mark.parametrize(
    ("what", "number", "guarded", "line"),
    [
        ("write_to", signal.SIGSEGV, True, 4),
        ("deep", signal.SIGSEGV, False, None),
        ("give_up", signal.SIGABRT, False, 13),
    ],
)
def test_crash_handler_names_the_line(tmp_path: Path, what: str, number: int, guarded: bool, line: int | None) -> None:
    if not (toolchain("cxx").probe().ready and programs.addr2line().usable):
        pytest.skip("no compiler or no addr2line")
    plan = build_native("crash")
    assert all(run_command(c)[0] == 0 for c in commands(plan.stages))
    built = build(make_request(tmp_path, "cxx", "bad", {"bad.c": BAD_C}))
    assert built.code == 0, built.output
    read, write = os.pipe()
    words = [sys.executable, "-c", CRASH, plan.artifact.path, built.artifact.path, str(write), what]
    done = subprocess.run(words, pass_fds=[write], capture_output=True, timeout=60)
    os.close(write)
    report = json.loads(os.read(read, 1 << 16))
    os.close(read)
    assert done.returncode == -number
    assert (report["signal"], report["guard"]) == (number, guarded)
    if what == "give_up":
        assert done.stdout == b"so far"
    frame = next(f for f in report["frames"] if f[0] == built.artifact.path)
    assert len(report["frames"]) <= 32
    where, _ = programs.run_probe((str(programs.addr2line().path), "-e", *frame))
    if line is not None:
        assert Path(where.split(" ")[0]).name == f"bad.c:{line}"
    else:
        assert Path(where).name.startswith("bad.c:")
