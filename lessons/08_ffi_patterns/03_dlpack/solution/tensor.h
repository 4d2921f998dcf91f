/* The type dl.Tensor: memory with a shape. Given. Who lends and borrows it is written in dl.c. */
#ifndef TENSOR_H
#define TENSOR_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "dlpack.h"

enum { MAX_DIMS = 16 };

/* A new one is filled with zeros; dl.shape and dl.strides point to `shape` and `strides` from the beginning. */
typedef struct {
    PyObject_HEAD DLTensor dl;
    int64_t shape[MAX_DIMS];
    int64_t strides[MAX_DIMS]; /* in elements, like all strides here */
    int readonly;
    Py_buffer buffer;               /* Tensor(source, ...): the source's memory. buffer.obj is NULL if there is none */
    DLManagedTensorVersioned *loan; /* from_dlpack(...): what was taken out of a capsule, or NULL */
    DLManagedTensor *legacy_loan;   /* the same for the old form; never both */
} Tensor;

/* Yours, in dl.c. */
static PyObject *lend(Tensor *tensor);
static PyObject *lend_legacy(Tensor *tensor);
static void give_back(Tensor *tensor);
static PyObject *tensor_norm(Tensor *self, PyObject *unused);

static const struct {
    const char *name;
    DLDataType dtype;
} DTYPES[] = {
    {"float32", {kDLFloat, 32, 1}},   {"float64", {kDLFloat, 64, 1}}, {"float16", {kDLFloat, 16, 1}},
    {"bfloat16", {kDLBfloat, 16, 1}}, {"int8", {kDLInt, 8, 1}},       {"int16", {kDLInt, 16, 1}},
    {"int32", {kDLInt, 32, 1}},       {"int64", {kDLInt, 64, 1}},     {"uint8", {kDLUInt, 8, 1}},
    {"bool", {kDLBool, 8, 1}},
};
enum { KNOWN_DTYPES = sizeof DTYPES / sizeof *DTYPES };

/* A tensor of nothing: a new reference, or NULL with an exception set. */
static Tensor *new_tensor(PyTypeObject *type) {
    Tensor *tensor = (Tensor *)type->tp_alloc(type, 0);
    if (tensor != NULL) {
        tensor->dl.shape = tensor->shape;
        tensor->dl.strides = tensor->strides;
        tensor->dl.device.device_type = kDLCPU;
    }
    return tensor;
}

static void tensor_dealloc(Tensor *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject *kind, *value, *trace; /* a deleter may run Python code, which must not meet an exception under way */
    PyErr_Fetch(&kind, &value, &trace);
    give_back(self);
    PyBuffer_Release(&self->buffer);
    PyErr_Restore(kind, value, trace);
    type->tp_free(self);
    Py_DECREF(type);
}

/* A tuple of up to MAX_DIMS integers; how many there are, or -1 with an exception set. */
static int read_sizes(PyObject *tuple, int64_t *to) {
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    if (count > MAX_DIMS) {
        PyErr_Format(PyExc_ValueError, "more than %d dimensions", MAX_DIMS);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        to[i] = PyLong_AsLongLong(PyTuple_GET_ITEM(tuple, i));
        if (to[i] == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    return (int)count;
}

/* Do all elements lie inside the buffer, and at multiples of their size? In 128 bits: no product overflows. */
static int fits(const Tensor *self, Py_ssize_t offset) {
    __int128 size = self->dl.dtype.bits / 8, low = offset, high = offset + size;
    for (int i = 0; i < self->dl.ndim; i++) {
        if (self->shape[i] < 0 || self->shape[i] >> 40 || self->strides[i] >> 40 != self->strides[i] >> 63) {
            return 0;
        }
        if (self->shape[i] == 0) {
            return 1;
        }
        __int128 reach = (__int128)(self->shape[i] - 1) * self->strides[i] * size;
        *(reach < 0 ? &low : &high) += reach;
    }
    return low >= 0 && high <= self->buffer.len && ((uintptr_t)self->buffer.buf + (size_t)offset) % (size_t)size == 0;
}

/* Tensor(source, dtype, shape, strides=None, byte_offset=0): a view of what a buffer holds. */
static PyObject *tensor_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"source", "dtype", "shape", "strides", "byte_offset", NULL};
    PyObject *source, *shape, *strides = Py_None;
    const char *dtype;
    Py_ssize_t offset = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OsO!|On:Tensor", names, &source, &dtype, &PyTuple_Type, &shape,
                                     &strides, &offset)) {
        return NULL;
    }
    Tensor *self = new_tensor(type);
    if (self == NULL) {
        return NULL;
    }
    for (int i = 0; i < KNOWN_DTYPES; i++) {
        if (strcmp(DTYPES[i].name, dtype) == 0) {
            self->dl.dtype = DTYPES[i].dtype;
        }
    }
    self->dl.ndim = read_sizes(shape, self->shape);
    if (self->dl.ndim < 0) {
        goto failed;
    }
    int64_t dense = 1;
    for (int i = self->dl.ndim - 1; i >= 0; i--) {
        self->strides[i] = dense;
        dense = (int64_t)((uint64_t)dense * (uint64_t)self->shape[i]);
    }
    if (PyTuple_Check(strides) && read_sizes(strides, self->strides) < 0) {
        goto failed;
    }
    if (PyObject_GetBuffer(source, &self->buffer, PyBUF_SIMPLE) < 0) {
        goto failed;
    }
    self->readonly = self->buffer.readonly;
    self->dl.data = self->buffer.buf;
    self->dl.byte_offset = (uint64_t)offset;
    if (self->dl.dtype.bits == 0 || (PyTuple_Check(strides) && PyTuple_GET_SIZE(strides) != self->dl.ndim) ||
        offset < 0 || !fits(self, offset)) {
        PyErr_SetString(PyExc_ValueError, "unknown dtype, or elements outside the source, or between two places");
        goto failed;
    }
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

