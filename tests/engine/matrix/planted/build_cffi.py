"""Makes `_planted_cffi.c` from planted_plain.c in the folder that is named, and the package that calls it."""

import sys
from pathlib import Path

import cffi

here, folder = Path(__file__).parent, Path(sys.argv[1])
builder = cffi.FFI()
builder.cdef(
    "double memory_leak(double); double clean_memory_leak(double); void out_of_bounds(double *, long);"
    "void clean_out_of_bounds(double *, long); int crash(int);"
)
builder.set_source("_planted_cffi", (here / "planted_plain.c").read_text(encoding="utf-8"))
builder.emit_c_code(str(folder / "_planted_cffi.c"))
(folder / "planted_cffi.py").write_text(
    '''"""What a package does that calls a C library through cffi."""
from _planted_cffi import ffi, lib

memory_leak, clean_memory_leak, crash = lib.memory_leak, lib.clean_memory_leak, lib.crash


def out_of_bounds(data):
    view = ffi.from_buffer("double[]", data)
    lib.out_of_bounds(view, len(view))


def clean_out_of_bounds(data):
    view = ffi.from_buffer("double[]", data)
    lib.clean_out_of_bounds(view, len(view))
''',
    encoding="utf-8",
)
