/* Calls the learner's function under watch, and turns what the other parts saw into Python values. */
#ifndef MLTUTOR_SURVEY_H
#define MLTUTOR_SURVEY_H

#include <Python.h>

/* survey(function, args, objects, calls, fail_at): references, blocks, memory, buffers, the GIL. See module.c. */
PyObject *survey_calls(PyObject *module, PyObject *args);
/* exhume(function, args, calls): with freed objects kept. */
PyObject *survey_freed(PyObject *module, PyObject *args);
/* intervals(function, args, calls): how long the GIL was held, with nothing else watched. */
PyObject *survey_gil(PyObject *module, PyObject *args);

#endif
