"""A sweep over learning rates in the threads of a C library, and early stopping that those threads call."""

import ctypes
import itertools
import os
import threading
import weakref

import numpy as np

SWEEP = ctypes.c_void_p
FLOATS = ctypes.POINTER(ctypes.c_float)

# @gap
# int (*sgd_on_block)(void *user, uint64_t first, const float *losses, size_t count)
ON_BLOCK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, FLOATS, ctypes.c_size_t)
# CDLL lets go of the GIL around each call. The threads of the library need it while we stand in sgd_wait.
lib = ctypes.CDLL(os.environ["MLTUTOR_LIB_SGD"])
#| # TODO: the type of sgd_on_block in sgd.h. The first argument of CFUNCTYPE is the result.
#| ON_BLOCK = ctypes.CFUNCTYPE(ctypes.c_int)
#| lib = ctypes.CDLL(os.environ["MLTUTOR_LIB_SGD"])
# @end

lib.sgd_new.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, ON_BLOCK]
lib.sgd_new.restype = SWEEP
lib.sgd_add.argtypes = [SWEEP, ctypes.c_double, ctypes.c_void_p]
lib.sgd_add.restype = ctypes.c_long
lib.sgd_start.argtypes = [SWEEP, ctypes.c_uint64, ctypes.c_uint64]
lib.sgd_stop.argtypes = [SWEEP]
lib.sgd_stop.restype = None
lib.sgd_wait.argtypes = [SWEEP]
lib.sgd_steps.argtypes = [SWEEP, ctypes.c_size_t]
lib.sgd_steps.restype = ctypes.c_uint64
lib.sgd_free.argtypes = [SWEEP]


# @gap
class Calls:
    """What the library calls. It knows nothing of the Sweep, so a callback that C keeps doesn't keep the Sweep alive."""

    def __init__(self) -> None:
        self.handle = None
        self.error = None
        self._keys = itertools.count(1)  # not 0: ctypes hands a `void *` of 0 over as None
        self._on_block = {}

    def add(self, on_block) -> int:
        """The `user` by which the library will mean this function."""
        key = next(self._keys)
        self._on_block[key] = on_block
        return key

    def forget(self, key: int) -> None:
        """The library won't name this key again."""
        self._on_block.pop(key, None)

    def __call__(self, user, first, losses, count) -> int:
        # An exception that leaves this function is printed and lost, and C reads leftovers as the result.
        try:
            if count == 0:  # the last call, losses is NULL
                self.forget(user)
                return 0
            block = np.ctypeslib.as_array(losses, (count,)).copy()  # C writes the next block over this one
            return 1 if self._on_block[user](first, block) else 0
        except BaseException as error:  # KeyboardInterrupt too: there is nobody above us to take it
            if self.error is None:
                self.error = error
            lib.sgd_stop(self.handle)
            return 1
# @end


