"""Every entry of the table explains a real sample of the error, and only that."""

from __future__ import annotations

import pytest

from tutor.toolchains.explain import enrich, explain
from tutor.toolchains.explanations import ENTRIES

SAMPLES: dict[str, str] = {
    "python-h": "one.c:1:10: fatal error: Python.h: No such file or directory",
    "header-missing": "ann.c:3:10: fatal error: 'annn.h' file not found",
    "missing-semicolon-macro": "/usr/include/python3.11/object.h:620:41: error: expected ';' before 'return'\n"
    "one.c:14:5: note: in expansion of macro 'Py_RETURN_NONE'",
    "implicit-declaration": "collate.c:7:9: error: implicit declaration of function 'PyLong_FromLng'; did you mean "
    "'PyLong_FromLong'? [-Werror=implicit-function-declaration]",
    "undefined-symbol": "ImportError: /tmp/x/collate.cpython-311-x86_64-linux-gnu.so: undefined symbol: add_row",
    "undefined-c10": "OSError: /tmp/x/quant.so: undefined symbol: _ZN3c106detail14torchCheckFailEPKcS2_jRKSs",
    "torch-not-imported": "ImportError: libc10.so: cannot open shared object file: No such file or directory",
    "no-pyinit": "ImportError: dynamic module does not define module export function (PyInit_collate)",
    "glibcxx": "ImportError: /opt/conda/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by x.so)",
    "ninja": "RuntimeError: Ninja is required to load C++ extensions (pip install ninja to get it)",
    "cuda-home": "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.",
    "cuda-mismatch": "The detected CUDA version (11.8) mismatches the version that was used to compile\n"
    "PyTorch (13.2). Please make sure to use the same CUDA versions.",
    "gnu-version": "/usr/local/cuda/include/crt/host_config.h:143:2: error: #error -- unsupported GNU version! gcc "
    "versions later than 12 are not supported!",
    "gpu-architecture": "nvcc fatal   : Unsupported gpu architecture 'compute_120'",
    "no-kernel-image": "RuntimeError: CUDA error: no kernel image is available for execution on the device",
    "cuda-keyword-in-cpp": "scale.cpp:1:1: error: '__global__' does not name a type",
    "fpic": "/usr/bin/ld: ann.o: relocation R_X86_64_PC32 against symbol `x' can not be used when making a shared "
    "object; recompile with -fPIC",
    "cxx20": "torch/headeronly/macros/Macros.h:9:2: error: #error C++20 or later compatible compiler is required",
    "scalar-type": "RuntimeError: expected scalar type Float but found Double",
    "illegal-access": "RuntimeError: CUDA error: an illegal memory access was encountered",
    "torch-library-twice": "Only a single TORCH_LIBRARY can be used to register the namespace myops; please put all",
    "incompatible-arguments": "TypeError: add(): incompatible function arguments. The following argument types are "
    "supported:\n    1. (arg0: int, arg1: int) -> int",
    "null-without-exception": "SystemError: <built-in function collate> returned NULL without setting an exception",
    "cython-dtype": "ValueError: Buffer dtype mismatch, expected 'double' but got 'float'",
    "cython-readonly": "ValueError: buffer source array is read-only",
    "cython-assign": "decay.pyx:3:13: Cannot assign type 'unicode object' to 'double'",
    "disk-full": "fatal error: error writing to /tmp/cc.s: No space left on device",
    "cargo-offline": "error: failed to download from `https://registry.example/x`\n\nCaused by:\n  no route",
    "cargo-lock": "error: the lock file /x/Cargo.lock needs to be updated but --locked was passed to prevent this",
}


def test_every_entry_has_a_sample() -> None:
    assert set(SAMPLES) == {entry.key for entry in ENTRIES}


@pytest.mark.parametrize("key", SAMPLES)
def test_sample_is_explained(key: str) -> None:
    found = explain(SAMPLES[key])
    assert [e.key for e in found] == [key]
    assert found[0].sentence.endswith(".")
    assert found[0].fix
    assert "{" not in found[0].sentence


def test_place_and_name_are_taken_from_the_output() -> None:
    found = explain(SAMPLES["implicit-declaration"])[0]
    assert (found.file, found.line) == ("collate.c", 7)
    assert "PyLong_FromLng" in found.sentence


def test_clean_output_is_not_explained() -> None:
    assert explain("collate.c:3:7: warning: unused variable 'x' [-Wunused-variable]\n") == []
    assert enrich("unused variable 'x'", "") == "unused variable 'x'"


def test_explanations_come_in_the_order_of_the_output() -> None:
    both = SAMPLES["scalar-type"] + "\n" + SAMPLES["illegal-access"]
    assert [e.key for e in explain(both)] == ["scalar-type", "illegal-access"]


def test_missing_torch_and_network_are_faults_of_the_machine() -> None:
    faults = {e.key for sample in SAMPLES.values() for e in explain(sample) if e.environment}
    assert {"python-h", "cargo-offline", "disk-full", "glibcxx", "cuda-home"} <= faults
    assert not {"undefined-symbol", "implicit-declaration"} & faults
