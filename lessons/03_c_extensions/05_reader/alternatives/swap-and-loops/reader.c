/* A second __init__ takes the new, stores it, and drops the old last; visiting and clearing are loops over the fields. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct {
    PyObject_HEAD;
    Py_buffer shard;
    PyObject *transform; /* None when there is none */
    Py_ssize_t offset;
} Reader;

static int Reader_traverse(PyObject *op, visitproc visit, void *arg) {
    Reader *self = (Reader *)op;
    PyObject *held[] = {(PyObject *)Py_TYPE(op), self->transform, self->shard.obj};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(held); i++) {
        int stop = held[i] == NULL ? 0 : visit(held[i], arg);
        if (stop) {
            return stop;
        }
    }
    return 0;
}

static int Reader_clear(PyObject *op) {
    Reader *self = (Reader *)op;
    PyObject *transform = self->transform;
    Py_buffer shard = self->shard;

    self->transform = NULL;
    memset(&self->shard, 0, sizeof(self->shard));
    Py_XDECREF(transform);
    if (shard.obj != NULL) {
        PyBuffer_Release(&shard);
    }
    return 0;
}

static void Reader_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    if (PyObject_GC_IsTracked(op)) {
        PyObject_GC_UnTrack(op);
    }
    Reader_clear(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(op);
    Py_DECREF(type);
}

static int Reader_init(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *kwlist[] = {"shard", "transform", NULL};
    Reader *self = (Reader *)op;
    Py_buffer fresh;
    PyObject *transform = Py_None;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*|O:Reader", kwlist, &fresh, &transform)) {
        return -1;
    }
    if (!(transform == Py_None || PyCallable_Check(transform))) {
        PyBuffer_Release(&fresh);
        PyErr_Format(PyExc_TypeError, "'%s' is not callable", Py_TYPE(transform)->tp_name);
        return -1;
    }
    Py_buffer stale = self->shard;
    self->shard = fresh;
    self->offset = 0;
    Py_INCREF(transform);
    Py_XSETREF(self->transform, transform);
    PyBuffer_Release(&stale);
    return 0;
}

static PyObject *Reader_take(Reader *self) {
    const unsigned char *data = self->shard.buf;
    Py_ssize_t rest = self->shard.len - self->offset;
    if (rest <= 0) {
        return NULL;
    }
    data += self->offset;
    if (rest >= 4) {
        size_t length = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 | (size_t)data[3] << 24;
        if (length <= (size_t)rest - 4) {
            PyObject *record = PyBytes_FromStringAndSize((const char *)data + 4, (Py_ssize_t)length);
            if (record != NULL) {
                self->offset += (Py_ssize_t)length + 4;
            }
            return record;
        }
    }
    PyErr_SetString(PyExc_ValueError, "the last record is incomplete");
    return NULL;
}

static PyObject *Reader_iternext(PyObject *op) {
    Reader *self = (Reader *)op;
    PyObject *record = Reader_take(self);
    if (record == NULL || self->transform == Py_None) {
        return record;
    }
    PyObject *transform = self->transform;
    Py_INCREF(transform);
    PyObject *result = PyObject_CallFunctionObjArgs(transform, record, NULL);
    Py_DECREF(record);
    Py_DECREF(transform);
    return result;
}

static PyObject *Reader_iter(PyObject *op) {
    Py_INCREF(op);
    return op;
}

static PyType_Slot Reader_slots[] = {
    {Py_tp_doc, "Records of a shard, one by one."},
    {Py_tp_init, Reader_init},
    {Py_tp_iter, Reader_iter},
    {Py_tp_iternext, Reader_iternext},
    {Py_tp_traverse, Reader_traverse},
    {Py_tp_clear, Reader_clear},
    {Py_tp_dealloc, Reader_dealloc},
    {0, NULL},
};

static PyType_Spec Reader_spec = {
    "reader.Reader", sizeof(Reader), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, Reader_slots,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "reader", "Shards of records.", -1, NULL};

PyMODINIT_FUNC PyInit_reader(void) {
    PyObject *self = PyModule_Create(&module);
    if (self == NULL) {
        return NULL;
    }
    PyObject *type = PyType_FromSpec(&Reader_spec);
    if (type == NULL || PyModule_AddObjectRef(self, "Reader", type) < 0) {
        Py_XDECREF(type);
        Py_DECREF(self);
        return NULL;
    }
    Py_DECREF(type);
    return self;
}