class Sweep:
    """Models that are trained at the same time on the same rows, one learning rate each."""

    def __init__(self, rows, targets, block: int = 1024) -> None:
        """rows: (n, dim), targets: (n,), numbers of any type and layout. Raises ValueError when the shapes don't fit.

        A sweep that nobody holds any more ends its threads and is freed, as by close().
        """
        # @gap
        rows = np.ascontiguousarray(rows, np.float32)
        targets = np.ascontiguousarray(targets, np.float32)
        if rows.ndim != 2 or targets.shape != rows.shape[:1]:
            raise ValueError(f"rows of shape {rows.shape} and targets of shape {targets.shape}")
        self._calls = Calls()
        callback = ON_BLOCK(self._calls)
        handle = lib.sgd_new(rows.ctypes.data, targets.ctypes.data, *rows.shape, block, callback)
        if not handle:
            raise ValueError("a sweep needs a row, a column and a block of at least one step")
        self._handle = self._calls.handle = handle
        # C keeps three pointers until sgd_free returns. What they point to is an argument here, and lives as long.
        self._finalizer = weakref.finalize(self, free, handle, callback, rows, targets)
        self._models = 0
        #| # TODO: float32 copies where needed, shapes checked; a callback of type ON_BLOCK; a handle from lib.sgd_new
        #| # (None is an error). What must live as long as the handle, and who calls lib.sgd_free?
        #| self._handle = None
        # @end

    def _open(self):
        """The handle. Raises ValueError when the sweep was closed."""
        if self._handle is None:
            raise ValueError("the sweep is closed")
        return self._handle

    def add(self, rate: float, on_block) -> int:
        """One more model. Returns its number. Raises RuntimeError once the sweep has been started.

        on_block(first, losses) is called by the model's thread after each block: the number of its first step, and the
        losses of its steps, float32, an array that on_block may keep. A true result ends this model. An exception ends
        all of them, and wait() raises it.
        """
        # @gap
        handle = self._open()
        key = self._calls.add(on_block)
        number = lib.sgd_add(handle, rate, key)
        if number < 0:
            self._calls.forget(key)
            raise RuntimeError("the sweep has been started")
        self._models += 1
        return number
        #| # TODO: `user` is a pointer that C hands back and never looks at. What can lead from it to on_block?
        #| raise NotImplementedError("add")
        # @end

    def start(self, steps: int, first: int = 0) -> None:
        """Start to train, at most `steps` steps a model, numbered from `first` on. Returns at once."""
        if lib.sgd_start(self._open(), first, steps) != 0:
            raise RuntimeError("the sweep has been started")

    def stop(self) -> None:
        """Ask all models to end after their present block. Does not wait."""
        lib.sgd_stop(self._open())

    def wait(self) -> list[int]:
        """Wait until all models have ended; the steps that each has done. Raises the first exception of an on_block.

        Raises RuntimeError inside an on_block, where it would wait for itself.
        """
        # @gap
        handle = self._open()
        if lib.sgd_wait(handle) != 0:
            raise RuntimeError("wait() in an on_block would wait for itself")
        error, self._calls.error = self._calls.error, None
        if error is not None:
            raise error
        return [lib.sgd_steps(handle, model) for model in range(self._models)]
        #| # TODO: wait; then raise what an on_block raised, else lib.sgd_steps of each model.
        #| raise NotImplementedError("wait")
        # @end

    def close(self) -> None:
        """End the threads and free the sweep now. Closing twice is harmless. RuntimeError inside an on_block."""
        # @gap
        if self._handle is None:
            return
        if lib.sgd_free(self._handle) != 0:
            raise RuntimeError("close() in an on_block would wait for itself")
        self._handle = None
        self._finalizer.detach()  # only now may the callback and the arrays go
        #| # TODO: free once. Until lib.sgd_free returns, threads still call.
        # @end


# @gap
def free(handle, *kept) -> None:
    """Free a sweep. `kept` is what the library uses until then."""
    if lib.sgd_free(handle) != 0:  # the last reference went in an on_block, which can't wait for itself
        threading.Thread(target=free, args=(handle, *kept)).start()
# @end


class EarlyStopping:
    """An on_block that ends a model `patience` steps after its last new best loss.

    best: the smallest loss so far, infinity before one is seen. best_step: its step, or the first step of all as long as
    none was smaller than infinity. A loss equal to the best is no new best, and neither is NaN. stopped_at: the step at
    which the model should have ended, to the step, although the library tells of blocks; None before. What follows it
    changes nothing.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best = float("inf")
        self.best_step = None
        self.stopped_at = None

    def __call__(self, first: int, losses) -> bool:
        # @gap
        if self.stopped_at is not None:
            return True
        if self.best_step is None:
            self.best_step = first
        # before[i]: the best before step i. fmin, not minimum: one NaN would hide all that follow.
        before = np.fmin.accumulate(np.concatenate(([self.best], losses)))[:-1]
        places = np.arange(losses.size)
        last = np.maximum.accumulate(np.where(losses < before, places, self.best_step - first))
        late = np.flatnonzero(places - last >= self.patience)
        end = int(late[0]) if late.size else losses.size - 1
        at = int(last[end])
        if at >= 0 and losses[at] < self.best:
            self.best, self.best_step = float(losses[at]), first + at
        if late.size:
            self.stopped_at = first + end
        return self.stopped_at is not None
        #| # TODO: a running minimum, the last step at which it fell, and the first step that is too far from there.
        #| raise NotImplementedError("EarlyStopping")
        # @end
