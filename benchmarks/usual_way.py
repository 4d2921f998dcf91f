"""How people build and test each kind of extension today: the commands that mltutor is compared with.

Every way is two processes after an edit: the build that the tool's documentation recommends, then pytest in a new
interpreter. The checks are the exercise's own, so both sides do the same work.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tutor.content.resources import native_root
from tutor.core.exercise import Exercise
from tutor.core.protocol import Artifact, encode

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
FLAGS = ["-O3", "-march=native"]


@dataclass(frozen=True, slots=True)
class UsualWay:
    """What it is called, files to add to the sources, the build command, and where its result lies."""

    label: str
    files: dict[str, str]
    build: list[str]
    artifact: Callable[[Path], Artifact]


def edit(folder: Path, exercise: Exercise, count: int) -> None:
    """Change the learner's main file as a save does: same code, new content."""
    path = folder / exercise.main_file
    mark = "#" if path.suffix in {".py", ".pyx"} else "//"
    text = path.read_text(encoding="utf-8").rsplit(f"\n{mark} edit ", 1)[0].rstrip("\n")
    path.write_text(f"{text}\n{mark} edit {count}\n", encoding="utf-8")


def seconds(way: UsualWay, exercise: Exercise, folder: Path) -> float:
    """Wall seconds of build and checks. Raises RuntimeError with the output when either fails."""
    # ninja and maturin are programs of this virtual environment
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    env = {**os.environ, "PATH": path, "CCACHE_DISABLE": "1", "TORCH_EXTENSIONS_DIR": str(folder / "torch_extensions")}
    started = time.perf_counter()
    if way.build:
        _run(way.build, folder, env)
    artifact = way.artifact(folder)
    env["MLTUTOR_ARTIFACT"] = encode(artifact).decode()
    tests = [str(path) for path in sorted(exercise.folder.glob("test_*.py"))]
    _run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, *tests], folder, env)
    return time.perf_counter() - started


