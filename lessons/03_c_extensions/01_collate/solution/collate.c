/* collate: turn (id, score) pairs into batches of (ids, scores). The exercise is who owns what, and until when. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* One batch of the tuple `pairs`, from `start` up to `stop`: the tuple (list of ids, list of floats).
 * Returns a new reference, or NULL with an exception set. */
static PyObject *
make_batch(PyObject *pairs, Py_ssize_t start, Py_ssize_t stop)
{
    // @gap
    PyObject *batch = NULL;
    PyObject *ids = PyList_New(stop - start);    /* new: ours */
    PyObject *scores = PyList_New(stop - start); /* new: ours */
    if (ids == NULL || scores == NULL) {
        goto done;
    }
    for (Py_ssize_t i = start; i < stop; i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i); /* borrowed: the tuple `pairs` keeps it alive */
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
            PyErr_Format(PyExc_TypeError, "item %zd is not an (id, score) tuple", i);
            goto done;
        }
        PyObject *score = PyNumber_Float(PyTuple_GET_ITEM(pair, 1)); /* new: may run the score's own __float__ */
        if (score == NULL) {
            goto done;
        }
        PyList_SET_ITEM(scores, i - start, score); /* steals: no longer ours */
        PyObject *id = PyTuple_GET_ITEM(pair, 0);  /* borrowed */
        PyList_SET_ITEM(ids, i - start, Py_NewRef(id)); /* steals, so it is given a reference of its own */
    }
    batch = PyTuple_Pack(2, ids, scores); /* new; takes references of its own to both lists */
done:
    Py_XDECREF(ids); /* one way out: ours are given back, whether it worked or not */
    Py_XDECREF(scores);
    return batch;
    //| /* TODO: build the two lists, put them into a tuple, give back everything that is still yours. */
    //| return PyTuple_Pack(2, Py_None, Py_None);
    // @end
}

/* collate(pairs, size): a list of batches. `pairs` is a list or tuple of (id, score) tuples. */
static PyObject *
collate(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError, "collate() takes 2 arguments, not %zd", nargs);
        return NULL;
    }
    Py_ssize_t size = PyNumber_AsSsize_t(args[1], PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (size < 1) {
        PyErr_SetString(PyExc_ValueError, "size must be at least 1");
        return NULL;
    }
    // @gap
    /* A list can be changed by any Python code that we run (a score's __float__); a tuple can't. Of a tuple this
     * is only a new reference, of a list a copy that holds one reference to every pair. */
    PyObject *pairs = PySequence_Tuple(args[0]);
    if (pairs == NULL) {
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(pairs);
    PyObject *batches = PyList_New(0);
    for (Py_ssize_t start = 0, stop; batches != NULL && start < count; start = stop) {
        stop = count - start > size ? start + size : count;
        PyObject *batch = make_batch(pairs, start, stop);
        if (batch == NULL || PyList_Append(batches, batch) < 0) {
            Py_CLEAR(batches); /* failed: the batches made so far go as well, and NULL is the result */
        }
        Py_XDECREF(batch); /* PyList_Append took a reference of its own */
    }
    Py_DECREF(pairs);
    return batches;
    //| /* TODO: take hold of the pairs so that nobody can free them under you, then append batch after batch. */
    //| (void)make_batch;
    //| return PyList_New(0);
    // @end
}

static PyMethodDef methods[] = {
    {"collate", (PyCFunction)(void (*)(void))collate, METH_FASTCALL, "collate(pairs, size): batches of (ids, scores)."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "collate", .m_doc = "Batches of (id, score) pairs.", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC
PyInit_collate(void)
{
    return PyModuleDef_Init(&module);
}
