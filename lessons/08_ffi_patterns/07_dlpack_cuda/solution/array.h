// The type dlcuda.Array: device memory with a shape. Given. Who allocates, lends and borrows it is written in dl.cpp.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "affine.h"
#include "dlpack.h"

// A new one is filled with zeros; dl.shape and dl.strides point to `shape` and `strides` from the beginning.
struct Array {
    PyObject_HEAD DLTensor dl;
    int64_t shape[MAX_DIMS];
    int64_t strides[MAX_DIMS];  // in elements
    bool readonly;
    cudaStream_t stream;             // where work on this memory was queued last; NULL, the legacy default, at first
    void *memory;                    // empty(...): what cudaMalloc gave, ours to free; else NULL
    DLManagedTensorVersioned *loan;  // from_dlpack(...): what was taken out of a capsule, or NULL
    DLManagedTensor *legacy_loan;    // the same for the old form; never both
};

// Yours, in dl.cpp.
static int allocate(Array *array, size_t bytes);
static void release(Array *array);
static int order(Array *array, PyObject *stream);
static PyObject *lend(Array *array, bool versioned);
static View view_of(const Array *array);
static int affine(Array *array, float scale, float shift, cudaStream_t stream);

static PyTypeObject *array_type;  // set when the module is loaded

// RuntimeError with the words of the CUDA runtime; returns -1. The runtime forgets the error: told here, it must not be
// found by somebody else's cudaGetLastError().
static int cuda_failed(const char *what, cudaError_t error) {
    cudaGetLastError();
    PyErr_Format(PyExc_RuntimeError, "%s: %s", what, cudaGetErrorString(error));
    return -1;
}

static Array *new_array() {
    Array *array = reinterpret_cast<Array *>(array_type->tp_alloc(array_type, 0));
    if (array != nullptr) {
        array->dl.shape = array->shape;
        array->dl.strides = array->strides;
        array->dl.device.device_type = kDLCUDA;
    }
    return array;
}

static void array_dealloc(Array *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject *kind, *value, *trace;  // a deleter may run Python code, which must not meet an exception under way
    PyErr_Fetch(&kind, &value, &trace);
    release(self);
    PyErr_Restore(kind, value, trace);
    type->tp_free(self);
    Py_DECREF(type);
}

// empty(shape, device=0): float32, row-major, never filled.
static PyObject *empty(PyObject *, PyObject *args) {
    PyObject *shape;
    int device = 0;
    if (!PyArg_ParseTuple(args, "O!|i:empty", &PyTuple_Type, &shape, &device)) return nullptr;
    if (PyTuple_GET_SIZE(shape) > MAX_DIMS) return PyErr_Format(PyExc_ValueError, "more than %d dimensions", MAX_DIMS);
    Array *self = new_array();
    if (self == nullptr) return nullptr;
    self->dl.device.device_id = device;
    self->dl.dtype = {kDLFloat, 32, 1};
    self->dl.ndim = static_cast<int32_t>(PyTuple_GET_SIZE(shape));
    int64_t count = 1;
    for (int i = self->dl.ndim - 1; i >= 0; --i) {
        const long long size = PyLong_AsLongLong(PyTuple_GET_ITEM(shape, i));
        if (size < 0 || __builtin_mul_overflow(count, size, &count) || count > int64_t{1} << 40) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "a size below 0, or a terabyte of elements");
            Py_DECREF(self);
            return nullptr;
        }
        self->shape[i] = size;
    }
    for (int64_t i = self->dl.ndim - 1, dense = 1; i >= 0; dense *= self->shape[i--]) self->strides[i] = dense;
    if (allocate(self, static_cast<size_t>(count) * sizeof(float)) < 0) {
        Py_DECREF(self);
        return nullptr;
    }
    return reinterpret_cast<PyObject *>(self);
}

