"""The index frees its handle itself; addresses come from NumPy, after a look at the flags."""

import _ann
import numpy as np

NULL = _ann.ffi.NULL


def pointer(array, kind, name, writable):
    """A pointer into the array. Raises TypeError for another dtype, ValueError for memory that C can't walk over."""
    if not isinstance(array, np.ndarray) or array.dtype != kind:
        raise TypeError(f"{name} must be an array of {kind.__name__}")
    if array.ndim != 1 or not array.flags.c_contiguous:
        raise ValueError(f"{name} must be one contiguous row")
    if writable and not array.flags.writeable:
        raise ValueError(f"{name} can't be written to")
    return _ann.ffi.cast("int64_t *" if kind is np.int64 else "float *", array.ctypes.data)


class Index:
    def __init__(self, weights):
        self._handle = NULL
        weights = [float(weight) for weight in weights]
        self._dim = len(weights)
        self._weights = _ann.ffi.new("float[]", weights)
        config = _ann.ffi.new("ann_config *")
        config.dim = self._dim
        config.weights = self._weights
        self._handle = _ann.lib.ann_new(config)
        if not self._handle:
            raise ValueError("no weights, no index")

    def __del__(self):
        self.close()

    def close(self):
        handle, self._handle = self._handle, NULL
        _ann.lib.ann_free(handle)

    def _alive(self):
        if not self._handle:
            raise ValueError("this index is closed")
        return self._handle

    def __len__(self):
        return _ann.lib.ann_size(self._alive())

    def add(self, rows):
        handle = self._alive()
        rows = np.array(rows, dtype=np.float32, order="C")
        if rows.shape[1:] != (self._dim,):
            raise ValueError(f"rows of {self._dim} numbers each, please")
        if _ann.lib.ann_add(handle, _ann.ffi.cast("const float *", rows.ctypes.data), len(rows)) == -1:
            raise MemoryError("no room for the rows")

    def search(self, query, k):
        ids, distances = np.zeros(k, np.int64), np.zeros(k, np.float32)
        self.search_into(np.array(query, np.float32), ids, distances)
        return ids, distances

    def search_into(self, query, ids, distances):
        handle = self._alive()
        floats = pointer(query, np.float32, "query", False)
        numbers = pointer(ids, np.int64, "ids", True)
        places = pointer(distances, np.float32, "distances", True)
        if len(query) != self._dim or len(ids) != len(distances):
            raise ValueError("the sizes don't fit")
        return _ann.lib.ann_search(handle, floats, len(ids), numbers, places)
