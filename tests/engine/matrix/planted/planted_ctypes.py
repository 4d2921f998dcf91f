"""What a package does that calls a C library through ctypes; `planted_plain.so` lies beside this file."""

import ctypes
import os

_path = os.path.join(os.path.dirname(__file__), "planted_plain.so")
_library, _holding = ctypes.CDLL(_path), ctypes.PyDLL(_path)
for _name in ("memory_leak", "clean_memory_leak"):
    getattr(_library, _name).argtypes = [ctypes.c_double]
    getattr(_library, _name).restype = ctypes.c_double
for _lib in (_library, _holding):
    _lib.spin.argtypes = [ctypes.c_double]
    _lib.spin.restype = ctypes.c_double

memory_leak, clean_memory_leak = _library.memory_leak, _library.clean_memory_leak
crash = _library.crash
gil_held, clean_gil_held = _holding.spin, _library.spin


def _fill(function, data):
    view = memoryview(data)
    function((ctypes.c_double * len(view)).from_buffer(data), ctypes.c_long(len(view)))


def out_of_bounds(data):
    _fill(_library.out_of_bounds, data)


def clean_out_of_bounds(data):
    _fill(_library.clean_out_of_bounds, data)


def ref_leak(x):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(x))


def clean_ref_leak(x):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(x))
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(x))
