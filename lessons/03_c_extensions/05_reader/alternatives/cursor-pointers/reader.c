/* Two pointers instead of an offset, set by tp_new as well; the shard lies in an allocation of its own. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    PyObject_HEAD;
    Py_buffer *shard; /* NULL, or from PyMem_New */
    PyObject *transform;
    const char *next;
    const char *end;
} Reader;

static PyObject *reader_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    Reader *self = (Reader *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->shard = NULL;
        self->transform = NULL;
        self->next = self->end = NULL;
    }
    return (PyObject *)self;
}

static void give_back(Py_buffer *shard) {
    if (shard != NULL) {
        PyBuffer_Release(shard);
        PyMem_Free(shard);
    }
}

/* What was there before goes last: to drop it may run any code, which finds this reader complete. */
static void replace(Reader *self, Py_buffer *shard, PyObject *transform) {
    Py_buffer *old_shard = self->shard;
    PyObject *old_transform = self->transform;
    self->shard = shard;
    self->transform = transform;
    self->next = shard != NULL ? shard->buf : NULL;
    self->end = shard != NULL ? self->next + shard->len : NULL;
    give_back(old_shard);
    Py_XDECREF(old_transform);
}

static int reader_init(Reader *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"shard", "transform", NULL};
    PyObject *source = NULL, *transform = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O", names, &source, &transform)) {
        return -1;
    }
    if (transform == Py_None) {
        transform = NULL;
    }
    Py_buffer *shard = PyMem_New(Py_buffer, 1);
    if (shard == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyObject_GetBuffer(source, shard, PyBUF_SIMPLE) < 0) {
        PyMem_Free(shard);
        return -1;
    }
    if (transform != NULL && !PyCallable_Check(transform)) {
        PyErr_SetString(PyExc_TypeError, "transform can't be called");
        give_back(shard);
        return -1;
    }
    replace(self, shard, Py_XNewRef(transform));
    return 0;
}

static int reader_traverse(Reader *self, visitproc visit, void *arg) {
    Py_VISIT(self->transform);
    if (self->shard != NULL) {
        Py_VISIT(self->shard->obj);
    }
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int reader_clear(Reader *self) {
    replace(self, NULL, NULL);
    return 0;
}

static void reader_finalize(Reader *self) {
    PyObject_GC_UnTrack(self);
    PyTypeObject *type = Py_TYPE(self);
    replace(self, NULL, NULL);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *reader_next(Reader *self) {
    if (self->next == self->end) {
        return NULL;
    }
    uint32_t length;
    size_t left = (size_t)(self->end - self->next);
    if (left < sizeof length) {
        return PyErr_Format(PyExc_ValueError, "%zu bytes are left, too few for a length", left);
    }
    memcpy(&length, self->next, sizeof length);
    left -= sizeof length;
    if (length > left) {
        return PyErr_Format(PyExc_ValueError, "a record of %lu bytes, but %zu are left", (unsigned long)length, left);
    }
    const char *begin = self->next + sizeof length;
    self->next = begin + length;
    if (self->transform == NULL) {
        return PyBytes_FromStringAndSize(begin, length);
    }
    PyObject *transform = Py_NewRef(self->transform);
    PyObject *result = PyObject_CallFunction(transform, "y#", begin, (Py_ssize_t)length);
    Py_DECREF(transform);
    return result;
}

static PyType_Slot slots[] = {
    {Py_tp_new, reader_new},          {Py_tp_init, reader_init},
    {Py_tp_dealloc, reader_finalize}, {Py_tp_traverse, reader_traverse},
    {Py_tp_clear, reader_clear},      {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, reader_next},    {0, NULL},
};

static PyType_Spec spec = {
    .name = "reader.Reader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

static int execute(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    if (type == NULL) return -1;
    if (PyModule_AddObject(module, "Reader", type) == 0) return 0; /* has stolen the type */
    Py_DECREF(type);
    return -1;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "reader", .m_slots = module_slots};

PyMODINIT_FUNC PyInit_reader(void) {
    return PyModuleDef_Init(&module);
}
