"""Benchmarks of cpp-rmsnorm: hidden states of a small model, against a plain loop and NumPy as LlamaRMSNorm upcasts."""

from __future__ import annotations

import ctypes

import numpy as np

from tutor.worker.case import Case

ROWS, DIM, EPS = 1024, 1024, 1e-6
INT64 = ctypes.c_int64


def make(dtype):
    def inputs(rng):
        x = rng.standard_normal((ROWS, DIM), dtype=dtype)
        return x, rng.random(DIM, dtype=dtype), np.full((ROWS, DIM), np.nan, dtype)

    return inputs


def prepare(built, inputs):
    """Prototypes and addresses before the clock starts."""
    x, weight, out = inputs
    call = getattr(built, f"rmsnorm_f{x.itemsize * 8}")
    call.argtypes = (ctypes.c_void_p, INT64, ctypes.c_void_p, ctypes.c_void_p, INT64, INT64, ctypes.c_double)
    call.restype = None
    built.rmsnorm_f32_one_chain.argtypes = (*[ctypes.c_void_p] * 3, INT64, INT64, ctypes.c_double)
    built.rmsnorm_f32_one_chain.restype = None
    return call, x.ctypes.data, weight.ctypes.data, out.ctypes.data, x, weight, out


def learner(built, call, x_at, weight_at, out_at, x, weight, out):
    call(x_at, DIM, weight_at, out_at, ROWS, DIM, EPS)
    return out


def plain(built, _, x_at, weight_at, out_at, x, weight, out):
    """The compiler may not reorder the sum: each addition waits for the one before."""
    built.rmsnorm_f32_one_chain(x_at, weight_at, out_at, ROWS, DIM, EPS)
    return out


def upcast(x, weight, out):
    """Sums in double, as the learner's must be: one NumPy call an operation, one temporary array a call."""
    wide = x.astype(np.float64)
    scale = 1 / np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + EPS)
    return weight * (wide * scale).astype(x.dtype)


def as_is(x, weight, out):
    return weight * (x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPS))


def verify(inputs, got, want):
    relative = 1e-6 if want.dtype == np.float32 else 1e-12
    assert np.allclose(got, want, rtol=relative, atol=0), "the rows differ from NumPy's"


CASES = {
    "one-chain": Case(
        make=make(np.float32),
        prepare=prepare,
        learner=learner,
        baseline=plain,
        baseline_built=True,
        verify=verify,
        mutates=True,
    ),
    "float": Case(
        make=make(np.float32), prepare=prepare, learner=learner, baseline=upcast, verify=verify, mutates=True
    ),
    "double": Case(
        make=make(np.float64), prepare=prepare, learner=learner, baseline=as_is, verify=verify, mutates=True
    ),
}
