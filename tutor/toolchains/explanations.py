"""The table of errors worth explaining: a pattern, one sentence, the fix. Named groups fill the sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One known error. `hides`: keys of broader entries that this one makes superfluous."""

    key: str
    pattern: re.Pattern[str]
    sentence: str
    fix: str
    environment: bool = False
    hides: tuple[str, ...] = ()


def _entry(
    key: str, pattern: str, sentence: str, fix: str, *, environment: bool = False, hides: tuple[str, ...] = ()
) -> Entry:
    return Entry(key, re.compile(pattern, re.M), sentence, fix, environment, hides)


_HEADERS_AND_SYNTAX = (
    _entry(
        "python-h",
        r"Python\.h['’]?:? (?:No such file|file not found)",
        "The compiler finds no Python.h: the headers of this Python are not installed.",
        "Install them (`apt install python3-dev`), or use a Python that brings them (uv, pyenv, conda).",
        environment=True,
        hides=("header-missing",),
    ),
    _entry(
        "header-missing",
        r"fatal error: (?P<name>[^\s:]+?)['’]?:? (?:No such file or directory|file not found)",
        "The header {name} is not found.",
        "Check its spelling; a file of your own needs quotes, and a library's headers must be installed.",
    ),
    _entry(
        "missing-semicolon-macro",
        r"^\S*(?:include/python|Python|/cpython/|object\.h|pymacro\.h|boolobject\.h)\S*:\d+:\d+: error: expected .*?;",
        "A `;` is missing on the line before a Python macro; the compiler sees it only inside Python's header.",
        "End the statement above the macro with `;`.",
    ),
    _entry(
        "implicit-declaration",
        r"(?:implicit declaration of function|call to undeclared (?:library )?function) ['‘`](?P<name>\w+)",
        "C does not know {name} at this line: nothing has declared it.",
        "Include its header, correct the spelling, or define it above its first use.",
    ),
    _entry(
        "fpic",
        r"recompile with -fPIC",
        "An object that was compiled without -fPIC can't go into a shared library.",
        "Compile everything that is linked in, static libraries too, with -fPIC.",
    ),
    _entry(
        "cxx20",
        r"C\+\+20 (?:or (?:later|higher)|is required|required|or newer)|requires? (?:at least )?C\+\+20|"
        r"You need C\+\+20",
        "These headers need C++20.",
        "Build with -std=c++20 (torch from 2.13 on needs it) and gcc >= 11 or clang >= 16.",
    ),
)

_LINK_AND_LOAD = (
    _entry(
        "torch-not-imported",
        r"lib(?:c10|torch(?:_cpu|_cuda|_python)?)\.so(?:[.\d]*): cannot open shared object|THPVariableClass",
        "The module needs PyTorch's libraries and they are not loaded yet.",
        "`import torch` before you import the module.",
        hides=("undefined-symbol",),
    ),
    _entry(
        "undefined-c10",
        r"undefined (?:symbol|reference)(?: to)?:? ?[`'‘]?"
        r"(?P<name>_ZNK?(?:2at|3c10|5torch)\w+|(?:c10|at|torch)::[\w:]+)",
        "The symbol {name} belongs to PyTorch: it was not linked, or was built for another version of it.",
        "Link torch, torch_cpu and c10, and build against the torch that you import.",
        hides=("undefined-symbol",),
    ),
    _entry(
        "undefined-symbol",
        r"undefined (?:symbol|reference)(?: to)?:? ?[`'‘]?(?P<name>[\w:~]+)",
        "Something calls {name}, but nothing defines it.",
        'Define it with exactly this signature (in C++ mind extern "C"), correct its spelling, or link its library.',
    ),
    _entry(
        "no-pyinit",
        r"does not define (?:module export |init )?function:? \(?(?P<name>PyInit_\w+)",
        "The file defines no {name}: Python calls the function named after the module.",
        "Name the init function (or PYBIND11_MODULE, #[pymodule]) as the module is imported.",
    ),
    _entry(
        "glibcxx",
        r"version [`'‘](?P<name>GLIBCXX_[\d.]+)['’] not found",
        "The C++ library that Python loaded is older than the compiler's: it lacks {name} (often conda's libstdc++).",
        "`conda install -c conda-forge libstdcxx-ng`, or build with the compiler of the same environment.",
        environment=True,
    ),
    _entry(
        "torch-library-twice",
        r"Only a single TORCH_LIBRARY can be used to register the namespace (?P<name>\w+)",
        "The namespace {name} is registered twice in one process.",
        "Keep one TORCH_LIBRARY a namespace and use TORCH_LIBRARY_FRAGMENT elsewhere; don't load two builds of it.",
    ),
)

