#define PY_SSIZE_T_CLEAN
#include "heap.h"

#include <string.h>

#include "table.h"

#define MAX_HIDDEN (1 << 16)

static Table wanted; /* object -> index into counts */
static Py_ssize_t *numbers;
static Table seen; /* containers that the collector does not track (dicts and tuples of atoms) */
static PyObject *hidden[MAX_HIDDEN];
static int n_hidden;

static int visit(PyObject *object, void *unused) {
    int32_t *index = table_find(&wanted, object);
    if (index) numbers[*index]++;
    if (object && n_hidden < MAX_HIDDEN && PyObject_IS_GC(object) && !PyObject_GC_IsTracked(object) &&
        !table_find(&seen, object) && table_put(&seen, object, 1) == 0)
        hidden[n_hidden++] = object;
    return (void)unused, 0;
}

static void traverse(PyObject *object) {
    traverseproc how = Py_TYPE(object)->tp_traverse;
    if (how) how(object, visit, NULL);
}

static PyObject *all_tracked(void) {
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *none = gc ? PyObject_CallMethod(gc, "unfreeze", NULL) : NULL;
    PyObject *all = none ? PyObject_CallMethod(gc, "get_objects", NULL) : NULL;
    Py_XDECREF(none);
    Py_XDECREF(gc);
    return all;
}

/* What the threads hold besides their frames: profilers, contexts. */
static void visit_threads(void) {
    for (PyThreadState *t = PyInterpreterState_ThreadHead(PyInterpreterState_Get()); t; t = PyThreadState_Next(t)) {
        PyObject *held[] = {t->c_profileobj, t->c_traceobj,          t->context,
                            t->dict,         t->async_gen_firstiter, t->async_gen_finalizer};
        for (size_t i = 0; i < Py_ARRAY_LENGTH(held); i++)
            if (held[i]) visit(held[i], NULL);
    }
}

int heap_count(PyObject *const *objects, Py_ssize_t n, Py_ssize_t *counts) {
    if (n == 0) return 0;
    PyObject *all = all_tracked();
    if (!all) return -1;
    table_clear(&wanted);
    table_clear(&seen);
    n_hidden = 0;
    numbers = counts;
    memset(counts, 0, sizeof *counts * (size_t)n);
    for (Py_ssize_t i = 0; i < n; i++) table_put(&wanted, objects[i], (int32_t)i);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(all); i++) traverse(PyList_GET_ITEM(all, i));
    visit_threads();
    /* The list grows while it is walked: what is found there may hold more. */
    for (int i = 0; i < n_hidden; i++) traverse(hidden[i]);
    Py_DECREF(all);
    return 0;
}

PyObject *heap_refcounts(PyObject *module, PyObject *args) {
    PyObject *objects;
    Py_buffer out;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!w*", &PyList_Type, &objects, &out)) return NULL;
    Py_ssize_t n = Py_MIN(PyList_GET_SIZE(objects), out.len / (Py_ssize_t)sizeof(Py_ssize_t));
    Py_ssize_t *counts = out.buf;
    for (Py_ssize_t i = 0; i < n; i++) counts[i] = Py_REFCNT(PyList_GET_ITEM(objects, i));
    PyBuffer_Release(&out);
    return PyLong_FromSsize_t(n);
}
