/* Whether a block of memory holds an object, told by its type pointer: blocks know nothing of what is in them. */
#ifndef MLTUTOR_OBJECTS_H
#define MLTUTOR_OBJECTS_H

#include <Python.h>

/* Forgets what was known of types and finds out how to tell one. Number of types known, or -1 with an exception set. */
Py_ssize_t objects_learn_types(void);

/* The object in a block, alive or just freed; NULL when it holds none. bytes: 0 when they are unknown. */
PyObject *objects_in(void *block, size_t bytes);

/* True when the count is not kept (None, small int on Python >= 3.12). */
static inline int objects_immortal(PyObject *object) {
#if PY_VERSION_HEX >= 0x030c0000
    return _Py_IsImmortal(object);
#else
    (void)object;
    return 0;
#endif
}

#endif
