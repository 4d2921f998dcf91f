# @listing 1
assert type(shown[0]) is ctypes.ArgumentError
assert shown[1] == 0.5403023058681398

import gc
import subprocess
import weakref
from pathlib import Path

import cffi

Path("demo.c").write_text("""
    #include <stdlib.h>
    typedef void (*logger)(const char *);
    static logger now;
    int stores = 0, freed = 0;
    void set_logger(logger next) { now = next; }
    void say(const char *text) { now(text); }
    void *store_new(void) { stores++; return malloc(1); }
    void store_free(void *store) { stores--; free(store); }
""")
subprocess.run(["cc", "-shared", "-fPIC", "-o", "libdemo.so", "demo.c"], check=True)

ffi = cffi.FFI()
ffi.cdef("""
    typedef struct { const char *name; } store_config;
    extern int stores;
    void *store_new(void);
    void store_free(void *);
""")
lib = ffi.dlopen("./libdemo.so")
# @listing 2
assert lib.stores == 1
del handle
gc.collect()
assert lib.stores == 0

lib = ctypes.CDLL("./libdemo.so")
LOGGER = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
lib.store_new.restype, lib.free, said = ctypes.c_void_p, lib.store_free, []
lib.free = lambda handle, callback, free=lib.store_free: free(ctypes.c_void_p(handle))
write, handle, callback = said.append, lib.store_new(), LOGGER(print)


class Owner:
    pass


owner = Owner()
# @listing 3
lib.say(b"kept")
assert said == [b"kept"]
assert ctypes.c_int.in_dll(lib, "stores").value == 1
del owner
gc.collect()
assert ctypes.c_int.in_dll(lib, "stores").value == 0
