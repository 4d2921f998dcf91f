"""Benchmarks of cpp-view: sums of views of a 1024 x 1024 matrix, against an index per element and against NumPy."""

from __future__ import annotations

import ctypes

import numpy as np

from tutor.worker.case import Case

SIDE = 1024
INT64 = ctypes.c_int64


class View(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("ndim", INT64), ("shape", INT64 * 4), ("strides", INT64 * 4))


def make(view):
    """Whole numbers, so that every order of adding gives the same sum."""

    def inputs(rng):
        return (view(rng.integers(-1000, 1000, (SIDE, SIDE)).astype(np.float32)),)

    return inputs


def prepare(built, inputs):
    """The view is described before the clock starts."""
    (array,) = inputs
    built.view_from_numpy.argtypes = (ctypes.POINTER(View), ctypes.c_void_p, INT64, *[ctypes.POINTER(INT64)] * 2)
    for name in ("view_sum", "view_sum_by_index"):
        getattr(built, name).argtypes = (ctypes.POINTER(View),)
        getattr(built, name).restype = ctypes.c_double
    view, sizes = View(), INT64 * array.ndim
    built.view_from_numpy(view, array.ctypes.data, array.ndim, sizes(*array.shape), sizes(*array.strides))
    return view, array


def learner(built, view, array):
    return built.view_sum(view)


def by_index(built, view, array):
    return built.view_sum_by_index(view)


def numpy_sum(array):
    return float(np.sum(array, dtype=np.float64))


def verify(inputs, got, want):
    assert got == want, f"sum {got}, want {want}"


def as_is(array):
    return array


def transposed(array):
    return array.T


# Every element is read and added once, in whatever order.
WORK = {"bytes": SIDE * SIDE * 4, "flops": SIDE * SIDE}
CASES = {
    "contiguous": Case(
        make=make(as_is),
        prepare=prepare,
        learner=learner,
        baseline=by_index,
        baseline_built=True,
        verify=verify,
        **WORK,
    ),
    "transposed": Case(
        make=make(transposed), prepare=prepare, learner=learner, baseline=numpy_sum, verify=verify, **WORK
    ),
}
