"""Checks of cffi-ann: results against NumPy, then ownership: who frees, what must stay alive, what may be written."""

import ctypes
import gc
import importlib.util
import resource
import sys
from pathlib import Path

import pytest

from tutor.core.finding import Finding
from tutor.worker.defects import Defects


@pytest.fixture
def new(built, artifact):
    """Makes an Index; the learner's ann.py is imported at the first call, inside the check."""

    def make(weights):
        if "learner_ann" not in sys.modules:
            sys.modules["_ann"] = built
            spec = importlib.util.spec_from_file_location("learner_ann", artifact.sources["ann.py"])
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            sys.modules["learner_ann"] = module
        return sys.modules["learner_ann"].Index(weights)

    return make


@pytest.fixture
def library(artifact):
    library = ctypes.CDLL(artifact.extra["ann"])
    library.ann_live.restype = ctypes.c_long
    library.ann_bad_frees.restype = ctypes.c_long
    return library


def defect(artifact, code, message, *texts):
    """Raise a finding on the first line of ann.py that has one of the texts."""
    lines = Path(artifact.sources["ann.py"]).read_text("utf-8").splitlines()
    found = (number for text in texts for number, line in enumerate(lines, 1) if text in line)
    raise Defects(Finding(code, message, file="ann.py", line=next(found, None)))


def data(rng, rows=50, dim=6):
    """Small whole numbers: sums are exact in float32, and there are ties."""
    import numpy as np

    weights = rng.choice([0.5, 1.0, 2.0], dim).astype(np.float32)
    return weights, rng.integers(-4, 5, (rows, dim)).astype(np.float32), rng.integers(-4, 5, dim).astype(np.float32)


def nearest(weights, rows, query, k):
    import numpy as np

    distances = (weights.astype("f8") * (np.asarray(rows, "f8") - query) ** 2).sum(axis=1)
    order = np.argsort(distances, kind="stable")[:k]
    pad = k - order.size
    return order.tolist() + [-1] * pad, distances[order].tolist() + [float("inf")] * pad


def same(got, want, what):
    ids, distances = got[0].tolist(), got[1].tolist()
    assert ids == want[0], f"{what}: ids {ids}, want {want[0]}"
    assert distances == want[1], f"{what}: distances {distances}, want {want[1]}"


@pytest.mark.finds("layout", at="typedef struct {")
def test_declared_struct_matches_the_header(built):
    got = built.ffi.sizeof("ann_config"), built.ffi.offsetof("ann_config", "weights")
    assert got == (16, 8), f"ann_config: (size, offset of weights) is {got} in the cdef, (16, 8) in ann.h"


@pytest.mark.finds("wrong-result", at="def search(")
@pytest.mark.parametrize(("rows", "k"), [(50, 5), (50, 1), (50, 50), (3, 8), (1, 1), (400, 300)])
def test_finds_the_nearest_rows(new, rng, rows, k):
    weights, matrix, query = data(rng, rows)
    index = new(weights)
    index.add(matrix)
    same(index.search(query, k), nearest(weights, matrix, query, k), f"{k} nearest of {rows} rows")


@pytest.mark.finds("wrong-result", at="def search_into")
def test_search_into_fills_the_callers_arrays(new, rng):
    import numpy as np

    weights, matrix, query = data(rng)
    index = new(weights)
    index.add(matrix)
    ids, distances = np.full(9, 77, np.int64), np.full(9, 77, np.float32)
    found = index.search_into(query, ids[2:7], distances[2:7])
    assert found == 5, f"search_into returned {found}, want 5 rows found"
    same((ids[2:7], distances[2:7]), nearest(weights, matrix, query, 5), "search_into a slice")
    for k in (1, 49, 50, 51, 300):
        found = index.search_into(query, np.zeros(k, np.int64), np.zeros(k, np.float32))
        assert found == min(k, 50), f"search_into for {k} of 50 rows returned {found}, want {min(k, 50)} rows found"
    outside = [*ids[:2], *ids[7:], *distances[:2], *distances[7:]]
    assert set(outside) == {77}, f"entries beside the slice changed: {outside}"


@pytest.mark.finds("wrong-result", at="def add")
def test_rows_accumulate(new, rng):
    weights, matrix, query = data(rng)
    index = new(weights)
    same(index.search(query, 2), nearest(weights, matrix[:0], query, 2), "an empty index")
    for part in (matrix[:1], matrix[1:1], matrix[1:30], matrix[30:]):
        index.add(part)
    assert len(index) == len(matrix), f"len(index) is {len(index)} after adding {len(matrix)} rows"
    same(index.search(query, 7), nearest(weights, matrix, query, 7), "rows added in four parts")


