"""`user` is the address of a Python object of the model's; __del__ frees; losses are looked at one by one."""

import ctypes
import math
import os
import threading

import numpy as np

lib = ctypes.CDLL(os.environ["MLTUTOR_LIB_SGD"])

ON_BLOCK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t)

PROTOTYPES = {
    "sgd_new": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_size_t] * 3, ON_BLOCK]),
    "sgd_add": (ctypes.c_long, [ctypes.c_void_p, ctypes.c_double, ctypes.c_void_p]),
    "sgd_start": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]),
    "sgd_stop": (None, [ctypes.c_void_p]),
    "sgd_wait": (ctypes.c_int, [ctypes.c_void_p]),
    "sgd_steps": (ctypes.c_uint64, [ctypes.c_void_p, ctypes.c_size_t]),
    "sgd_free": (ctypes.c_int, [ctypes.c_void_p]),
}
for _name, (_result, _arguments) in PROTOTYPES.items():
    getattr(lib, _name).restype = _result
    getattr(lib, _name).argtypes = _arguments


class Errors:
    """The first exception of several threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._first = None

    def put(self, error):
        with self._lock:
            if self._first is None:
                self._first = error

    def take(self):
        with self._lock:
            error, self._first = self._first, None
        return error


class Model:
    """What `user` points to. It must not know its Sweep, which dies when nobody but the library uses it."""

    def __init__(self, on_block, errors, handle):
        self.on_block, self.errors, self.handle = on_block, errors, handle

    def tell(self, first, address, count):
        if not count:
            return False
        data = bytearray(ctypes.string_at(address, 4 * count))
        try:
            return bool(self.on_block(first, np.frombuffer(data, np.float32)))
        except BaseException as error:  # noqa: BLE001 - wait() raises it
            self.errors.put(error)
            lib.sgd_stop(self.handle)
            return True


@ON_BLOCK
def tell_model(user, first, losses, count):
    """One callback for all sweeps. It lives as long as the module."""
    return ctypes.cast(user, ctypes.py_object).value.tell(first, losses, count)


def as_floats(array):
    """A C array of float with the numbers of `array`, row by row."""
    return (ctypes.c_float * array.size)(*array.ravel().tolist())


class Sweep:
    """Models that are trained at the same time on the same rows."""

    _handle = None

    def __init__(self, rows, targets, block=1024):
        rows, targets = np.asarray(rows), np.asarray(targets)
        if rows.ndim != 2:
            raise ValueError("rows must have two dimensions")
        if targets.ndim != 1 or len(targets) != len(rows):
            raise ValueError("there must be one target for each row")
        self._memory = as_floats(rows), as_floats(targets)
        self._errors = Errors()
        self._models = []
        self._handle = lib.sgd_new(*self._memory, rows.shape[0], rows.shape[1], block, tell_model)
        if self._handle is None:
            raise ValueError("nothing to train on, or in blocks of nothing")

    def __del__(self):
        if self._handle is not None:
            lib.sgd_free(self._handle)

    def _living(self):
        if self._handle is None:
            raise ValueError("the sweep is closed")
        return self._handle

    def add(self, rate, on_block):
        model = Model(on_block, self._errors, self._living())
        number = lib.sgd_add(self._handle, rate, id(model))
        if number == -1:
            raise RuntimeError("too late: the sweep has been started")
        self._models.append(model)
        return number

    def start(self, steps, first=0):
        if lib.sgd_start(self._living(), first, steps):
            raise RuntimeError("the sweep has been started before")

    def stop(self):
        lib.sgd_stop(self._living())

    def wait(self):
        handle = self._living()
        if lib.sgd_wait(handle) == -1:
            raise RuntimeError("an on_block can't wait for itself")
        error = self._errors.take()
        if error is not None:
            raise error
        return [lib.sgd_steps(handle, number) for number, _ in enumerate(self._models)]

    def close(self):
        if self._handle is None:
            return
        if lib.sgd_free(self._handle) == -1:
            raise RuntimeError("an on_block can't close its sweep")
        self._handle = None
        self._models.clear()
        self._memory = None


class EarlyStopping:
    """Loss by loss."""

    def __init__(self, patience):
        self.patience = patience
        self.best = math.inf
        self.best_step = None
        self.stopped_at = None

    def __call__(self, first, losses):
        for step, loss in enumerate(losses.tolist(), first):
            if self.stopped_at is not None:
                break
            if self.best_step is None:
                self.best_step = step
            if loss < self.best:
                self.best, self.best_step = loss, step
            elif step >= self.best_step + self.patience:
                self.stopped_at = step
        return self.stopped_at is not None
