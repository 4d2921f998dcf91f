/* Both forms of a loan from one macro, and the loan in PyMem_RawMalloc, which needs no GIL. */
#include "tensor.h"

#include <math.h>

#define LOANS(TYPE, NAME, prefix, SET)                                                   \
    static void prefix##_end(TYPE *loan) {                                               \
        PyObject *tensor = loan->manager_ctx;                                            \
        PyMem_RawFree(loan);                                                             \
        PyGILState_STATE state = PyGILState_Ensure();                                    \
        Py_DECREF(tensor);                                                               \
        PyGILState_Release(state);                                                       \
    }                                                                                    \
    static void prefix##_capsule(PyObject *capsule) {                                    \
        if (!PyCapsule_IsValid(capsule, NAME)) {                                         \
            return; /* taken */                                                          \
        }                                                                                \
        prefix##_end(PyCapsule_GetPointer(capsule, NAME));                               \
    }                                                                                    \
    static PyObject *prefix##_lend(Tensor *tensor) {                                     \
        TYPE *loan = PyMem_RawCalloc(1, sizeof(TYPE));                                   \
        if (loan == NULL) {                                                              \
            return PyErr_NoMemory();                                                     \
        }                                                                                \
        SET;                                                                             \
        loan->dl_tensor = tensor->dl;                                                    \
        loan->manager_ctx = tensor;                                                      \
        loan->deleter = prefix##_end;                                                    \
        PyObject *capsule = PyCapsule_New(loan, NAME, prefix##_capsule);                 \
        if (capsule == NULL) {                                                           \
            PyMem_RawFree(loan);                                                         \
            return NULL;                                                                 \
        }                                                                                \
        Py_INCREF(tensor);                                                               \
        return capsule;                                                                  \
    }                                                                                    \
    static int prefix##_take(Tensor *tensor, PyObject *capsule, TYPE **into) {           \
        TYPE *loan = PyCapsule_GetPointer(capsule, NAME);                                \
        if (loan == NULL || !readable(loan) || !copy_tensor(tensor, &loan->dl_tensor)) { \
            return -1;                                                                   \
        }                                                                                \
        *into = loan;                                                                    \
        if (PyCapsule_SetName(capsule, "used_" NAME) < 0) {                              \
            *into = NULL;                                                                \
            return -1;                                                                   \
        }                                                                                \
        return 0;                                                                        \
    }

#define readable(loan) \
    _Generic((loan), DLManagedTensorVersioned * : same_major((const void *)(loan)), DLManagedTensor * : 1)

static int same_major(const DLManagedTensorVersioned *loan) {
    if (loan->version.major == DLPACK_MAJOR_VERSION) {
        return 1;
    }
    PyErr_Format(PyExc_BufferError, "version %u.%u of DLPack", loan->version.major, loan->version.minor);
    return 0;
}

static int copy_tensor(Tensor *tensor, const DLTensor *dl) {
    int here = dl->device.device_type == kDLCPU || dl->device.device_type == kDLCUDAHost;
    if (!here || dl->dtype.lanes != 1 || (uint32_t)dl->ndim > MAX_DIMS) {
        PyErr_Format(PyExc_BufferError, "device %d, %d lanes, %d dimensions: not for us", dl->device.device_type,
                     dl->dtype.lanes, dl->ndim);
        return 0;
    }
    int64_t step = 1;
    for (int i = dl->ndim; i > 0; i--) {
        tensor->shape[i - 1] = dl->shape[i - 1];
        tensor->strides[i - 1] = dl->strides ? dl->strides[i - 1] : step;
        step *= dl->shape[i - 1];
    }
    tensor->dl = (DLTensor){dl->data, dl->device, dl->ndim, dl->dtype, tensor->shape, tensor->strides, dl->byte_offset};
    return 1;
}

LOANS(DLManagedTensorVersioned, "dltensor_versioned", versioned, loan->version.major = DLPACK_MAJOR_VERSION;
      loan->version.minor = DLPACK_MINOR_VERSION; loan->flags = tensor->readonly ? DLPACK_FLAG_BITMASK_READ_ONLY : 0)
LOANS(DLManagedTensor, "dltensor", legacy, (void)0)

static PyObject *lend(Tensor *tensor) {
    return versioned_lend(tensor);
}

static PyObject *lend_legacy(Tensor *tensor) {
    if (tensor->readonly) {
        PyErr_SetString(PyExc_BufferError, "read-only");
        return NULL;
    }
    return legacy_lend(tensor);
}

static void give_back(Tensor *tensor) {
    if (tensor->loan) {
        if (tensor->loan->deleter) {
            (*tensor->loan->deleter)(tensor->loan);
        }
    } else if (tensor->legacy_loan && tensor->legacy_loan->deleter) {
        (*tensor->legacy_loan->deleter)(tensor->legacy_loan);
    }
}

static PyObject *from_dlpack(PyObject *module, PyObject *source) {
    PyObject *capsule = ask(source);
    Tensor *tensor = capsule != NULL ? new_tensor(tensor_type) : NULL;
    int failed = -1;
    if (tensor == NULL) {
        goto done;
    }
    if (PyCapsule_IsValid(capsule, "dltensor")) {
        failed = legacy_take(tensor, capsule, &tensor->legacy_loan);
    } else {
        failed = versioned_take(tensor, capsule, &tensor->loan);
        if (!failed) {
            tensor->readonly = (int)(tensor->loan->flags & DLPACK_FLAG_BITMASK_READ_ONLY);
        }
    }
done:
    if (failed) {
        Py_CLEAR(tensor);
    }
    Py_XDECREF(capsule);
    return (PyObject *)tensor;
}

/* Each element by its number, taken apart into an index of each dimension. */
static PyObject *tensor_norm(Tensor *self, PyObject *unused) {
    DLDataType float32 = {kDLFloat, 32, 1};
    if (memcmp(&self->dl.dtype, &float32, sizeof float32) != 0) {
        PyErr_SetString(PyExc_TypeError, "norm: the tensor is not float32");
        return NULL;
    }
    int64_t count = 1;
    for (int i = 0; i < self->dl.ndim; i++) {
        count *= self->shape[i];
    }
    double sum = 0;
    for (int64_t number = 0; number < count; number++) {
        int64_t rest = number, place = 0;
        for (int i = self->dl.ndim - 1; i >= 0; i--) {
            place += rest % self->shape[i] * self->strides[i];
            rest /= self->shape[i];
        }
        float value;
        memcpy(&value, (char *)self->dl.data + self->dl.byte_offset + place * (int64_t)sizeof value, sizeof value);
        sum += (double)value * value;
    }
    return PyFloat_FromDouble(sqrt(sum));
}

/* ---- The module. Given. ---- */

static PyMethodDef functions[] = {
    {"from_dlpack", from_dlpack, METH_O, "from_dlpack(source): a Tensor of the memory of `source`, borrowed."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "dl", .m_doc = "Tensors that travel.", .m_size = -1, .m_methods = functions,
};

PyMODINIT_FUNC PyInit_dl(void) {
    PyObject *made = PyModule_Create(&module);
    tensor_type = (PyTypeObject *)PyType_FromSpec(&tensor_spec);
    if (made == NULL || tensor_type == NULL || PyModule_AddObjectRef(made, "Tensor", (PyObject *)tensor_type) < 0) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
