"""Weights of a safetensors file without reading it: a checked header, and views of a mapping."""

import json
import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

LIMIT = 100_000_000  # bytes of header; the format's own bound
MOST = 2**63 - 1  # bytes of an array; NumPy holds no more, not even of a shape with a 0 in it

# The file is little-endian, whatever the CPU is. NumPy has no bfloat16 and no 8-bit floats: those come as their bits.
DTYPES = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
    # @gap
    "BF16": np.dtype("<u2"),
    "F8_E4M3": np.dtype("u1"),
    "F8_E5M2": np.dtype("u1"),
    #| # TODO: BF16, F8_E4M3, F8_E5M2
    # @end
}


class FormatError(ValueError):
    """The file is not what the format says. Nothing else is ever raised for what a file contains."""


class Entry(NamedTuple):
    """A tensor as the header describes it; bytes `begin` to `end` of what follows the header."""

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def header_bytes(data: mmap.mmap) -> bytes:
    """The header's text. Raises FormatError when its length is wrong, before any of it is read."""
    # @gap
    if len(data) < 8:
        raise FormatError(f"{len(data)} bytes are no safetensors file")
    (length,) = struct.unpack_from("<Q", data)
    if length > LIMIT:
        raise FormatError(f"a header of {length} bytes, at most {LIMIT} are allowed")
    if length > len(data) - 8:
        raise FormatError(f"a header of {length} bytes in a file of {len(data)}")
    return data[8 : 8 + length]
    #| # TODO: the length (unsigned, 64 bits, little-endian) is what a stranger wrote: compare, then read.
    #| return data[8 : 8 + data[0]]
    # @end


# @gap
def without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of these pairs; json's own takes the last of two equal keys and says nothing."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise FormatError("a key occurs twice in the header")
    return made


def refuse_constant(name: str) -> None:
    """NaN and Infinity are Python's idea of JSON."""
    raise FormatError(f"{name} in the header")


#| # TODO: json.loads takes functions for what it would let pass: object_pairs_hook, parse_constant.
#|
#|
# @end
def parse_header(text: bytes) -> dict[str, object]:
    """The header as a dict. Raises FormatError when it is not UTF-8, not JSON, no object, or has a key twice."""
    # @gap
    try:
        # Decoded here: given bytes, json guesses, and takes UTF-16 and UTF-32 as well.
        header = json.loads(text.decode(), object_pairs_hook=without_duplicates, parse_constant=refuse_constant)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:  # nested 100,000 deep is no ValueError
        raise FormatError(f"the header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise FormatError("the header is not a JSON object")
    return header
    #| return json.loads(text)  # TODO
    # @end


# @gap
def is_size(value: object) -> bool:
    """A number of something: a whole number, and neither `true`, which is an int to Python, nor negative."""
    return type(value) is int and 0 <= value <= MOST


# @end
def read_entry(name: str, info: object) -> Entry:
    """One tensor. Raises FormatError when a part is missing or of a wrong type, or when its bytes are not shape x dtype."""
    # @gap
    if not isinstance(info, dict):
        raise FormatError(f"{name!r} is not an object")
    kind, shape, offsets = info.get("dtype"), info.get("shape"), info.get("data_offsets")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise FormatError(f"{name!r} has dtype {kind!r:.40}")
    if not isinstance(shape, list) or not all(map(is_size, shape)):
        raise FormatError(f"{name!r} has shape {shape!r:.60}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(is_size, offsets)):
        raise FormatError(f"{name!r} has offsets {offsets!r:.60}")
    dtype, (begin, end) = DTYPES[kind], offsets
    span = dtype.itemsize  # what NumPy wants to address: it leaves zeros out of the product
    for size in shape:
        span *= size or 1  # Python's integers don't wrap around; np.prod would make 0 of 2**32 * 2**32
    if span > MOST:
        raise FormatError(f"{name!r} has shape {shape!r:.60}: more than an array can hold")
    if end - begin != (0 if 0 in shape else span):
        raise FormatError(f"{name!r} has {end - begin} bytes for shape {shape!r:.60} of {kind}")
    return Entry(dtype, tuple(shape), begin, end)
    #| # TODO: every value here may be of any type and size: `info` a list, a size -1, true, 2.0 or 2**70.
    #| begin, end = info["data_offsets"]
    #| return Entry(DTYPES[info["dtype"]], tuple(info["shape"]), begin, end)
    # @end


def check_ranges(entries: dict[str, Entry], size: int) -> None:
    """Raise FormatError unless the tensors cover `size` bytes end to end: no overlap, no hole, nothing left over."""
    # @gap
    at = 0
    # By end too: a tensor without bytes comes before the one that begins where it does.
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != at:
            raise FormatError(f"{name!r} begins at {entry.begin}, the bytes before it end at {at}")
        at = entry.end
    if at != size:
        raise FormatError(f"the tensors take {at} bytes, the file has {size}")
    #| # TODO: the order in the header means nothing.
    # @end


# @gap
def read_metadata(value: object) -> dict[str, str]:
    """`__metadata__`, texts by name. Raises FormatError for anything else."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise FormatError("__metadata__ must map texts to texts")
    return value


# @end
class Weights(Mapping[str, np.ndarray]):
    """The tensors of a file by name, as read-only arrays over the file's own pages.

    metadata: the header's `__metadata__`, texts by name. Usable in a `with` statement.
    """

    def __init__(self, path: str | Path) -> None:
        """Map the file and check its header. Raises FormatError, or OSError when the file can't be opened."""
        # @gap
        self._map = None
        with open(path, "rb") as file:  # the mapping has a descriptor of its own
            try:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise FormatError("the file is empty") from error
        text = header_bytes(data)
        header = parse_header(text)
        self.metadata = read_metadata(header.pop("__metadata__", {}))
        self._entries = {name: read_entry(name, info) for name, info in header.items()}
        self._start = 8 + len(text)
        check_ranges(self._entries, len(data) - self._start)
        self._map = data
        #| # TODO: map the file read-only, read and check the header. No array yet, no byte of a tensor touched.
        #| self.metadata = {}
        #| self._entries = {}
        # @end

    def __getitem__(self, name: str) -> np.ndarray:
        """The tensor: no copy, not writable, valid as long as somebody holds it. ValueError after close()."""
        # @gap
        if self._map is None:
            raise ValueError("the file is closed")
        entry = self._entries[name]
        count = (entry.end - entry.begin) // entry.dtype.itemsize
        # frombuffer holds on to an export of the mapping, so the pages stay; np.ndarray(buffer=...) gives it back.
        return np.frombuffer(self._map, entry.dtype, count, self._start + entry.begin).reshape(entry.shape)
        #| # TODO: a view of the mapping.
        #| return np.zeros(self._entries[name].shape, self._entries[name].dtype)
        # @end

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        """No tensor can be asked for any more; those handed out stay valid. Closing twice is harmless."""
        # @gap
        # Not self._map.close(): that raises while an array looks at the pages. The last owner unmaps them.
        self._map = None
        #| # TODO
        # @end

    def __enter__(self) -> "Weights":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
