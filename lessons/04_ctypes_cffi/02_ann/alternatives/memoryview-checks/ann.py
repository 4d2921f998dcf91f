"""Whatever has a buffer will do, looked at through memoryviews; ffi.gc(..., None) takes the handle back from cffi."""

from array import array
from contextlib import suppress

import numpy as np
from _ann import ffi, lib

FORMATS = {"float[]": ("f",), "int64_t[]": ("l", "q")}


def borrow(source, kind, writable=False):
    """The buffer of `source` as a C array that holds on to it."""
    view = memoryview(source)
    if view.format.lstrip("@") not in FORMATS[kind] or view.itemsize != ffi.sizeof(kind[:-2]):
        raise TypeError(f"want {kind}, not items of format {view.format}")
    if view.ndim != 1:
        raise ValueError(f"want one dimension, not {view.ndim}")
    try:
        return ffi.from_buffer(kind, source, require_writable=writable)
    except BufferError as error:
        raise ValueError(f"this memory is not for C: {error}") from error


class Index:
    """Vectors, and which of them are near."""

    def __init__(self, weights):
        numbers = array("f", weights)
        config = ffi.new("ann_config[1]")
        config[0].dim = len(numbers)
        config[0].weights = self._borrowed = ffi.from_buffer("float[]", numbers)
        self._index = None
        index = lib.ann_new(config)
        if index == ffi.NULL:
            raise MemoryError("ann_new gives no index") if numbers else ValueError("no weights")
        self._index = ffi.gc(index, lib.ann_free, size=4 * len(numbers))

    def close(self):
        if self._index is None:
            return
        index, self._index = self._index, None
        ffi.gc(index, None)  # from here on nobody frees it but we
        lib.ann_free(index)

    def _get(self):
        if self._index is None:
            raise ValueError("closed")
        return self._index

    def __len__(self):
        return int(lib.ann_size(self._get()))

    def add(self, rows):
        rows = np.require(rows, np.float32, "C")
        if rows.ndim != 2:
            raise ValueError("rows have two dimensions")
        count, dim = rows.shape
        if dim != len(self._borrowed):
            raise ValueError(f"rows of {dim} components, this index has {len(self._borrowed)}")
        flat = borrow(rows.reshape(-1), "float[]")
        if lib.ann_add(self._get(), flat, count):
            raise MemoryError

    def search(self, query, k):
        found = np.empty(k, np.int64), np.empty(k, np.float32)
        self.search_into(array("f", query), *found)
        return found

    def search_into(self, query, ids, distances):
        index = self._get()
        with borrow(query, "float[]") as point, borrow(ids, "int64_t[]", True) as numbers:
            with borrow(distances, "float[]", True) as lengths:
                if len(point) != len(self._borrowed) or len(numbers) != len(lengths):
                    raise ValueError(f"{len(point)} components, {len(numbers)} ids, {len(lengths)} distances")
                return lib.ann_search(index, point, len(numbers), numbers, lengths)

    def __del__(self):
        with suppress(AttributeError):  # __init__ may have failed at its first line
            self.close()
