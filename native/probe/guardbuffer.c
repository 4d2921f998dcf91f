#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include "guardbuffer.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>
#include <sys/mman.h>

#define MAX_DIMENSIONS 8
#define PAGE 4096
#define FILL 0xa5

typedef struct {
    PyObject_HEAD char *map;
    size_t map_bytes;
    char *data;      /* of the element with index 0 in every dimension */
    char *memory;    /* where the elements begin */
    Py_ssize_t span; /* bytes from the first to the last element */
    Py_buffer view;  /* what is handed out; obj and internal stay empty */
    Py_ssize_t shape[MAX_DIMENSIONS], strides[MAX_DIMENSIONS];
    char format[16];
    long gets, releases;
    int flags;
    char readonly;
    Py_ssize_t address, wall_low, wall_high;
} GuardBuffer;

static int refuse(Py_buffer *out, const char *why) {
    out->obj = NULL;
    PyErr_SetString(PyExc_BufferError, why);
    return -1;
}

static int get_buffer(PyObject *object, Py_buffer *out, int flags) {
    GuardBuffer *self = (GuardBuffer *)object;
    Py_buffer whole = self->view;
    self->flags = flags;
    if ((flags & PyBUF_WRITABLE) && self->readonly) return refuse(out, "this buffer is read-only");
    int c_order = PyBuffer_IsContiguous(&whole, 'C'), f_order = PyBuffer_IsContiguous(&whole, 'F');
    if ((flags & PyBUF_STRIDES) != PyBUF_STRIDES && !c_order)
        return refuse(out, "not contiguous: ask for PyBUF_STRIDES");
    if ((flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS && !c_order) return refuse(out, "not C-contiguous");
    if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && !f_order) return refuse(out, "not F-contiguous");
    if ((flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS && !c_order && !f_order)
        return refuse(out, "not contiguous");
    *out = whole;
    out->obj = Py_NewRef(object);
    out->format = (flags & PyBUF_FORMAT) ? self->format : NULL;
    out->shape = (flags & PyBUF_ND) ? self->shape : NULL;
    out->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? self->strides : NULL;
    self->gets++;
    return 0;
}

static void release_buffer(PyObject *object, Py_buffer *view) {
    (void)view;
    ((GuardBuffer *)object)->releases++;
}

static int read_numbers(PyObject *from, Py_ssize_t *into) {
    PyObject *items = PySequence_Fast(from, "shape and strides are sequences of integers");
    if (!items) return -1;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(items);
    if (n > MAX_DIMENSIONS) PyErr_SetString(PyExc_ValueError, "at most 8 dimensions");
    for (Py_ssize_t i = 0; i < n && !PyErr_Occurred(); i++)
        into[i] = PyNumber_AsSsize_t(PySequence_Fast_GET_ITEM(items, i), PyExc_OverflowError);
    Py_DECREF(items);
    return PyErr_Occurred() ? -1 : (int)n;
}

/* Bytes below and above the first element that the strides reach; (0, 0) for an empty array. */
static void reach(const GuardBuffer *self, Py_ssize_t *below, Py_ssize_t *above) {
    *below = 0;
    *above = self->view.itemsize;
    for (int i = 0; i < self->view.ndim; i++) {
        if (self->shape[i] == 0) {
            *below = *above = 0;
            return;
        }
        Py_ssize_t far = (self->shape[i] - 1) * self->strides[i];
        if (far < 0)
            *below -= far;
        else
            *above += far;
    }
}

static int map_memory(GuardBuffer *self, int before) {
    Py_ssize_t below, above;
    reach(self, &below, &above);
    self->span = below + above;
    size_t pages = ((size_t)self->span + PAGE - 1) / PAGE * PAGE;
    self->map_bytes = pages + 2 * PAGE;
    void *memory = mmap(NULL, self->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return PyErr_NoMemory(), -1;
    self->map = memory;
    memset(self->map + PAGE, FILL, pages);
    mprotect(self->map, PAGE, PROT_NONE);
    mprotect(self->map + PAGE + pages, PAGE, PROT_NONE);
    self->memory = before ? self->map + PAGE : self->map + PAGE + pages - self->span;
    self->data = self->memory + below;
    self->address = (Py_ssize_t)(intptr_t)self->data;
    self->wall_low = (Py_ssize_t)(intptr_t)(before ? self->map : self->map + PAGE + pages);
    self->wall_high = self->wall_low + PAGE;
    return 0;
}

static void fill_view(GuardBuffer *self) {
    Py_ssize_t items = 1;
    for (int i = 0; i < self->view.ndim; i++) items *= self->shape[i];
    self->view.buf = self->data;
    self->view.len = items * self->view.itemsize;
    self->view.readonly = self->readonly;
    self->view.format = self->format;
    self->view.shape = self->shape;
    self->view.strides = self->strides;
}

static int set_up(GuardBuffer *self, PyObject *shape, PyObject *strides, const char *side) {
    if ((self->view.ndim = read_numbers(shape, self->shape)) < 0) return -1;
    if (strides != Py_None) {
        int n = read_numbers(strides, self->strides);
        if (n < 0) return -1;
        if (n != self->view.ndim) return PyErr_SetString(PyExc_ValueError, "as many strides as dimensions"), -1;
    } else {
        Py_ssize_t step = self->view.itemsize;
        for (int i = self->view.ndim - 1; i >= 0; step *= self->shape[i--]) self->strides[i] = step;
    }
    if (map_memory(self, strcmp(side, "before") == 0) != 0) return -1;
    fill_view(self);
    return 0;
}

static PyObject *guardbuffer_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"format", "itemsize", "shape", "strides", "readonly", "side", NULL};
    const char *format, *side = "after";
    Py_ssize_t itemsize;
    PyObject *shape, *strides = Py_None;
    int readonly = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "snO|Ops", names, &format, &itemsize, &shape, &strides, &readonly,
                                     &side))
        return NULL;
    if (itemsize < 1 || strlen(format) >= sizeof((GuardBuffer *)0)->format)
        return PyErr_Format(PyExc_ValueError, "no such item: format %s, %zd bytes", format, itemsize);
    GuardBuffer *self = (GuardBuffer *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->view.itemsize = itemsize;
    self->readonly = (char)readonly;
    strcpy(self->format, format);
    if (set_up(self, shape, strides, side) != 0) Py_CLEAR(self);
    return (PyObject *)self;
}