@pytest.mark.parametrize("kind", ["float64", "int32", "big-endian", "list"])
@pytest.mark.finds("dtype", at="def add")
def test_rows_of_any_type_are_converted(new, rng, kind):
    weights, matrix, query = data(rng)
    rows = matrix.tolist() if kind == "list" else matrix.astype({"big-endian": ">f4"}.get(kind, kind))
    index = new(weights.tolist())
    index.add(rows)
    same(index.search(query.tolist(), 4), nearest(weights, matrix, query, 4), f"rows given as {kind}")


@pytest.mark.parametrize("kind", ["transposed", "every second", "reversed"])
@pytest.mark.finds("layout", at="def add")
def test_rows_of_any_layout_are_read_right(new, rng, kind):
    import numpy as np

    weights, matrix, query = data(rng)
    wide = np.full((matrix.shape[0] * 2, matrix.shape[1] * 2), np.nan, np.float32)
    wide[::2, ::2] = matrix
    rows = {
        "transposed": np.asfortranarray(matrix),
        "every second": wide[::2, ::2],
        "reversed": np.ascontiguousarray(matrix[::-1, ::-1])[::-1, ::-1],
    }[kind]
    index = new(weights)
    index.add(rows)
    same(index.search(query, 4), nearest(weights, matrix, query, 4), f"{kind} rows")


@pytest.mark.finds("out-of-bounds", at="def add")
@pytest.mark.parametrize("shape", [(4, 5), (6,), (4, 7), (2, 2, 6)])
def test_rows_of_another_width_are_refused(new, rng, shape):
    import numpy as np

    index = new(data(rng)[0])
    try:
        index.add(np.zeros(shape, np.float32))
    except (ValueError, TypeError):
        assert len(index) == 0, "rows were added although add() raised"
        return
    raise AssertionError(f"rows of shape {shape} were taken by an index with dim 6: C would read past them")


@pytest.mark.finds("wrong-result", at="def search_into")
@pytest.mark.parametrize("dim", [3, 40, 6000])
def test_weights_stay_alive(new, artifact, rng, dim):
    import numpy as np
    from _cffi_backend import FFI

    weights, matrix, query = data(rng, 8, dim)
    index = new(weights.copy())
    index.add(matrix)
    gc.collect()
    first = answer(index, query)
    others = [new(weights.copy() * 2) for _ in range(3)]  # weights kept in one place for all indexes are gone now
    gc.collect()
    ffi, ballast = FFI(), [others]
    for _ in range(200):  # what was freed is handed out again, full of NaN
        block = np.full(dim, np.nan, np.float32)
        ballast.append((block, block.tobytes(), ffi.new("char[]", block.tobytes()[:-1]), bytearray(block.tobytes())))
    second = answer(index, query)
    _, want = nearest(weights, matrix, query, 3)
    if second != first or np.isnan(second).any():
        message = (
            f"the library reads its weights from freed memory: distances {first}, then {second}, want {want}; "
            "what ffi.new or ffi.from_buffer returns must be kept as long as the handle"
        )
        defect(artifact, "lifetime", message, "def __init__")
    assert second == want, f"distances {second}, want {want}"


def answer(index, query):
    """Distances of the three nearest rows, in an array that was zero before."""
    import numpy as np

    distances = np.zeros(3, np.float32)
    index.search_into(query, np.zeros(3, np.int64), distances)
    return distances.tolist()


def test_dropped_indexes_are_freed(new, artifact, library, rng):
    weights, matrix, _ = data(rng)
    gc.collect()
    before = library.ann_live()
    for _ in range(20):
        new(weights).add(matrix)
    gc.collect()
    left = library.ann_live() - before
    if left > 0:
        message = f"20 indexes were dropped and {left} of their handles are still alive: nobody calls ann_free"
        defect(artifact, "memory-leak", message, "lib.ann_new", "def __init__")
    assert library.ann_bad_frees() == 0, "a handle was freed twice"


def uses(index, matrix, query):
    """Every way to use an index, by name."""
    import numpy as np

    return {
        "search()": lambda: index.search(query, 1),
        "search_into()": lambda: index.search_into(query, np.zeros(1, np.int64), np.zeros(1, np.float32)),
        "add()": lambda: index.add(matrix),
        "add() of no rows": lambda: index.add(matrix[:0]),
        "len()": lambda: len(index),
    }


