/* Objects that nothing but our extra references keeps alive, as far as we know: a call let them go. What they hold would
 * have gone with them, so that it counts as theirs and not as gained. */
#ifndef MLTUTOR_LEFT_H
#define MLTUTOR_LEFT_H

#include <Python.h>

void left_clear(void);
/* 1 when the object is new here. Its extra reference must stay: it must not be freed. */
int left_add(PyObject *object);
int left_has(const PyObject *object);
void left_each(void (*visit)(PyObject *object));

#endif