def _run(argv: list[str], folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def usual_way(exercise: Exercise) -> UsualWay:
    """The usual way for an exercise's toolchain."""
    return WAYS[exercise.toolchain](exercise)


def _sources(exercise: Exercise, folder: Path) -> dict[str, str]:
    return {name: str(folder / name) for name in exercise.files}


def _extension(exercise: Exercise) -> Callable[[Path], Artifact]:
    def find(folder: Path) -> Artifact:
        path = folder / f"{exercise.module}{SUFFIX}"
        return Artifact("extension", exercise.module, str(path), sources=_sources(exercise, folder))

    return find


def _setup(body: str) -> dict[str, str]:
    return {"setup.py": textwrap.dedent(body)}


def _build_ext() -> list[str]:
    return [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]


def _cext(exercise: Exercise) -> UsualWay:
    setup = _setup(f"""
        from setuptools import Extension, setup
        setup(name="usual", py_modules=[], ext_modules=[
            Extension("{exercise.module}", {list(exercise.files)}, extra_compile_args={FLAGS})])
        """)
    return UsualWay("setup.py build_ext + pytest", setup, _build_ext(), _extension(exercise))


def _cython(exercise: Exercise) -> UsualWay:
    setup = _setup(f"""
        from Cython.Build import cythonize
        from setuptools import Extension, setup
        setup(name="usual", py_modules=[], ext_modules=cythonize([
            Extension("{exercise.module}", {list(exercise.files)}, extra_compile_args={FLAGS})
        ], language_level=3, annotate=True))
        """)
    pages = [f"{Path(name).stem}.html" for name in exercise.files]

    def find(folder: Path) -> Artifact:
        extra = {page: str(folder / page) for page in pages}
        return msgspec.structs.replace(_extension(exercise)(folder), extra=extra)

    return UsualWay("setup.py build_ext + pytest", setup, _build_ext(), find)


def _pybind11(exercise: Exercise) -> UsualWay:
    setup = _setup(f"""
        from pybind11.setup_helpers import Pybind11Extension
        from setuptools import setup
        setup(name="usual", py_modules=[], ext_modules=[
            Pybind11Extension("{exercise.module}", {list(exercise.files)}, extra_compile_args={FLAGS}, cxx_std=20)])
        """)
    return UsualWay("setup.py build_ext + pytest", setup, _build_ext(), _extension(exercise))


def _cxx(exercise: Exercise) -> UsualWay:
    names = [*exercise.files, *exercise.given]
    units = [name for name in names if name.endswith((".c", ".cpp"))]
    std = ["-std=c++20"] if any(name.endswith(".cpp") for name in units) else []
    compiler = "g++" if std else "gcc"
    libraries = [f"-l{name}" for name in exercise.build.libraries]
    build = [compiler, *std, *FLAGS, *exercise.build.flags, "-shared", "-fPIC", *units, "-o", "usual.so", *libraries]

    def find(folder: Path) -> Artifact:
        sources = _sources(exercise, folder)
        return Artifact("library", exercise.module, str(folder / "usual.so"), (str(folder),), sources=sources)

    return UsualWay(f"{compiler} + pytest", {}, build, find)


def make_native_libraries(exercise: Exercise, folder: Path) -> dict[str, str]:
    """The C libraries of native/ that an exercise uses, built once and not timed."""
    extra = {}
    for name in exercise.build.native:
        target = folder / f"lib{name}.so"
        if not target.exists():
            source = native_root() / name
            words = ["-shared", "-fPIC", f"-I{source}", str(source / f"{name}.c"), "-o", str(target), "-lm"]
            _run(["gcc", *FLAGS, *words], folder, dict(os.environ))
        extra[name] = str(target)
    return extra


def _ctypes(exercise: Exercise) -> UsualWay:
    def find(folder: Path) -> Artifact:
        sources, extra = _sources(exercise, folder), make_native_libraries(exercise, folder)
        return Artifact("python", exercise.module, "", (str(folder),), sources=sources, extra=extra)

    return UsualWay("pytest", {}, [], find)


def _rust(exercise: Exercise) -> UsualWay:
    def find(folder: Path) -> Artifact:
        path = next(iter((folder / "venv").glob(f"lib/python*/site-packages/**/{exercise.module}*.so")))
        return Artifact("extension", exercise.module, str(path), sources=_sources(exercise, folder))

    # an environment of its own, so that nothing is installed into the one that measures
    build = ["bash", "-c", "VIRTUAL_ENV=$PWD/venv maturin develop --release --locked --quiet"]
    return UsualWay("maturin develop + pytest", {}, build, find)


def _torch(exercise: Exercise) -> UsualWay:
    script = textwrap.dedent(f"""
        from torch.utils.cpp_extension import load
        load("{exercise.module}", {list(exercise.files)}, extra_cflags={[*FLAGS, "-std=c++20"]},
             is_python_module=False, is_standalone=False)
        """)

    def find(folder: Path) -> Artifact:
        path = next(iter((folder / "torch_extensions").rglob(f"{exercise.module}.so")))
        return Artifact("torch", exercise.module, str(path), sources=_sources(exercise, folder))

    return UsualWay("cpp_extension.load + pytest", {"build.py": script}, [sys.executable, "build.py"], find)


def _cffi(exercise: Exercise) -> UsualWay:
    def find(folder: Path) -> Artifact:
        path = folder / f"{exercise.module}{SUFFIX}"
        extra = make_native_libraries(exercise, folder)
        return Artifact(
            "extension", exercise.module, str(path), (str(folder),), sources=_sources(exercise, folder), extra=extra
        )

    script = Path(exercise.main_file).stem
    compile_it = f"{sys.executable} -c 'import {script}; {script}.ffibuilder.compile()'"
    include = " ".join(f"-I{native_root() / name}" for name in exercise.build.native)
    link = " ".join(f"-l{name}" for name in exercise.build.native)
    words = [f'CFLAGS="{include} {" ".join(FLAGS)}"', f'LDFLAGS="-L$PWD -Wl,--no-as-needed {link} -Wl,-rpath,$PWD"']
    build = ["bash", "-c", " ".join([*words, compile_it])]
    return UsualWay("ffibuilder.compile + pytest", {}, build, find)


WAYS: dict[str, Callable[[Exercise], UsualWay]] = {
    "cext": _cext,
    "cython": _cython,
    "pybind11": _pybind11,
    "cxx": _cxx,
    "ctypes": _ctypes,
    "rust": _rust,
    "torch": _torch,
    "cffi": _cffi,
}


def describe(way: UsualWay) -> str:
    """The way as JSON records it."""
    return json.dumps({"label": way.label, "build": way.build})
