/* Who holds an object, as far as the collector sees: what a container holds that somebody can reach is kept, not lost. */
#ifndef MLTUTOR_HEAP_H
#define MLTUTOR_HEAP_H

#include <Python.h>

/* For each of n objects the number of references that all containers together hold to it. 0, or -1 with an exception. */
int heap_count(PyObject *const *objects, Py_ssize_t n, Py_ssize_t *counts);

/* refcounts(objects, buffer): the count of each object of a list, as 8 bytes in a writable buffer. */
PyObject *heap_refcounts(PyObject *module, PyObject *args);

#endif
