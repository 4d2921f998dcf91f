"""The callback is a closure over plain containers, `user` points to a number, and losses are searched in jumps."""

import ctypes
import os
import weakref
from ctypes import POINTER, byref, c_double, c_float, c_int, c_long, c_size_t, c_uint64, c_void_p

import numpy as np

ON_BLOCK = ctypes.CFUNCTYPE(c_int, c_void_p, c_uint64, POINTER(c_float), c_size_t)

lib = ctypes.CDLL(os.environ["MLTUTOR_LIB_SGD"])
lib.sgd_new.argtypes, lib.sgd_new.restype = [c_void_p, c_void_p, c_size_t, c_size_t, c_size_t, ON_BLOCK], c_void_p
lib.sgd_add.argtypes, lib.sgd_add.restype = [c_void_p, c_double, c_void_p], c_long
lib.sgd_start.argtypes = [c_void_p, c_uint64, c_uint64]
lib.sgd_stop.argtypes, lib.sgd_stop.restype = [c_void_p], None
lib.sgd_wait.argtypes = [c_void_p]
lib.sgd_steps.argtypes, lib.sgd_steps.restype = [c_void_p, c_size_t], c_uint64
lib.sgd_free.argtypes = [c_void_p]


def make_callback(functions, errors, handle):
    """functions: one a model. errors: where exceptions go. handle: a list whose item is set once it is known."""

    @ON_BLOCK
    def callback(user, first, losses, count):
        model = ctypes.cast(user, POINTER(c_size_t))[0]
        if not losses:
            functions[model] = None
            return 0
        copy = np.empty(count, np.float32)
        ctypes.memmove(copy.ctypes.data, losses, copy.nbytes)
        try:
            ends = functions[model](first, copy)
            return int(bool(ends))
        except BaseException as error:  # noqa: BLE001 - wait() raises it
            errors.append(error)
        lib.sgd_stop(handle[0])
        return 1

    return callback


class Sweep:
    def __init__(self, rows, targets, block: int = 1024) -> None:
        rows = np.require(rows, np.float32, ["C", "A"])
        targets = np.require(targets, np.float32, ["C", "A"])
        if rows.ndim != 2 or targets.ndim != 1 or rows.shape[0] != targets.shape[0]:
            raise ValueError(f"shapes {rows.shape} and {targets.shape} don't fit")
        self._functions, self._errors, place = [], [], []
        callback = make_callback(self._functions, self._errors, place)
        count, dim = rows.shape
        handle = lib.sgd_new(rows.ctypes.data, targets.ctypes.data, count, dim, block, callback)
        if not handle:
            raise ValueError("no rows, no columns or no steps in a block")
        place.append(handle)
        self._numbers = []

        def end(kept=(rows, targets, callback, self._numbers)):
            return lib.sgd_free(handle)

        self._handle, self._end = handle, end
        self._closer = weakref.finalize(self, end)

    @property
    def _sweep(self):
        if self._end is None:
            raise ValueError("this sweep has been closed")
        return self._handle

    def add(self, rate: float, on_block) -> int:
        handle = self._sweep
        number = c_size_t(len(self._functions))  # C keeps its address
        self._functions.append(on_block)
        self._numbers.append(number)
        if lib.sgd_add(handle, rate, byref(number)) < 0:
            self._functions.pop()
            self._numbers.pop()
            raise RuntimeError("models are added before the start")
        return number.value

    def start(self, steps: int, first: int = 0) -> None:
        if lib.sgd_start(self._sweep, first, steps) < 0:
            raise RuntimeError("started already")

    def stop(self) -> None:
        lib.sgd_stop(self._sweep)

    def wait(self) -> list[int]:
        handle = self._sweep
        if lib.sgd_wait(handle) < 0:
            raise RuntimeError("called by a model's own thread")
        if self._errors:
            error = self._errors[0]
            self._errors.clear()  # its traceback leads to this frame, and so to this sweep
            raise error
        return [lib.sgd_steps(handle, model) for model in range(len(self._functions))]

    def close(self) -> None:
        if self._end is None:
            return
        if self._end() < 0:
            raise RuntimeError("called by a model's own thread")
        self._closer.detach()
        self._end = None


class EarlyStopping:
    """From one best to the next: what lies between them is looked at as a whole."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best = float("inf")
        self.best_step = self.stopped_at = None

    def __call__(self, first: int, losses) -> bool:
        if self.best_step is None:
            self.best_step = first
        at = 0
        while self.stopped_at is None and at < len(losses):
            deadline = self.best_step + self.patience - first  # the place at which it is too late
            better = np.flatnonzero(losses[at : max(deadline, at) + 1] < self.best)
            if better.size:
                at += int(better[0])
                self.best, self.best_step = float(losses[at]), first + at
                at += 1
            elif max(deadline, at) < len(losses):
                self.stopped_at = first + max(deadline, at)
            else:
                break
        return self.stopped_at is not None