_CUDA = (
    _entry(
        "cuda-home",
        r"CUDA_HOME environment variable is not set|CUDA_HOME (?:is )?not set",
        "No CUDA toolkit was found.",
        "Set CUDA_HOME to it, or install nvcc from PyPI (`pip install nvidia-cuda-nvcc`).",
        environment=True,
    ),
    _entry(
        "cuda-mismatch",
        r"detected CUDA version \(?(?P<name>[\d.]+)\)? mismatches the version that was used to compile\s+PyTorch",
        "nvcc is of CUDA {name}, and PyTorch was built with another major version.",
        "Install the nvcc that matches torch.version.cuda (`mltutor doctor` shows both).",
        environment=True,
    ),
    _entry(
        "gnu-version",
        r"unsupported (?:GNU|clang) version! (?P<name>[^!\n]*)",
        "This nvcc refuses the host compiler: it is too new for it.",
        "Install an older g++ and name it with -ccbin, or a newer nvcc.",
        environment=True,
    ),
    _entry(
        "gpu-architecture",
        r"Unsupported gpu architecture ['‘`]?(?P<name>\w+)|Value ['‘`](?P<alt>sm_\w+)['’] is not defined for option",
        "This nvcc can't make code for {name}{alt}.",
        "Ask for an architecture that it lists (`nvcc --list-gpu-arch`), or install a newer nvcc.",
        environment=True,
    ),
    _entry(
        "no-kernel-image",
        r"no kernel image is available for execution on the device",
        "The kernel was compiled for another GPU architecture than the one that is here.",
        "Build with -arch of this GPU (sm_90 for an H100), or with -arch=native.",
    ),
    _entry(
        "cuda-keyword-in-cpp",
        r"['‘`]?__(?P<name>global|device|host|shared)__['’]? does not name a type|"
        r"unknown type name ['‘`]__(?P<alt>global|device|host|shared)__",
        "A plain C++ compiler reads CUDA code here: __{name}{alt}__ is known to nvcc only.",
        "Move the kernel into a .cu file and leave a plain C++ function to call it.",
    ),
    _entry(
        "illegal-access",
        r"an illegal memory access was encountered",
        "A kernel read or wrote memory that it does not own; CUDA reports it late, so another line may be to blame.",
        "Check the index against the size in every kernel; CUDA_LAUNCH_BLOCKING=1 names the right launch.",
    ),
)

_TOOLS = (
    _entry(
        "ninja",
        r"Ninja is required to load C\+\+ extensions",
        "PyTorch's own extension loader needs the program ninja.",
        "`pip install ninja`.",
        environment=True,
    ),
    _entry(
        "disk-full",
        r"No space left on device",
        "The disk is full.",
        "Free some space, or put the cache elsewhere with MLTUTOR_HOME.",
        environment=True,
    ),
    _entry(
        "cargo-offline",
        r"(?:failed to (?:download|get) [`'](?P<name>[\w-]+)|failed to download from|Could not resolve host|"
        r"no matching package named [`'](?P<alt>[\w-]+)[`'] found[\s\S]*?offline|unable to update registry)",
        "cargo could not fetch a crate {name}{alt}: there is no network, or no way to the registry.",
        "Go online once, or copy ~/.cargo/registry from a machine that has the crates (`mltutor doctor` lists them).",
        environment=True,
    ),
    _entry(
        "cargo-lock",
        r"(?:lock file \S+ needs to be updated but --locked|cannot update the lock file \S+ because --locked)",
        "Cargo.toml asks for something that Cargo.lock does not pin.",
        "Undo the change to Cargo.toml: the exercises build with the crates that are pinned.",
    ),
)

_RUNTIME = (
    _entry(
        "scalar-type",
        r"expected scalar type (?P<want>\w+) but found (?P<got>\w+)",
        "The operator asked a {got} tensor for its data as {want}.",
        "Check the dtype first and raise, dispatch on it, or convert with .to().",
    ),
    _entry(
        "incompatible-arguments",
        r"(?P<name>[\w.]+\(\)): incompatible (?:function|constructor) arguments",
        "No overload of {name} takes these arguments.",
        "Compare the listed types with those you passed: noconvert, a missing stl.h and dtypes are the usual causes.",
    ),
    _entry(
        "null-without-exception",
        r"returned NULL without setting an exception",
        "The function returned NULL, which means an exception, and set none.",
        "Set one with PyErr_SetString before you return NULL, or return a new reference (Py_RETURN_NONE).",
    ),
)

_CYTHON = (
    _entry(
        "cython-dtype",
        r"Buffer dtype mismatch, expected '(?P<want>[^']+)' but got '?(?P<got>[^'\n]+)",
        "The memoryview wants {want} and got {got}.",
        "Convert before the call, change the element type, or take several with a fused type.",
    ),
    _entry(
        "cython-readonly",
        r"buffer source array is read-only",
        "The array is read-only and the memoryview asks for a writable one.",
        "Declare it `const` (`const double[:]`) if the function only reads.",
    ),
    _entry(
        "cython-assign",
        r"Cannot assign type '(?P<got>[^']+)' to '(?P<want>[^']+)'",
        "A {got} can't become a {want} here.",
        "Declare the variable with the type of the value, or convert explicitly with `<{want}>`.",
    ),
)

ENTRIES: tuple[Entry, ...] = (
    *_HEADERS_AND_SYNTAX,
    *_LINK_AND_LOAD,
    *_CUDA,
    *_TOOLS,
    *_RUNTIME,
    *_CYTHON,
)
