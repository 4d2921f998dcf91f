"""Benchmark of ct-callback: early stopping told of blocks, against a callback a step."""

import ctypes
import os

from tutor.worker.case import Case

ROWS, DIM, STEPS, BLOCK, PATIENCE = 500, 16, 20_000, 4096, 15_000


def make(rng):
    """Rows whose targets have noise, so that the best loss is found early and the patience runs out later."""
    import numpy as np

    rows = rng.standard_normal((ROWS, DIM)).astype(np.float32)
    targets = (rows @ rng.standard_normal(DIM) + rng.standard_normal(ROWS)).astype(np.float32)
    return rows, targets


def learner(built, rows, targets):
    stopping = built.EarlyStopping(PATIENCE)
    sweep = built.Sweep(rows, targets, BLOCK)
    sweep.add(0.01, stopping)
    sweep.start(STEPS)
    sweep.wait()
    sweep.close()
    return stopping.best, stopping.best_step, stopping.stopped_at


def library():
    """The same library with prototypes of its own."""
    lib = ctypes.CDLL(os.environ["MLTUTOR_LIB_SGD"])
    lib.sgd_new.restype = ctypes.c_void_p
    lib.sgd_add.argtypes = [ctypes.c_void_p, ctypes.c_double, ctypes.c_void_p]
    lib.sgd_start.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]
    for name in ("sgd_wait", "sgd_free"):
        getattr(lib, name).argtypes = [ctypes.c_void_p]
    return lib


def baseline(rows, targets):
    """What a practitioner writes first: one function for each step, three variables."""
    lib = library()
    best, best_step, stopped_at = float("inf"), 0, None

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_float), ctypes.c_size_t)
    def on_step(user, step, losses, count):
        nonlocal best, best_step, stopped_at
        if not count:
            return 0
        loss = losses[0]
        if loss < best:
            best, best_step = loss, step
        elif step - best_step >= PATIENCE:
            stopped_at = step
            return 1
        return 0

    sizes = [ctypes.c_size_t(size) for size in (*rows.shape, 1)]
    sweep = lib.sgd_new(ctypes.c_void_p(rows.ctypes.data), ctypes.c_void_p(targets.ctypes.data), *sizes, on_step)
    lib.sgd_add(sweep, 0.01, None)
    lib.sgd_start(sweep, 0, STEPS)
    lib.sgd_wait(sweep)
    lib.sgd_free(sweep)
    return best, best_step, stopped_at


def verify(inputs, got, want):
    assert got == want, f"(best, best_step, stopped_at) is {got}, a callback a step finds {want}"


CASES = {"steps-20000": Case(make=make, learner=learner, baseline=baseline, verify=verify)}
