/* What names in namespaces are bound to, and which of them were bound anew since. */
#ifndef MLTUTOR_BINDINGS_H
#define MLTUTOR_BINDINGS_H

#include <Python.h>

/* Adds the type `Bindings` to the module. 0, or -1 with an exception.
 *
 * Comparing thousands of names in Python takes a reference to each value: in a forked child every such write copies a
 * page, 7 MB and 10 ms in all. Here nothing is written. */
int bindings_ready(PyObject *module);

#endif
