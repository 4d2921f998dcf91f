/* What stripped libraries still tell: where functions that Python knows begin, and which function a place is in. */
#ifndef MLTUTOR_NAMES_H
#define MLTUTOR_NAMES_H

#include <Python.h>

/* entries(object) -> [(name, address)]: the C functions behind a builtin function, a method or a type. */
PyObject *names_entries(PyObject *module, PyObject *object);
/* locate(address) -> (path of its library, offset) or None. */
PyObject *names_locate(PyObject *module, PyObject *address);
/* function_at(target, offset) -> (address where the function begins, its exported name); (0, "") where nothing is known. */
PyObject *names_function_at(PyObject *module, PyObject *args);

#endif
