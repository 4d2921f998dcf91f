"""The camera header: as it comes off the wire, and as the C library keeps it in memory."""

import ctypes

import numpy as np


# @gap
class Wire(ctypes.BigEndianStructure):
    """cam_wire. The sender packs it, so the packing is true; the byte order is part of the type."""

    _pack_ = 1
    _fields_ = [
        ("magic", ctypes.c_char * 4),
        ("lens", ctypes.c_uint8),
        ("sequence", ctypes.c_uint64),
        ("stamp_us", ctypes.c_uint64),
        ("width", ctypes.c_uint16),
        ("height", ctypes.c_uint16),
        ("exposure_us", ctypes.c_uint32),
        ("gain", ctypes.c_float),
        ("temperature", ctypes.c_int16),
        ("flags", ctypes.c_uint8),
    ]
#| # TODO: 36 bytes, big-endian, packed. Pick the base class, then add what is missing (camera.h has the list).
#| class Wire(ctypes.Structure):
#|     """cam_wire."""
#|
#|     _fields_ = [
#|         ("magic", ctypes.c_char * 4),
#|         ("lens", ctypes.c_uint8),
#|         ("sequence", ctypes.c_uint64),
#|     ]
# @end


# @gap
class Manual(ctypes.Structure):
    """cam_manual."""

    _fields_ = [("gain", ctypes.c_float), ("iso", ctypes.c_uint32)]


class Automatic(ctypes.Structure):
    """cam_automatic. No `_pack_`: ctypes pads as the C compiler does, seven bytes after `mode`."""

    _fields_ = [("mode", ctypes.c_uint8), ("target", ctypes.c_double)]


class Exposure(ctypes.Union):
    """cam_exposure. All members start at offset 0; the union is as big as the biggest."""

    _fields_ = [("manual", Manual), ("automatic", Automatic), ("raw", ctypes.c_uint64)]


class Frame(ctypes.Structure):
    """cam_frame. Every type has its width in its name, besides size_t and the pointer."""

    _fields_ = [
        ("lens", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint16),
        ("exposure_s", ctypes.c_double),
        ("exposure", Exposure),
        ("temperature", ctypes.c_int32),
        ("intrinsics", ctypes.c_float * 9),
        ("name", ctypes.c_char * 13),
        ("sequence", ctypes.c_uint64),
        ("pixels", ctypes.POINTER(ctypes.c_uint8)),
        ("pixel_bytes", ctypes.c_size_t),
    ]
#| class Manual(ctypes.Structure):
#|     """cam_manual."""
#|
#|     _fields_ = [("gain", ctypes.c_float), ("iso", ctypes.c_uint32)]
#|
#|
#| # TODO: class Automatic, and the union Exposure of Manual, Automatic and `raw`.
#|
#|
#| # TODO: the other fields of cam_frame, in camera.h's order.
#| class Frame(ctypes.Structure):
#|     """cam_frame."""
#|
#|     _fields_ = [
#|         ("lens", ctypes.c_uint8),
#|         ("flags", ctypes.c_uint8),
#|         ("width", ctypes.c_uint32),
#|     ]
# @end


def records(buffer) -> np.ndarray:
    """View a buffer of wire headers as a structured array, shape (n,), without copying.

    NumPy reads packing and byte order off the ctypes class, so the layout is written down once.
    Raises ValueError when the buffer does not hold a whole number of headers.
    """
    # @gap
    return np.frombuffer(buffer, dtype=np.dtype(Wire))
    #| # TODO: one view over the whole buffer, no loop.
    #| raise NotImplementedError("records")
    # @end


def dropped(buffer) -> int:
    """How many frames are missing between consecutive sequence numbers (0 for less than two headers)."""
    # @gap
    steps = np.diff(records(buffer)["sequence"])
    return int(steps.sum()) - steps.size if steps.size else 0
    #| # TODO: a frame is missing for every step of the sequence beyond one.
    #| raise NotImplementedError("dropped")
    # @end
