/* PySequence_Fast and the number of batches known beforehand; whoever changes the list meanwhile gets a RuntimeError. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static int split_pair(PyObject *pair, PyObject **id, PyObject **score) {
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
        PyErr_Format(PyExc_TypeError, "want an (id, score) tuple, not %R", pair);
        return 0;
    }
    *score = PyNumber_Float(PyTuple_GetItem(pair, 1));
    if (*score == NULL) {
        return 0;
    }
    *id = PyTuple_GetItem(pair, 0);
    Py_INCREF(*id);
    return 1;
}

static PyObject *build(PyObject *fast, Py_ssize_t first, Py_ssize_t count) {
    PyObject *ids = NULL, *scores = NULL, *batch = NULL;

    if (!(ids = PyList_New(count))) goto fail;
    if (!(scores = PyList_New(count))) goto fail;
    for (Py_ssize_t k = 0; k < count; ++k) {
        PyObject *id, *score, *pair;
        if (first + k >= PySequence_Fast_GET_SIZE(fast)) {
            PyErr_SetString(PyExc_RuntimeError, "pairs changed while they were collated");
            goto fail;
        }
        pair = PySequence_Fast_GET_ITEM(fast, first + k);
        Py_INCREF(pair);
        int good = split_pair(pair, &id, &score);
        Py_DECREF(pair);
        if (!good) goto fail;
        PyList_SetItem(ids, k, id);
        PyList_SetItem(scores, k, score);
    }
    if (!(batch = PyTuple_New(2))) goto fail;
    PyTuple_SET_ITEM(batch, 0, ids);
    PyTuple_SET_ITEM(batch, 1, scores);
    return batch;

fail:
    Py_XDECREF(scores);
    Py_XDECREF(ids);
    return NULL;
}

static PyObject *collate(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "collate(pairs, size)");
        return NULL;
    }
    Py_ssize_t size = PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred()) return NULL;
    if (size < 1) {
        PyErr_SetString(PyExc_ValueError, "size must be positive");
        return NULL;
    }

    PyObject *fast = PySequence_Fast(args[0], "pairs must be a list or a tuple");
    if (fast == NULL) return NULL;
    Py_ssize_t total = PySequence_Fast_GET_SIZE(fast);
    Py_ssize_t number = total / size + (total % size ? 1 : 0);
    PyObject *batches = PyList_New(number);
    for (Py_ssize_t b = 0; batches && b < number; ++b) {
        Py_ssize_t first = b * size;
        PyObject *batch = build(fast, first, Py_MIN(size, total - first));
        if (batch)
            PyList_SET_ITEM(batches, b, batch);
        else
            Py_CLEAR(batches);
    }
    Py_DECREF(fast);
    return batches;
}

static PyMethodDef methods[] = {
    {"collate", (PyCFunction)(void (*)(void))collate, METH_FASTCALL, "Batches of ids and scores."},
    {0},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static PyModuleDef collate_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "collate",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit_collate(void) {
    return PyModuleDef_Init(&collate_module);
}
