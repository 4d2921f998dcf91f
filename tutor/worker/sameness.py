"""When two outputs count as the same: types, shapes and dtypes exactly, floating-point values closely."""

from __future__ import annotations

import math
import sys
from typing import Any

_RELATIVE = {"float16": 1e-2, "bfloat16": 1e-2, "float32": 1e-4, "complex64": 1e-4}


def assert_same(got: Any, want: Any, what: str = "result") -> None:
    """Raise AssertionError with the first difference. A stand-in for the wanted type is a difference too."""
    if type(got) is not type(want):
        raise AssertionError(f"{what}: got {type(got).__name__}, want {type(want).__name__}")
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and isinstance(want, numpy.ndarray):
        _assert_arrays(numpy, got, want, what)
    elif torch is not None and isinstance(want, torch.Tensor):
        torch.testing.assert_close(got, want, equal_nan=True, msg=lambda text: f"{what}: {text}")
    elif isinstance(want, float):
        same = got == want or (math.isnan(got) and math.isnan(want)) or math.isclose(got, want, rel_tol=1e-7)
        _require(same, got, want, what)
    elif isinstance(want, list | tuple):
        _assert_sequences(got, want, what)
    elif isinstance(want, dict):
        _assert_mappings(got, want, what)
    elif "__eq__" in {name for kind in type(want).__mro__[:-1] for name in vars(kind)}:
        _require(_equal(got, want), got, want, what)


def _assert_sequences(got: Any, want: Any, what: str) -> None:
    _require(len(got) == len(want), len(got), len(want), f"length of {what}")
    if not _equal(got, want):
        for index, (a, b) in enumerate(zip(got, want, strict=True)):
            assert_same(a, b, f"{what}[{index}]")


def _assert_mappings(got: Any, want: Any, what: str) -> None:
    _require(got.keys() == want.keys(), sorted(map(str, got)), sorted(map(str, want)), f"keys of {what}")
    for key, value in want.items():
        assert_same(got[key], value, f"{what}[{key!r}]")


def _equal(got: Any, want: Any) -> bool:
    try:
        return bool(got == want)
    except (ValueError, RuntimeError):  # arrays or tensors inside: compared one by one
        return False


def _require(condition: bool, got: Any, want: Any, what: str) -> None:
    if not condition:
        raise AssertionError(f"{what}: got {str(got)[:80]}, want {str(want)[:80]}")


def _assert_arrays(numpy: Any, got: Any, want: Any, what: str) -> None:
    _require(got.dtype == want.dtype, got.dtype, want.dtype, f"dtype of {what}")
    _require(got.shape == want.shape, got.shape, want.shape, f"shape of {what}")
    if want.dtype.kind not in "fc":
        same = numpy.array_equal(got, want)
    else:
        relative = _RELATIVE.get(want.dtype.name, 1e-7)
        scale = float(numpy.max(numpy.abs(want), initial=0.0, where=numpy.isfinite(want)))
        same = numpy.allclose(got, want, rtol=relative, atol=relative * scale * 0.01, equal_nan=True)
    if not same:
        bad = got != want
        index = tuple(int(i) for i in numpy.argwhere(bad)[0]) if got.ndim else ()
        where = f"{what}[{', '.join(map(str, index))}]" if index else what
        raise AssertionError(f"{where}: got {got[index]}, want {want[index]}")