@pytest.mark.finds("use-after-free", at="def close")
def test_close_frees_once(new, library, rng):
    weights, matrix, query = data(rng)
    before, bad = library.ann_live(), library.ann_bad_frees()
    index = new(weights)
    index.add(matrix)
    index.close()
    assert library.ann_live() == before, "close() left the handle alive"
    index.close()
    for name, call in uses(index, matrix, query).items():
        try:
            call()
        except ValueError:
            continue
        except TypeError as error:
            raise AssertionError(f"{name} on a closed index: want a ValueError, got TypeError: {error}") from None
        raise AssertionError(f"{name} on a closed index went through to the library: want a ValueError")
    del index
    gc.collect()
    twice = library.ann_bad_frees() - bad
    assert twice == 0, "the handle was freed by close() and once more when the object died"


@pytest.mark.finds("error-path", at="def __init__")
def test_no_weights_is_an_error(new):
    import numpy as np

    try:
        new(np.zeros(0, np.float32))
    except (ValueError, MemoryError):
        return
    raise AssertionError(
        "ann_new returned NULL for an index of dim 0 and no exception came: every later call would crash"
    )


@pytest.mark.finds("error-path", at="def add")
def test_rows_that_find_no_memory_are_an_error(new):
    """64 MB of rows, and 32 MB of addresses are left for the library's copy."""
    import numpy as np

    index = new(np.ones(1 << 10, np.float32))
    rows = np.zeros((1 << 14, 1 << 10), np.float32)
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), old[1]))
    try:
        index.add(rows)
    except (MemoryError, RuntimeError, ValueError):
        return
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)
    raise AssertionError(
        f"ann_add had no memory for {len(rows)} rows and no exception came: len(index) is {len(index)}"
    )


def refuses(new, rng, change, text):
    """search_into must raise, and must have written nothing, when `change` was made to arguments that are right."""
    import numpy as np

    weights, matrix, query = data(rng)
    index = new(weights)
    index.add(matrix)
    given = {"query": query, "ids": np.full(64, 77, np.int64)[:4], "distances": np.full(64, 77, np.float32)[:4]}
    change(given)
    rooms = [array if array.base is None else array.base for array in given.values()]
    before = [room.tobytes() for room in rooms]
    try:
        index.search_into(given["query"], given["ids"], given["distances"])
    except (ValueError, TypeError, BufferError):
        touched = [name for name, room, was in zip(given, rooms, before, strict=True) if room.tobytes() != was]
        assert not touched, f"the call was refused, and {' and '.join(touched)} written all the same"
        return
    raise AssertionError(text)


@pytest.mark.finds("layout", at="def search_into")
@pytest.mark.parametrize("which", ["ids", "distances"])
def test_read_only_output_is_refused(new, rng, which):
    def change(given):
        given[which].flags.writeable = False

    refuses(new, rng, change, f"{which} is a read-only array and it was passed to C, which may write it")


@pytest.mark.finds("layout", at="def search_into")
@pytest.mark.parametrize("which", ["query", "ids", "distances"])
def test_strided_arguments_are_refused(new, rng, which):
    def change(given):
        given[which] = given[which].repeat(2)[::2]

    refuses(new, rng, change, f"a strided {which} was taken: C would walk over the gaps as if they were entries")


@pytest.mark.finds("dtype", at="def search_into")
@pytest.mark.parametrize(
    ("which", "dtype", "size"),
    [
        ("query", "f8", 3),
        ("query", "i4", 6),
        ("query", ">f4", 6),
        ("ids", "i4", 8),
        ("ids", "f8", 4),
        ("ids", "u8", 4),
        ("ids", ">i8", 4),
        ("distances", "f8", 2),
        ("distances", "i4", 4),
        ("distances", ">f4", 4),
    ],
)
def test_other_types_are_refused(new, rng, which, dtype, size):
    import numpy as np

    def change(given):
        given[which] = np.zeros(64, dtype)[:size]  # as many bytes as C expects: counting bytes does not find it

    refuses(new, rng, change, f"{which} as {dtype} was taken: C reads and writes the bytes as another type")


@pytest.mark.finds("out-of-bounds", at="def search_into")
@pytest.mark.parametrize(
    ("which", "size"), [("query", 5), ("query", 0), ("query", 7), ("distances", 3), ("distances", 5)]
)
def test_other_sizes_are_refused(new, rng, which, size):
    import numpy as np

    def change(given):
        given[which] = np.full(64, 77, np.float32)[:size]

    text = f"{which} of {size} entries was taken with 4 ids and dim 6: C goes past the shorter one"
    refuses(new, rng, change, text)
