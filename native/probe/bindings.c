#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "bindings.h"

/* One name. All references are owned. */
typedef struct {
    PyObject *space;    /* a dict, or a class: its dict */
    PyObject *name;     /* str */
    PyObject *value;    /* NULL: nothing callable may be bound to the name */
    PyObject *code;     /* of a Python function, else NULL */
    PyObject *defaults; /* NULL: it has none */
} Binding;

typedef struct {
    PyObject_HEAD Py_ssize_t n;
    Binding *rows;
} Bindings;

static PyObject *dict_of(PyObject *space) {
    if (!PyType_Check(space)) return space;
    return ((PyTypeObject *)space)->tp_dict; /* NULL for the static types of Python 3.12 and newer */
}

/* A borrowed reference, or NULL when the name is not bound; never an exception: the names are str. */
static PyObject *bound(const Binding *row) {
    PyObject *dict = dict_of(row->space);
    return dict ? PyDict_GetItemWithError(dict, row->name) : NULL;
}

static int is_same(const Binding *row) {
    PyObject *now = bound(row);
    if (!row->value) return !now || !PyCallable_Check(now);
    if (now != row->value) return 0;
    if (!row->code) return 1;
    return PyFunction_GET_CODE(now) == row->code && PyFunction_GET_DEFAULTS(now) == row->defaults;
}

static int fill(Binding *row, PyObject *item) {
    PyObject *space, *name, *value = NULL;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a row is a tuple of namespace, name and, when bound, value");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "OU|O", &space, &name, &value)) return -1;
    if (!PyDict_CheckExact(space) && !PyType_Check(space)) {
        PyErr_Format(PyExc_TypeError, "a namespace is a dict or a class, not %s", Py_TYPE(space)->tp_name);
        return -1;
    }
    row->space = Py_NewRef(space);
    row->name = Py_NewRef(name);
    row->value = Py_XNewRef(value);
    if (value && PyFunction_Check(value)) {
        row->code = Py_NewRef(PyFunction_GET_CODE(value));
        row->defaults = Py_XNewRef(PyFunction_GET_DEFAULTS(value));
    }
    return 0;
}

static void release(PyObject *self) {
    Bindings *bindings = (Bindings *)self;
    for (Py_ssize_t i = 0; i < bindings->n; i++) {
        Binding *row = &bindings->rows[i];
        Py_XDECREF(row->space);
        Py_XDECREF(row->name);
        Py_XDECREF(row->value);
        Py_XDECREF(row->code);
        Py_XDECREF(row->defaults);
    }
    PyMem_Free(bindings->rows);
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *create(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"rows", NULL};
    PyObject *rows;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!", names, &PyList_Type, &rows)) return NULL;
    Bindings *self = (Bindings *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    Py_ssize_t n = PyList_GET_SIZE(rows);
    self->rows = PyMem_Calloc((size_t)n, sizeof *self->rows);
    if (n && !self->rows) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    for (; self->n < n && self->n < PyList_GET_SIZE(rows); self->n++) {
        if (fill(&self->rows[self->n], PyList_GET_ITEM(rows, self->n)) != 0) {
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

static PyObject *changed(PyObject *self, PyObject *unused) {
    (void)unused;
    const Bindings *bindings = (const Bindings *)self;
    PyObject *found = PyList_New(0);
    for (Py_ssize_t i = 0; found && i < bindings->n; i++) {
        if (is_same(&bindings->rows[i])) continue;
        PyObject *index = PyLong_FromSsize_t(i);
        if (!index || PyList_Append(found, index) != 0) Py_CLEAR(found);
        Py_XDECREF(index);
    }
    return found;
}

static PyMethodDef methods[] = {
    {"changed", changed, METH_NOARGS, "changed() -> list of the indices of rows that are bound to something else."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc,
     "Bindings(rows): rows are (namespace, name, value), or (namespace, name) for a name that must not be\n"
     "bound to something callable. A namespace is a dict or a class."},
    {Py_tp_new, create},
    {Py_tp_dealloc, release},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "_probe.Bindings",
    .basicsize = sizeof(Bindings),
    /* Not known to the collector: it would walk, and in a child copy, all that it holds. It lives to the end. */
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int bindings_ready(PyObject *module) {
    PyObject *type = PyType_FromSpec(&spec);
    int status = type ? PyModule_AddObjectRef(module, "Bindings", type) : -1;
    Py_XDECREF(type);
    return status;
}
