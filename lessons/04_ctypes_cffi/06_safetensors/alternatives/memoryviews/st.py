"""The header is read as a file, each tensor is a memoryview of its bytes, and an entry is matched by a pattern."""

import json
import math
import mmap
import os
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

UNSIGNED = {1: "|u1", 2: "<u2", 4: "<u4", 8: "<u8"}
KINDS = {"U": "u", "I": "i", "F": "f"}
DTYPES = {"BOOL": "?", "BF16": UNSIGNED[2], "F8_E4M3": UNSIGNED[1], "F8_E5M2": UNSIGNED[1], "C64": "<c8"}
DTYPES |= {f"{kind}{bits}": f"<{KINDS[kind]}{bits // 8}" for kind in "UI" for bits in (8, 16, 32, 64)}
DTYPES |= {f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)}


class FormatError(ValueError):
    pass


def ensure(condition, message):
    if not condition:
        raise FormatError(message)


def unique(pairs):
    found = {}
    for key, value in pairs:
        ensure(key not in found, f"{key!r} is there twice")
        found[key] = value
    return found


def constant(text):
    raise FormatError(f"{text} is no JSON")


DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_constant=constant)


def decode(text):
    try:
        header = DECODER.decode(str(text, "utf-8"))
    except FormatError:
        raise
    except (UnicodeDecodeError, ValueError) as error:
        raise FormatError(f"no header: {error}") from None
    except RecursionError:
        raise FormatError("too deep") from None
    ensure(isinstance(header, dict), "the header must be an object")
    return header


def whole(numbers):
    return all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers)


def entry_of(name, value):
    """(dtype, shape, first byte, byte behind the last)."""
    match value:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [begin, end]}:
            ensure(kind in DTYPES, f"{name!r} has a type that nobody knows")
            ensure(whole([*shape, begin, end]), f"{name!r}: sizes and offsets are whole numbers")
            dtype = np.dtype(DTYPES[kind])
            ensure(math.prod(filter(None, shape)) * dtype.itemsize < 1 << 63, f"{name!r} is too large")
            ensure(math.prod(shape) * dtype.itemsize == end - begin, f"{name!r}: {end - begin} bytes don't fit")
            return dtype, shape, begin, end
    raise FormatError(f"{name!r} is described wrongly")


def read_header(path):
    """(text of the header, size of the file)."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        ensure(len(start) == 8, "a file has eight bytes at least")
        length = int.from_bytes(start, "little")
        ensure(length <= min(100_000_000, size - 8), f"{length} bytes of header")
        return file.read(length), mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)


class Weights(Mapping):
    def __init__(self, path):
        text, mapping = read_header(path)
        header = decode(text)
        metadata = header.pop("__metadata__", {})
        ensure(isinstance(metadata, dict), "__metadata__ is no object")
        ensure(all(isinstance(value, str) for value in metadata.values()), "__metadata__ has more than texts")
        self.metadata = metadata
        self._entries = {name: entry_of(name, value) for name, value in header.items()}
        self._bytes = memoryview(mapping)[8 + len(text) :]
        ranges = [(0, 0), *sorted(entry[2:] for entry in self._entries.values()), (len(self._bytes),) * 2]
        for (_, end), (begin, _) in pairwise(ranges):
            ensure(begin == end, f"a tensor ends at {end}, and the next begins at {begin}")

    def __getitem__(self, name):
        if self._bytes is None:
            raise ValueError("the weights are closed")
        dtype, shape, begin, end = self._entries[name]
        return np.asarray(self._bytes[begin:end]).view(dtype).reshape(shape)

    def __iter__(self):
        yield from self._entries

    def __len__(self):
        return len(self._entries)

    def close(self):
        self._bytes = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()
