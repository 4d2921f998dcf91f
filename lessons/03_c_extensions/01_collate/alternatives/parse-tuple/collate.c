/* Iterates over whatever is given, PyArg_ParseTuple takes each pair apart, and lists grow by PyList_Append. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* 1 when a pair was added to both lists, 0 at the end of the pairs, -1 with an exception set. */
static int add_pair(PyObject *iterator, PyObject *ids, PyObject *scores) {
    PyObject *pair = PyIter_Next(iterator);
    if (!pair) {
        return PyErr_Occurred() ? -1 : 0;
    }

    int status = -1;
    PyObject *id;
    double value;
    if (!PyTuple_Check(pair)) {
        PyErr_SetString(PyExc_TypeError, "every item must be a tuple");
    } else if (PyArg_ParseTuple(pair, "Od;every item must be an (id, score) tuple", &id, &value)) {
        PyObject *score = PyFloat_FromDouble(value);
        if (score) {
            if (PyList_Append(ids, id) == 0 && PyList_Append(scores, score) == 0) {
                status = 1;
            }
            Py_DECREF(score);
        }
    }
    Py_DECREF(pair); /* only now: id is borrowed from it */
    return status;
}

/* Appends one batch; 1 when it is full, 0 when the pairs have come to an end, -1 with an exception set. */
static int append_batch(PyObject *batches, PyObject *iterator, Py_ssize_t size) {
    PyObject *batch = Py_BuildValue("([][])");
    if (!batch) {
        return -1;
    }

    int status = 1;
    Py_ssize_t filled = 0;
    while (status == 1 && filled < size) {
        status = add_pair(iterator, PyTuple_GetItem(batch, 0), PyTuple_GetItem(batch, 1));
        filled += status == 1;
    }
    if (status >= 0 && filled > 0 && PyList_Append(batches, batch) < 0) {
        status = -1;
    }
    Py_DECREF(batch);
    return status;
}

static PyObject *py_collate(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *pairs;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "On:collate", &pairs, &size)) {
        return NULL;
    }
    if (size <= 0) {
        return PyErr_Format(PyExc_ValueError, "batches of %zd pairs?", size);
    }

    PyObject *iterator = PyObject_GetIter(pairs);
    if (!iterator) {
        return NULL;
    }
    PyObject *batches = PyList_New(0);
    if (!batches) {
        Py_DECREF(iterator);
        return NULL;
    }

    int status;
    do {
        status = append_batch(batches, iterator, size);
    } while (status == 1);
    Py_DECREF(iterator);
    if (status < 0) {
        Py_DECREF(batches);
        return NULL;
    }
    return batches;
}

static PyMethodDef functions[] = {
    {"collate", py_collate, METH_VARARGS, "collate(pairs, size)"},
    {NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "collate", NULL, -1, functions};

PyMODINIT_FUNC PyInit_collate(void) {
    return PyModule_Create(&definition);
}
