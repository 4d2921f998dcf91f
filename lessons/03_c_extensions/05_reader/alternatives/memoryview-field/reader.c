/* The shard is held by a memoryview: one more object, and every field is an object that Py_VISIT and Py_CLEAR know. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

typedef struct {
    PyObject_HEAD;
    PyObject *memory;
    PyObject *function;
    Py_ssize_t position;
} Reader;

static int reader_traverse(Reader *self, visitproc visit, void *arg) {
    Py_VISIT(self->memory);
    Py_VISIT(self->function);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int reader_clear(Reader *self) {
    Py_CLEAR(self->memory);
    Py_CLEAR(self->function);
    return 0;
}

static void reader_dealloc(Reader *self) {
    PyObject *type = (PyObject *)Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)reader_clear(self);
    Py_TYPE(self)->tp_free(self);
    Py_DECREF(type);
}

static int reader_init(Reader *self, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"shard", "transform", NULL};
    PyObject *shard, *function = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", keywords, &shard, &function)) {
        return -1;
    }
    if (function == Py_None) {
        function = NULL;
    }
    if (function != NULL && !PyCallable_Check(function)) {
        PyErr_SetString(PyExc_TypeError, "a transform is called with each record");
        return -1;
    }
    PyObject *memory = PyMemoryView_FromObject(shard);
    if (memory == NULL) {
        return -1;
    }
    if (!PyBuffer_IsContiguous(PyMemoryView_GET_BUFFER(memory), 'C')) {
        Py_DECREF(memory);
        PyErr_SetString(PyExc_BufferError, "a shard is one block of memory");
        return -1;
    }
    Py_XINCREF(function);
    self->position = 0;
    Py_XSETREF(self->memory, memory);
    Py_XSETREF(self->function, function);
    return 0;
}

/* The record at the position, which moves on. NULL without an exception at the end. */
static PyObject *next_record(Reader *self) {
    if (self->memory == NULL) {
        return NULL;
    }
    const Py_buffer *buffer = PyMemoryView_GET_BUFFER(self->memory);
    const uint8_t *at = (const uint8_t *)buffer->buf + self->position;
    int64_t left = buffer->len - self->position;
    if (left == 0) {
        return NULL;
    }
    int64_t length = left < 4 ? left : (int64_t)at[0] + 256 * (at[1] + 256 * (at[2] + 256 * (int64_t)at[3]));
    if (length > left - 4) {
        PyErr_SetString(PyExc_ValueError, "the shard ends within a record");
        return NULL;
    }
    PyObject *record = PyBytes_FromStringAndSize((const char *)at + 4, length);
    self->position += 4 + length;
    return record;
}

static PyObject *reader_next(Reader *self) {
    PyObject *record = next_record(self);
    PyObject *function = self->function;
    if (record != NULL && function != NULL) {
        Py_INCREF(function);
        Py_SETREF(record, PyObject_Vectorcall(function, &record, 1, NULL));
        Py_DECREF(function);
    }
    return record;
}

static PyType_Slot slots[] = {
    {Py_tp_init, reader_init},          {Py_tp_dealloc, reader_dealloc}, {Py_tp_traverse, reader_traverse},
    {Py_tp_clear, reader_clear},        {Py_tp_iter, PyObject_SelfIter}, {Py_tp_iternext, reader_next},
    {Py_tp_alloc, PyType_GenericAlloc}, {Py_tp_new, PyType_GenericNew},  {0, NULL},
};

static PyType_Spec spec = {
    .name = "reader.Reader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

static int add_type(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int status = PyModule_AddObjectRef(module, "Reader", type); /* fails when it is given NULL */
    Py_XDECREF(type);
    return status;
}

static PyModuleDef_Slot steps[] = {{Py_mod_exec, add_type}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "reader", .m_slots = steps};

PyMODINIT_FUNC PyInit_reader(void) {
    return PyModuleDef_Init(&module);
}
