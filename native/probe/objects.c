#define PY_SSIZE_T_CLEAN
#include "objects.h"

#include "table.h"

#define UNKNOWN_BYTES 48 /* what the smallest object with every header takes */

static Table types;

static int learn(PyTypeObject *type) {
    if (table_find(&types, type)) return 0;
    if (table_put(&types, type, 1) != 0) return PyErr_NoMemory(), -1;
    /* type.__subclasses__(T): T.__subclasses__ would be something else where T is a metaclass. */
    PyObject *subclasses = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    if (!subclasses) return -1;
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(subclasses); i++)
        status = learn((PyTypeObject *)PyList_GET_ITEM(subclasses, i));
    Py_DECREF(subclasses);
    return status;
}

Py_ssize_t objects_learn_types(void) {
    table_clear(&types);
    return learn(&PyBaseObject_Type) == 0 ? (Py_ssize_t)types.used : -1;
}

PyObject *objects_in(void *block, size_t bytes) {
    /* Before the object: nothing, the collector's header, or that and two words for __dict__ and weak references. */
    static const size_t HEADERS[] = {0, 16, 32};
    size_t size = bytes ? bytes : UNKNOWN_BYTES;
    for (int i = 0; i < 3 && size >= HEADERS[i] + sizeof(PyObject); i++) {
        PyObject *object = (PyObject *)((char *)block + HEADERS[i]);
        PyTypeObject *type = Py_TYPE(object);
        if (!table_find(&types, type)) continue;
        int collected = (type->tp_flags & Py_TPFLAGS_HAVE_GC) != 0;
        if (collected == (HEADERS[i] > 0) && (!bytes || size >= HEADERS[i] + (size_t)type->tp_basicsize)) return object;
    }
    return NULL;
}
