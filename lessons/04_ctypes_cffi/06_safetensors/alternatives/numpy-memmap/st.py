"""np.memmap does the mapping; the header is checked field by field in plain steps, a running end instead of a sort."""

import json
from collections.abc import Mapping

import numpy as np

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "F8_E4M3": np.dtype(np.uint8),
    "F8_E5M2": np.dtype(np.uint8),
    "BF16": np.dtype(np.uint16),
    "C64": np.dtype(np.complex64),
}
for bits in (8, 16, 32, 64):
    DTYPES[f"U{bits}"] = np.dtype(f"uint{bits}")
    DTYPES[f"I{bits}"] = np.dtype(f"int{bits}")
    if bits > 8:
        DTYPES[f"F{bits}"] = np.dtype(f"float{bits}")
DTYPES = {name: dtype.newbyteorder("<") for name, dtype in DTYPES.items()}


class FormatError(ValueError):
    pass


def pairs_to_dict(pairs):
    result = {}
    for key, value in pairs:
        if key in result:
            raise FormatError(f"duplicate key {key!r}")
        result[key] = value
    return result


def reject(text):
    raise FormatError(f"{text} in the header")


def is_count(value):
    return isinstance(value, int) and value is not True and value is not False and value >= 0


class Tensor:
    def __init__(self, name, fields):
        if not isinstance(fields, dict):
            raise FormatError(f"{name}: not an object")
        for key in ("dtype", "shape", "data_offsets"):
            if key not in fields:
                raise FormatError(f"{name}: no {key}")
        if not isinstance(fields["dtype"], str) or fields["dtype"] not in DTYPES:
            raise FormatError(f"{name}: unknown dtype")
        self.dtype = DTYPES[fields["dtype"]]
        for key in ("shape", "data_offsets"):
            if not isinstance(fields[key], list) or not all(is_count(item) for item in fields[key]):
                raise FormatError(f"{name}: bad {key}")
        self.shape = fields["shape"]
        if len(fields["data_offsets"]) != 2:
            raise FormatError(f"{name}: two offsets are needed")
        self.start, self.stop = fields["data_offsets"]
        self._check_size(name)

    def _check_size(self, name):
        addressed = self.dtype.itemsize
        for size in self.shape:
            if size:
                addressed *= size
        if addressed >= 1 << 63:
            raise FormatError(f"{name}: too big")
        size = 0 if 0 in self.shape else addressed
        if self.stop - self.start != size:
            raise FormatError(f"{name}: {size} bytes by shape, {self.stop - self.start} by offsets")


def check_order(tensors, size):
    """Every byte belongs to one tensor: ends and starts, sorted, are the same numbers."""
    full = [tensor for tensor in tensors if tensor.stop > tensor.start]
    starts = sorted(tensor.start for tensor in full)
    stops = sorted(tensor.stop for tensor in full)
    if [*starts, size] != [0, *stops]:
        raise FormatError("tensors overlap, or leave bytes out")
    edges = {0, *stops}
    if any(tensor.start not in edges for tensor in tensors):
        raise FormatError("an empty tensor lies inside another")


class Weights(Mapping):
    def __init__(self, path):
        self._file = None
        try:
            file = np.memmap(path, np.uint8, "r")
        except ValueError:
            raise FormatError("an empty file") from None
        if file.size < 8:
            raise FormatError("no length")
        length = int(file[:8].view("<u8")[0])
        if length > 100_000_000 or length > file.size - 8:
            raise FormatError("a wrong length")
        header = self._parse(file[8 : 8 + length].tobytes())
        self.metadata = header.pop("__metadata__", {})
        if not isinstance(self.metadata, dict) or {type(text) for text in self.metadata.values()} - {str}:
            raise FormatError("metadata are texts")
        self._tensors = {name: Tensor(name, fields) for name, fields in header.items()}
        check_order(list(self._tensors.values()), file.size - 8 - length)
        self._file = file[8 + length :]

    @staticmethod
    def _parse(text):
        try:
            header = json.loads(text.decode("utf-8"), object_pairs_hook=pairs_to_dict, parse_constant=reject)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"header: {error}") from None
        if not isinstance(header, dict):
            raise FormatError("header: no object")
        return header

    def __getitem__(self, name):
        if self._file is None:
            raise ValueError("closed")
        tensor = self._tensors[name]
        return self._file[tensor.start : tensor.stop].view(tensor.dtype).reshape(tensor.shape)

    def __iter__(self):
        return iter(self._tensors)

    def __len__(self):
        return len(self._tensors)

    def close(self):
        self._file = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
