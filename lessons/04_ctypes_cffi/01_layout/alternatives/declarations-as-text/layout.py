"""The structs are made of their declarations in C, so that nobody writes the fields down a second time."""

import ctypes
import re

import numpy as np

TYPES = {
    "char": ctypes.c_char,
    "uint8_t": ctypes.c_uint8,
    "uint16_t": ctypes.c_uint16,
    "int16_t": ctypes.c_int16,
    "uint32_t": ctypes.c_uint32,
    "int32_t": ctypes.c_int32,
    "uint64_t": ctypes.c_uint64,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "size_t": ctypes.c_size_t,
}
FIELD = re.compile(r"(\w+) +(\*?)(\w+)(?:\[(\d+)\])?")


def fields(text):
    for declaration in filter(None, map(str.strip, text.split(";"))):
        type_name, star, name, length = FIELD.fullmatch(declaration).groups()
        kind = TYPES[type_name]
        if star:
            kind = ctypes.POINTER(kind)
        elif length:
            kind *= int(length)
        yield name, kind


def declare(name, base, text, **others):
    made = type(name, (base,), {"__doc__": text, **others, "_fields_": list(fields(text))})
    TYPES[name] = made
    return made


Wire = declare(
    "Wire",
    ctypes.BigEndianStructure,
    """
    char magic[4]; uint8_t lens; uint64_t sequence; uint64_t stamp_us; uint16_t width; uint16_t height;
    uint32_t exposure_us; float gain; int16_t temperature; uint8_t flags
    """,
    _pack_=1,
)
Manual = declare("Manual", ctypes.Structure, "float gain; uint32_t iso")
Automatic = declare("Automatic", ctypes.Structure, "uint8_t mode; double target")
Exposure = declare("Exposure", ctypes.Union, "Manual manual; Automatic automatic; uint64_t raw")
Frame = declare(
    "Frame",
    ctypes.Structure,
    """
    uint8_t lens; uint8_t flags; uint32_t width; uint16_t height; double exposure_s; Exposure exposure;
    int32_t temperature; float intrinsics[9]; char name[13]; uint64_t sequence; uint8_t *pixels; size_t pixel_bytes
    """,
)

RECORD = np.dtype(Wire)


def records(buffer):
    """Header after header, as they lie in the buffer."""
    data = memoryview(buffer).cast("B")
    if data.nbytes % RECORD.itemsize:
        raise ValueError(f"{data.nbytes} bytes are no whole number of headers")
    return np.asarray(data).view(RECORD)


def dropped(buffer):
    """Frames that should be there between the first and the last, less those that are."""
    sequence = records(buffer)["sequence"]
    if len(sequence) < 2:
        return 0
    return int(sequence[-1]) - int(sequence[0]) - (len(sequence) - 1)
