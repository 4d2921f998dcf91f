"""Benchmark of cffi-ann: small searches, where the call costs more than the distances."""

import ctypes
import sys

from tutor.worker.case import Case

DIM, ROWS, K, QUERIES = 8, 8, 2, 2000


def make(rng):
    """The leaf of a k-d tree: 8 rows, 2000 queries, and the arrays that take the answers."""
    import numpy as np

    weights = rng.choice([0.5, 1.0, 2.0], DIM).astype(np.float32)
    rows = rng.integers(-8, 9, (ROWS, DIM)).astype(np.float32)
    queries = list(rng.integers(-8, 9, (QUERIES, DIM)).astype(np.float32))
    return weights, rows, queries, list(np.zeros((QUERIES, K), np.int64)), list(np.zeros((QUERIES, K), np.float32))


def with_index(built, inputs):
    """The learner's Index, filled."""
    import ann

    weights, rows, *rest = inputs
    index = ann.Index(weights)
    index.add(rows)
    return index, *rest


def with_ctypes(inputs):
    """The same library by ctypes; ndpointer checks type, contiguity and writability as the learner's wrapper does."""
    import numpy as np

    class Config(ctypes.Structure):
        _fields_ = [("dim", ctypes.c_size_t), ("weights", ctypes.c_void_p)]

    library = ctypes.CDLL(sys.modules["_ann"].__file__)  # dlsym looks through what it links
    search = library.ann_search
    query = np.ctypeslib.ndpointer(np.float32, ndim=1, flags="C")
    ids = np.ctypeslib.ndpointer(np.int64, ndim=1, flags="C,W")
    distances = np.ctypeslib.ndpointer(np.float32, ndim=1, flags="C,W")
    search.argtypes = [ctypes.c_void_p, query, ctypes.c_size_t, ids, distances]
    search.restype = ctypes.c_size_t
    library.ann_new.restype = ctypes.c_void_p
    library.ann_add.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    weights, rows, *rest = inputs
    handle = library.ann_new(ctypes.byref(Config(DIM, weights.ctypes.data)))
    library.ann_add(handle, rows.ctypes.data, ROWS)
    return search, handle, weights, *rest


def learner(built, index, queries, ids, distances):
    for query, i, d in zip(queries, ids, distances, strict=True):
        index.search_into(query, i, d)
    return ids, distances


def baseline(search, handle, weights, queries, ids, distances):
    for query, i, d in zip(queries, ids, distances, strict=True):
        search(handle, query, K, i, d)
    return ids, distances


def verify(inputs, got, want):
    import numpy as np

    assert np.array_equal(got[0], want[0]), "ids differ from the ctypes version"
    assert np.array_equal(got[1], want[1]), "distances differ from the ctypes version"


CASES = {
    "leaf-8": Case(
        make=make,
        learner=learner,
        baseline=baseline,
        verify=verify,
        prepare=with_index,
        prepare_baseline=with_ctypes,
        mutates=True,
    )
}