// __dlpack__(): what the borrower asks for is settled here; the order of streams and the loan are yours.
static PyObject *array_dlpack(Array *self, PyObject *args, PyObject *keywords) {
    static const char *names[] = {"stream", "max_version", "dl_device", "copy", nullptr};
    PyObject *stream = Py_None, *version = Py_None, *device = Py_None, *copy = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|$OOOO:__dlpack__", const_cast<char **>(names), &stream, &version,
                                     &device, &copy)) {
        return nullptr;
    }
    int major = 0, minor = 0, type = kDLCUDA, id = self->dl.device.device_id;
    if (version != Py_None && (!PyTuple_Check(version) || !PyArg_ParseTuple(version, "ii", &major, &minor))) {
        return PyErr_Occurred() ? nullptr : PyErr_Format(PyExc_TypeError, "max_version is a tuple");
    }
    if (device != Py_None && (!PyTuple_Check(device) || !PyArg_ParseTuple(device, "ii", &type, &id))) {
        return PyErr_Occurred() ? nullptr : PyErr_Format(PyExc_TypeError, "dl_device is a tuple");
    }
    if (copy == Py_True || type != kDLCUDA || id != self->dl.device.device_id) {
        return PyErr_Format(PyExc_BufferError, "lent without a copy, and where it is");
    }
    return order(self, stream) < 0 ? nullptr : lend(self, major >= 1);
}

static PyObject *array_dlpack_device(Array *self, PyObject *) {
    return Py_BuildValue("(ii)", static_cast<int>(self->dl.device.device_type),
                         static_cast<int>(self->dl.device.device_id));
}

// affine_(scale, shift, stream=0): x = scale * x + shift, in place; `stream` is a cudaStream_t as a number.
static PyObject *array_affine(Array *self, PyObject *args) {
    float scale, shift;
    unsigned long long stream = 0;
    if (!PyArg_ParseTuple(args, "ff|K:affine_", &scale, &shift, &stream)) return nullptr;
    if (self->dl.dtype.code != kDLFloat || self->dl.dtype.bits != 32) {
        return PyErr_Format(PyExc_TypeError, "affine_ is for float32");
    }
    bool shared = false, empty = false;  // one place for several elements: threads would race for it
    for (int i = 0; i < self->dl.ndim; ++i) {
        shared |= self->strides[i] == 0 && self->shape[i] > 1;
        empty |= self->shape[i] == 0;
    }
    if (self->readonly || (shared && !empty)) {
        return PyErr_Format(PyExc_BufferError, "affine_ writes, and this memory is read-only or broadcast");
    }
    if (affine(self, scale, shift, reinterpret_cast<cudaStream_t>(stream)) < 0) return nullptr;
    return Py_NewRef(reinterpret_cast<PyObject *>(self));
}

static PyObject *sizes(const int64_t *values, int count) {
    PyObject *tuple = PyTuple_New(count);
    for (int i = 0; tuple != nullptr && i < count; ++i) {
        PyObject *number = PyLong_FromLongLong(values[i]);
        if (number == nullptr) {
            Py_CLEAR(tuple);
        } else {
            PyTuple_SET_ITEM(tuple, i, number);
        }
    }
    return tuple;
}

// view(): what the kernel is told: (address of the first element, count, shape, strides).
static PyObject *array_view(Array *self, PyObject *) {
    const View view = view_of(self);
    const auto first = reinterpret_cast<unsigned long long>(view.first);
    return Py_BuildValue("(KLNN)", first, static_cast<long long>(view.count), sizes(view.shape, view.ndim),
                         sizes(view.strides, view.ndim));
}

static PyObject *get_shape(Array *self, void *) {
    return sizes(self->shape, self->dl.ndim);
}

static PyObject *get_strides(Array *self, void *) {
    return sizes(self->strides, self->dl.ndim);
}

static PyObject *get_readonly(Array *self, void *) {
    return PyBool_FromLong(self->readonly);
}

template <class Function>
PyCFunction method(Function *function) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

static PyMethodDef array_methods[] = {
    {"__dlpack__", method(array_dlpack), METH_VARARGS | METH_KEYWORDS, "A capsule with a loan."},
    {"__dlpack_device__", method(array_dlpack_device), METH_NOARGS, "(device type, device number)."},
    {"affine_", method(array_affine), METH_VARARGS, "affine_(scale, shift, stream=0): in place."},
    {"view", method(array_view), METH_NOARGS, "(address of the first element, count, shape, strides)."},
    {nullptr, nullptr, 0, nullptr},
};

static PyGetSetDef array_fields[] = {
    {"shape", reinterpret_cast<getter>(get_shape), nullptr, "Sizes.", nullptr},
    {"strides", reinterpret_cast<getter>(get_strides), nullptr, "Distances, in elements.", nullptr},
    {"readonly", reinterpret_cast<getter>(get_readonly), nullptr, "May the memory be written to?", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

static PyType_Slot array_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void *>(array_dealloc)},
    {Py_tp_methods, array_methods},
    {Py_tp_getset, array_fields},
    {0, nullptr},
};

static PyType_Spec array_spec = {"dlcuda.Array", sizeof(Array), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, array_slots};
