/* reader: an iterator over the records of a shard, as a type of its own that the garbage collector understands. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* An instance. tp_alloc fills it with zeros, so a field that was never set is NULL or 0. */
typedef struct {
    PyObject_HEAD
    Py_buffer shard;     /* shard.obj is the object that we have borrowed the memory from, NULL when there is none */
    PyObject *transform; /* called with each record, or NULL */
    Py_ssize_t at;       /* where the next record begins */
} Reader;

/* Give back everything this reader holds, and be empty then. Called by the collector and by dealloc, also twice. */
static int
reader_clear(Reader *self)
{
    // @gap
    PyBuffer_Release(&self->shard); /* does nothing when there is none, and sets shard.obj to NULL */
    Py_CLEAR(self->transform);
    return 0;
    //| /* TODO */
    //| return 0;
    // @end
}

/* Show the collector every object that this reader holds a reference to, its type included. */
static int
reader_traverse(Reader *self, visitproc visit, void *arg)
{
    // @gap
    Py_VISIT(Py_TYPE(self)); /* each instance of a heap type owns a reference to it; visited since Python 3.9 */
    Py_VISIT(self->shard.obj);
    Py_VISIT(self->transform);
    return 0;
    //| /* TODO: Py_VISIT what you hold */
    //| (void)visit, (void)arg;
    //| return 0;
    // @end
}

/* The last reference has gone. */
static void
reader_dealloc(Reader *self)
{
    // @gap
    PyTypeObject *type = Py_TYPE(self); /* a subclass, perhaps */
    PyObject_GC_UnTrack(self);          /* first: what we drop below may run the collector */
    reader_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
    //| /* TODO: what must happen before and after the memory is freed? */
    //| PyObject_GC_UnTrack(self);
    //| Py_TYPE(self)->tp_free(self);
    // @end
}

/* Reader(shard, transform=None). May be called again on a reader in use. */
static int
reader_init(Reader *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"shard", "transform", NULL};
    PyObject *source, *transform = Py_None; /* borrowed from the arguments */
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:Reader", names, &source, &transform)) {
        return -1;
    }
    // @gap
    if (transform != Py_None && !PyCallable_Check(transform)) {
        PyErr_SetString(PyExc_TypeError, "transform must be callable");
        return -1;
    }
    Py_buffer shard;
    if (PyObject_GetBuffer(source, &shard, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    Py_buffer old = self->shard; /* dropped last: a __del__ may look at this reader, or call its __init__ */
    self->shard = shard;
    self->at = 0;
    Py_XSETREF(self->transform, transform == Py_None ? NULL : Py_NewRef(transform));
    PyBuffer_Release(&old);
    return 0;
    //| /* TODO: pin the shard, take a reference to transform; mind what an earlier call has left in self. */
    //| (void)self;
    //| return 0;
    // @end
}

/* The next record, new reference; NULL at the end (without an exception) and on failure (with one). */
static PyObject *
reader_next(Reader *self)
{
    // @gap
    Py_ssize_t left = self->shard.obj == NULL ? 0 : self->shard.len - self->at;
    if (left == 0) {
        return NULL;
    }
    const char *head = (const char *)self->shard.buf + self->at;
    uint32_t length = 0;
    if (left >= 4) {
        memcpy(&length, head, 4);
    }
    if (left < 4 || left - 4 < (Py_ssize_t)length) {
        PyErr_Format(PyExc_ValueError, "the record at byte %zd is cut off", self->at);
        return NULL;
    }
    PyObject *record = PyBytes_FromStringAndSize(head + 4, length);
    if (record == NULL) {
        return NULL;
    }
    self->at += 4 + (Py_ssize_t)length;
    if (self->transform == NULL) {
        return record;
    }
    PyObject *transform = Py_NewRef(self->transform); /* it may call __init__ of this reader */
    PyObject *result = PyObject_CallOneArg(transform, record);
    Py_DECREF(transform);
    Py_DECREF(record);
    return result;
    //| /* TODO */
    //| (void)self;
    //| return NULL;
    // @end
}

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "Reader(shard, transform=None): iterates over the records of a shard."},
    {Py_tp_init, reader_init},
    {Py_tp_dealloc, reader_dealloc},
    {Py_tp_traverse, reader_traverse},
    {Py_tp_clear, reader_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, reader_next},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "reader.Reader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = reader_slots,
};

static int
fill_module(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &reader_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int status = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return status;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "reader", .m_doc = "Shards of records.", .m_size = 0, .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_reader(void)
{
    return PyModuleDef_Init(&module);
}
