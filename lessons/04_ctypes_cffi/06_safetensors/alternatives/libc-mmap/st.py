"""mmap(2) and munmap(2) of the C library themselves; arrays hold their owner by NumPy's array interface."""

import ctypes
import json
import os
import weakref
from collections.abc import Iterator, Mapping

import numpy as np

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

PROT_READ, MAP_SHARED = 1, 1
FAILED = ctypes.c_void_p(-1).value

BYTES = {"|b1": "BOOL", "|u1": "U8 F8_E4M3 F8_E5M2", "<u2": "U16 BF16", "<u4": "U32", "<u8": "U64", "|i1": "I8"}
BYTES |= {"<i2": "I16", "<i4": "I32", "<i8": "I64", "<f2": "F16", "<f4": "F32", "<f8": "F64", "<c8": "C64"}
TYPES = {kind: (typestr, int(typestr[-1])) for typestr, kinds in BYTES.items() for kind in kinds.split()}


class FormatError(ValueError):
    """Something in the file is wrong."""


class Pages:
    """The file's pages, mapped as long as this object lives."""

    def __init__(self, path: str | os.PathLike) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.size = os.fstat(descriptor).st_size
            if self.size < 8:
                raise FormatError("too short for a safetensors file")
            self.address = libc.mmap(None, self.size, PROT_READ, MAP_SHARED, descriptor, 0)
            if self.address == FAILED:
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error), os.fspath(path))
        finally:
            os.close(descriptor)
        weakref.finalize(self, libc.munmap, self.address, self.size)

    def read(self, at: int, size: int) -> bytes:
        return ctypes.string_at(self.address + at, size)


class Lent:
    """What numpy.asarray makes an array of. The array holds it, and it holds the pages."""

    def __init__(self, pages: Pages, at: int, kind: str, shape: list[int]) -> None:
        self._pages = pages
        self.__array_interface__ = {
            "version": 3,
            "typestr": TYPES[kind][0],
            "shape": tuple(shape),
            "data": (pages.address + at, True),
        }


def distinct(pairs: list) -> dict:
    if len({key for key, _ in pairs}) < len(pairs):
        raise FormatError("the same name more than once")
    return dict(pairs)


def no_number(text: str) -> None:
    raise FormatError(f"{text} is no number")


def load_header(pages: Pages) -> tuple[dict, int]:
    """The header, and where it ends."""
    length = int.from_bytes(pages.read(0, 8), "little")
    if length > 100_000_000 or 8 + length > pages.size:
        raise FormatError(f"a header can't have {length} bytes here")
    text = pages.read(8, length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=distinct, parse_constant=no_number)
    except (UnicodeError, json.JSONDecodeError, RecursionError) as error:
        raise FormatError("the header can't be read") from error
    except ValueError as error:  # FormatError too, and numbers of too many digits
        raise FormatError(str(error)) from error
    if type(header) is not dict:
        raise FormatError("the header is not an object")
    return header, 8 + length


def check_entry(name: str, entry: dict) -> None:
    if type(entry) is not dict or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise FormatError(f"{name}: something is missing")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(kind) is not str or kind not in TYPES:
        raise FormatError(f"{name}: no such dtype")
    if type(shape) is not list or type(offsets) is not list or len(offsets) != 2:
        raise FormatError(f"{name}: shape and offsets are lists")
    for number in shape + offsets:
        if type(number) is not int or number < 0 or number >= 2**63:
            raise FormatError(f"{name}: {number!r:.30} is no size")
    needed, spread = TYPES[kind][1], TYPES[kind][1]
    for number in shape:
        needed *= number
        if number:
            spread *= number
    if spread >= 2**63 or offsets[0] + needed != offsets[1]:
        raise FormatError(f"{name}: bytes and shape are at odds")


def check_cover(entries: dict, size: int) -> None:
    """Takes, again and again, the tensor that begins where the last one has ended."""
    waiting: dict[int, list[int]] = {}
    for entry in entries.values():
        begin, end = entry["data_offsets"]
        waiting.setdefault(begin, []).append(end)
    at = 0
    while at in waiting:
        ends = sorted(waiting.pop(at))
        if len(ends) > 1 and ends[-2] != at:
            raise FormatError(f"two tensors begin at {at}")
        if ends[-1] == at:
            break
        at = ends[-1]
    if waiting or at != size:
        raise FormatError(f"after {at} bytes there is a hole, an overlap or a rest")


class Weights(Mapping):
    """Tensors by name."""

    def __init__(self, path) -> None:
        pages = Pages(path)
        self._entries, self._start = load_header(pages)
        self.metadata = self._entries.pop("__metadata__", {})
        if type(self.metadata) is not dict or any(type(text) is not str for text in self.metadata.values()):
            raise FormatError("__metadata__ maps texts to texts")
        for name, entry in self._entries.items():
            check_entry(name, entry)
        check_cover(self._entries, pages.size - self._start)
        self._pages: Pages | None = pages

    def __getitem__(self, name: str) -> np.ndarray:
        if self._pages is None:
            raise ValueError("these weights are closed")
        entry = self._entries[name]
        return np.asarray(Lent(self._pages, self._start + entry["data_offsets"][0], entry["dtype"], entry["shape"]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        self._pages = None

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()
