"""A nearest-neighbour index in Python's manners over the C library: who owns what is decided here."""

import numpy as np
from _ann import ffi, lib

FLOAT = np.dtype(np.float32)
INT = np.dtype(np.int64)
FLOATS = ffi.typeof("float[]")
INTS = ffi.typeof("int64_t[]")


class Index:
    """An index over vectors of `len(weights)` components; squared distances, each component with its weight."""

    def __init__(self, weights) -> None:
        # @gap
        weights = np.array(weights, dtype=FLOAT, ndmin=1)
        # The library keeps this pointer until ann_free and cffi keeps memory only as long as the cdata lives:
        # the cdata has to live as long as the handle.
        self._weights = ffi.from_buffer(FLOATS, weights)
        config = ffi.new("ann_config *", {"dim": len(self._weights), "weights": self._weights})
        handle = lib.ann_new(config)
        if handle == ffi.NULL:
            raise ValueError("an index needs at least one weight")
        self._handle = ffi.gc(handle, lib.ann_free)
        self._dim = len(self._weights)
        #| # TODO: an ann_config, a handle from lib.ann_new (NULL is an error), and somebody who calls lib.ann_free.
        #| self._handle = None
        #| self._dim = len(weights)
        # @end

    def _open(self):
        """The handle. Raises ValueError when the index was closed."""
        if self._handle is None:
            raise ValueError("the index is closed")
        return self._handle

    def __len__(self) -> int:
        return lib.ann_size(self._open())

    def close(self) -> None:
        """Free the index now. Closing twice is harmless."""
        # @gap
        if self._handle is not None:
            ffi.release(self._handle)  # runs ann_free now, and never again
            self._handle = None
        #| # TODO: free the handle once, not now and then once more when the object dies.
        # @end

    def add(self, rows) -> None:
        """Append rows, shape (n, dim), any numeric type and layout. They get the ids that follow."""
        # @gap
        rows = np.ascontiguousarray(rows, dtype=FLOAT)
        if rows.ndim != 2 or rows.shape[1] != self._dim:
            raise ValueError(f"rows of shape {rows.shape}, want (n, {self._dim})")
        if lib.ann_add(self._open(), ffi.from_buffer(FLOATS, rows), rows.shape[0]) != 0:
            raise MemoryError
        #| # TODO: check the shape, hand ann_add a pointer to contiguous float32.
        # @end

    def search(self, query, k: int):
        """The k nearest rows: ids (int64) and distances (float32), nearest first; -1 and infinity where there is none."""
        ids = np.empty(k, dtype=INT)
        distances = np.empty(k, dtype=FLOAT)
        self.search_into(np.ascontiguousarray(query, dtype=FLOAT), ids, distances)
        return ids, distances

    def search_into(self, query, ids, distances) -> int:
        """Write the len(ids) nearest rows into the caller's arrays and return how many were found.

        query: float32 (dim,). ids: int64 (k,), distances: float32 (k,), writable. Allocates no array. Raises TypeError
        for another dtype, ValueError for another size and for memory that is not contiguous or not writable.
        """
        # @gap
        if query.dtype != FLOAT or ids.dtype != INT or distances.dtype != FLOAT:
            raise TypeError("search_into takes float32 query, int64 ids, float32 distances")
        k = ids.size
        if query.size != self._dim or distances.size != k:
            raise ValueError(f"query of {query.size} for dim {self._dim}, {k} ids and {distances.size} distances")
        try:
            return lib.ann_search(
                self._open(),
                ffi.from_buffer(FLOATS, query),
                k,
                ffi.from_buffer(INTS, ids, True),  # True: require_writable. By keyword it costs 0.3 us more.
                ffi.from_buffer(FLOATS, distances, True),
            )
        except BufferError as error:
            raise ValueError(str(error)) from None
        #| # TODO: check types and sizes, then give C the caller's own memory with ffi.from_buffer.
        #| return 0
        # @end