static void guardbuffer_dealloc(PyObject *object) {
    GuardBuffer *self = (GuardBuffer *)object;
    if (self->map) munmap(self->map, self->map_bytes);
    Py_TYPE(object)->tp_free(object);
}

static PyObject *guardbuffer_fill(PyObject *object, PyObject *bytes) {
    GuardBuffer *self = (GuardBuffer *)object;
    Py_buffer from;
    if (PyObject_GetBuffer(bytes, &from, PyBUF_SIMPLE) != 0) return NULL;
    Py_ssize_t n = from.len;
    if (n == self->span) memcpy(self->memory, from.buf, (size_t)n);
    PyBuffer_Release(&from);
    if (n != self->span) return PyErr_Format(PyExc_ValueError, "it spans %zd bytes, not %zd", self->span, n);
    Py_RETURN_NONE;
}

static PyMethodDef guardbuffer_methods[] = {
    {"fill", guardbuffer_fill, METH_O, "fill(bytes): set all memory from the first to the last element."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef guardbuffer_members[] = {
    {"gets", T_LONG, offsetof(GuardBuffer, gets), READONLY, "buffers handed out"},
    {"releases", T_LONG, offsetof(GuardBuffer, releases), READONLY, "buffers given back"},
    {"flags", T_INT, offsetof(GuardBuffer, flags), READONLY, "flags of the last request"},
    {"address", T_PYSSIZET, offsetof(GuardBuffer, address), READONLY, "of the element with index 0"},
    {"span", T_PYSSIZET, offsetof(GuardBuffer, span), READONLY, "bytes from the first to the last element"},
    {"wall_low", T_PYSSIZET, offsetof(GuardBuffer, wall_low), READONLY, "start of the protected page"},
    {"wall_high", T_PYSSIZET, offsetof(GuardBuffer, wall_high), READONLY, "end of the protected page"},
    {NULL, 0, 0, 0, NULL},
};

static PyBufferProcs guardbuffer_procs = {get_buffer, release_buffer};

PyTypeObject GuardBufferType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_probe.GuardBuffer",
    .tp_basicsize = sizeof(GuardBuffer),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = guardbuffer_new,
    .tp_dealloc = guardbuffer_dealloc,
    .tp_as_buffer = &guardbuffer_procs,
    .tp_methods = guardbuffer_methods,
    .tp_members = guardbuffer_members,
};

int guardbuffer_ready(PyObject *module) {
    return PyModule_AddType(module, &GuardBufferType);
}
