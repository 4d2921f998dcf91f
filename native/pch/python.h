/* Precompiled for C extensions that define PY_SSIZE_T_CLEAN themselves (the toolchain looks). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
