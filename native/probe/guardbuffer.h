/* An exporter of the buffer protocol for tests: its memory ends (or starts) at a page that may not be touched, and it
 * counts who has asked for a buffer and who has given it back. */
#ifndef MLTUTOR_GUARDBUFFER_H
#define MLTUTOR_GUARDBUFFER_H

#include <Python.h>

/* GuardBuffer(format, itemsize, shape, strides=None, readonly=False, side="after"): strides in bytes, None is C order.
 * Attributes: gets, releases, flags (of the last request), address, wall (start and end of the protected page). */
extern PyTypeObject GuardBufferType;

/* Readies the type and puts it into the module. 0, or -1 with an exception set. */
int guardbuffer_ready(PyObject *module);

#endif
