/* Calls whose arguments are made anew for each, under watch: of any code that is installed, of a whole statement. */
#ifndef MLTUTOR_ROUNDS_H
#define MLTUTOR_ROUNDS_H

#include <Python.h>

/* rounds(prepare, calls, fail_at, end): references, blocks, memory. See module.c. */
PyObject *rounds_survey(PyObject *module, PyObject *args);
/* rounds_freed(prepare, calls): with freed objects kept. */
PyObject *rounds_freed(PyObject *module, PyObject *args);
/* rounds_gil(prepare, calls): how long the GIL was held. */
PyObject *rounds_gil(PyObject *module, PyObject *args);
/* entered(prepare) -> numbers of the targets whose code one call runs through. */
PyObject *rounds_entered(PyObject *module, PyObject *args);

#endif