/* Is `value` None, or does it name CPU memory? */
static int is_here(PyObject *value) {
    int kind, number;
    return value == Py_None ||
           (PyTuple_Check(value) && PyArg_ParseTuple(value, "ii", &kind, &number) && kind == kDLCPU);
}

/* __dlpack__(): what the borrower may ask for is settled here, the loan is made by you. */
static PyObject *tensor_dlpack(Tensor *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
    PyObject *stream = Py_None, *version = Py_None, *device = Py_None, *copy = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|$OOOO:__dlpack__", names, &stream, &version, &device, &copy)) {
        return NULL;
    }
    if (stream != Py_None || copy == Py_True || !is_here(device)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_BufferError,
                            "CPU memory has no stream, is lent without a copy, and stays where it is");
        }
        return NULL;
    }
    int major = 0, minor = 0;
    if (version != Py_None && (!PyTuple_Check(version) || !PyArg_ParseTuple(version, "ii", &major, &minor))) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "max_version is a tuple");
    }
    return major >= 1 ? lend(self) : lend_legacy(self);
}

static PyObject *tensor_device(Tensor *self, PyObject *unused) {
    return Py_BuildValue("(ii)", (int)self->dl.device.device_type, (int)self->dl.device.device_id);
}

static PyObject *sizes(const int64_t *values, int count) {
    PyObject *tuple = PyTuple_New(count);
    for (int i = 0; tuple != NULL && i < count; i++) {
        PyObject *number = PyLong_FromLongLong(values[i]);
        if (number == NULL) {
            Py_CLEAR(tuple);
        } else {
            PyTuple_SET_ITEM(tuple, i, number);
        }
    }
    return tuple;
}

static PyObject *get_shape(Tensor *self, void *unused) {
    return sizes(self->dl.shape, self->dl.ndim);
}

static PyObject *get_strides(Tensor *self, void *unused) {
    return sizes(self->dl.strides, self->dl.ndim);
}

static PyObject *get_readonly(Tensor *self, void *unused) {
    return PyBool_FromLong(self->readonly);
}

/* What a borrower says: `source.__dlpack__(max_version=(1, 0))`, or, to one that is older, `source.__dlpack__()`. */
static PyObject *ask(PyObject *source) {
    PyObject *method = PyObject_GetAttrString(source, "__dlpack__");
    PyObject *none = method ? PyTuple_New(0) : NULL;
    PyObject *keywords =
        none ? Py_BuildValue("{s(ii)}", "max_version", DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION) : NULL;
    PyObject *capsule = keywords ? PyObject_Call(method, none, keywords) : NULL;
    if (keywords != NULL && capsule == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        capsule = PyObject_CallNoArgs(method);
    }
    Py_XDECREF(keywords);
    Py_XDECREF(none);
    Py_XDECREF(method);
    return capsule;
}

static PyMethodDef tensor_methods[] = {
    {"__dlpack__", (PyCFunction)(void (*)(void))tensor_dlpack, METH_VARARGS | METH_KEYWORDS, "A capsule with a loan."},
    {"__dlpack_device__", (PyCFunction)tensor_device, METH_NOARGS, "(device type, device number)."},
    {"norm", (PyCFunction)tensor_norm, METH_NOARGS, "The Euclidean norm of all elements of a float32 tensor."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef tensor_fields[] = {
    {"shape", (getter)get_shape, NULL, "Sizes.", NULL},
    {"strides", (getter)get_strides, NULL, "Distances, in elements.", NULL},
    {"readonly", (getter)get_readonly, NULL, "May the memory be written to?", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot tensor_slots[] = {
    {Py_tp_new, tensor_new},
    {Py_tp_dealloc, tensor_dealloc},
    {Py_tp_methods, tensor_methods},
    {Py_tp_getset, tensor_fields},
    {Py_tp_doc, "Tensor(source, dtype, shape, strides=None, byte_offset=0)"},
    {0, NULL},
};

static PyType_Spec tensor_spec = {
    .name = "dl.Tensor",
    .basicsize = sizeof(Tensor),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = tensor_slots,
};

static PyTypeObject *tensor_type; /* set when the module is loaded */

#endif
