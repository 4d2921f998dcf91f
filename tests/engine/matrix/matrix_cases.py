"""Which planted defects there are, in which toolchain, and what `diagnose` must say of each."""

from __future__ import annotations

from dataclasses import dataclass

TOOLCHAINS = ("C", "Cython", "pybind11", "PyO3", "cffi", "ctypes", "torch")


@dataclass(frozen=True)
class Case:
    """A call of the module `m` with the defect. missed: why the passes can't see it, on Pythons of `missed_by` (all).

    clean: the call of the right twin; empty where there is none. code: what must be found, when it is not the defect's.
    """

    call: str
    clean: str = ""
    missed: str = ""
    code: str = ""
    note: bool = False
    faults: bool = False
    missed_by: tuple[str, ...] = ()

    def missed_on(self, version: str) -> bool:
        """Whether it is known to escape on this Python."""
        return bool(self.missed) and (not self.missed_by or version in self.missed_by)


def both(name: str, argument: str, **more: object) -> Case:
    return Case(f"m.{name}({argument})", f"m.clean_{name}({argument})", **more)  # type: ignore[arg-type]


def like(name: str, argument: str, toolchains: str, **more: object) -> dict[str, Case]:
    """The same function of several modules."""
    return {toolchain: both(name, argument, **more) for toolchain in toolchains.split()}


OBJECT, ITEMS, DOUBLES, ROUNDS = "C()", "[C(), C()]", "array.array('d', [1.5] * 5)", "2e7"
TENSOR = "m.torch.full((5,), 1.5, dtype=m.torch.float64)"
CAUGHT = "try: m.{}(C())\nexcept ValueError: pass"

CASES: dict[str, dict[str, Case]] = {
    "ref-leak": {
        "C": both("append_leak", OBJECT),
        **like("ref_leak", OBJECT, "Cython pybind11 PyO3 ctypes"),
    },
    "ref-underflow": {
        "C": both("over_release", ITEMS),
        **like("ref_underflow", ITEMS, "Cython pybind11 PyO3"),
    },
    "borrowed-return": {
        "C": both("borrowed_result", ITEMS),
        **like("borrowed_return", ITEMS, "pybind11 PyO3"),
    },
    "use-after-free": {
        "C": both("borrow_across_change", ITEMS),
        **like("use_after_free", ITEMS, "Cython pybind11"),
    },
    "buffer-not-released": {
        "C": both("buffer_kept", "bytearray(8)"),
        **like("buffer_not_released", "bytearray(8)", "Cython pybind11 PyO3"),
    },
    "memory-leak": {
        "C": both("malloc_leak", "2.5"),
        **like("memory_leak", "2.5", "Cython pybind11 PyO3 cffi ctypes"),
        "torch": both("memory_leak", TENSOR),
    },
    "out-of-bounds": {
        "C": both("past_the_end", DOUBLES),
        **like("out_of_bounds", DOUBLES, "Cython pybind11 PyO3 cffi ctypes"),
        "torch": both("out_of_bounds", TENSOR),
    },
    "gil-held": {
        "C": both("gil_held", "60.0", note=True),
        **like("gil_held", ROUNDS, "Cython pybind11 PyO3 ctypes", note=True),
    },
    "gil-missing": {
        "C": both("gil_missing", OBJECT),
        **like("gil_missing", OBJECT, "Cython pybind11"),
    },
    "exception-contract": {
        "C": Case("m.null_without_exception(C())", CAUGHT.format("clean_null_without_exception")),
        **{
            name: Case("m.exception_contract(C())", CAUGHT.format("clean_exception_contract"))
            for name in ("Cython", "pybind11")
        },
    },
    "error-path": {"C": both("error_path_leak", OBJECT, faults=True)},
    "type-leak": {"C": Case("m.KeepsType(x)", "m.Good(x)")},
    "gc-missing": {
        "C": Case("m.NoVisit(x)", "m.Good(x)"),
    },
    "crash": {
        "C": Case("m.used_after_free(C())", "m.clean_used_after_free(C())", code="use-after-free"),
        **{name: Case("m.crash(1)") for name in ("Cython", "pybind11", "PyO3", "cffi", "ctypes")},
        "torch": Case(f"m.crash({TENSOR})"),
    },
}
# Where a toolchain can't have a defect, or makes the code that would have it by itself.
NOT_APPLICABLE: dict[tuple[str, str], str] = {
    ("borrowed-return", "Cython"): "it counts what it returns",
    ("use-after-free", "PyO3"): "a borrow that outlives its owner does not compile",
    ("gil-missing", "PyO3"): "the API wants a token of the GIL",
    ("exception-contract", "PyO3"): "Result is either",
    ("gil-held", "cffi"): "it releases the GIL around every call",
    ("gil-held", "torch"): "it releases the GIL around every call",
    ("error-path", "Cython"): "it makes the error paths",
    ("error-path", "pybind11"): "destructors release",
    ("error-path", "PyO3"): "Drop releases",
    **{("type-leak", name): "it makes the types" for name in ("Cython", "pybind11", "PyO3")},
    **{("gc-missing", name): "it makes the types" for name in ("Cython", "pybind11", "PyO3")},
}


def cell(defect: str, toolchain: str) -> Case | str:
    """The case, or why there is none: a plain library holds no Python objects."""
    found = CASES[defect].get(toolchain)
    return found or NOT_APPLICABLE.get((defect, toolchain), "it holds no Python objects")
