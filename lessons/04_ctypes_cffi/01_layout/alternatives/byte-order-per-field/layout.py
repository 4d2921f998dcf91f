"""The byte order stands at each field of the wire format; NumPy's type is written down by offsets."""

import ctypes
from ctypes import POINTER, Structure, Union, c_char, c_double, c_float, c_int, c_size_t, c_ubyte, c_uint, c_ulonglong

import numpy as np

u16, u32, u64 = (kind.__ctype_be__ for kind in (ctypes.c_ushort, ctypes.c_uint, ctypes.c_ulonglong))


class Wire(Structure):
    _pack_ = True
    _fields_ = (
        ("magic", c_char * 4),
        ("lens", c_ubyte),
        ("sequence", u64),
        ("stamp_us", u64),
        ("width", u16),
        ("height", u16),
        ("exposure_us", u32),
        ("gain", c_float.__ctype_be__),
        ("temperature", ctypes.c_short.__ctype_be__),
        ("flags", c_ubyte),
    )


class Frame(Structure):
    pass


class Exposure(Union):
    pass


class Automatic(Structure):
    _fields_ = (("mode", c_ubyte), ("target", c_double))


class Manual(Structure):
    _fields_ = (("gain", c_float), ("iso", c_uint))


Exposure._fields_ = (("raw", c_ulonglong), ("automatic", Automatic), ("manual", Manual))

Frame._fields_ = (
    ("lens", c_ubyte),
    ("flags", c_ubyte),
    ("width", c_uint),
    ("height", ctypes.c_ushort),
    ("exposure_s", c_double),
    ("exposure", Exposure),
    ("temperature", c_int),
    ("intrinsics", c_float * 9),
    ("name", c_char * 13),
    ("sequence", c_ulonglong),
    ("pixels", POINTER(c_ubyte)),
    ("pixel_bytes", c_size_t),
)

FORMATS = ["S4", "u1", ">u8", ">u8", ">u2", ">u2", ">u4", ">f4", ">i2", "u1"]
NAMES = [name for name, _ in Wire._fields_]
HEADER = np.dtype(
    {
        "names": NAMES,
        "formats": FORMATS,
        "offsets": [getattr(Wire, name).offset for name in NAMES],
        "itemsize": ctypes.sizeof(Wire),
    }
)


def records(buffer) -> np.ndarray:
    # frombuffer refuses a rest, and with a count it would not.
    return np.frombuffer(buffer, HEADER)


def dropped(buffer) -> int:
    missing, before = 0, None
    for number in records(buffer)["sequence"].tolist():
        if before is not None:
            missing += number - before - 1
        before = number
    return missing
