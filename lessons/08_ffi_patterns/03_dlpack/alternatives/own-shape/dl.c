/* A loan carries its own copy of shape and strides, and both of its forms are made by one function. */
#include "tensor.h"

#include <math.h>

static const char NEW_NAME[] = "dltensor_versioned", OLD_NAME[] = "dltensor";

typedef struct {
    union {
        DLManagedTensorVersioned versioned;
        DLManagedTensor legacy;
    } as;
    PyObject *owner;
    int64_t sizes[2 * MAX_DIMS];
} Lent;

static void release(Lent *lent) {
    PyGILState_STATE gil = PyGILState_Ensure();
    Py_CLEAR(lent->owner);
    PyMem_Free(lent);
    PyGILState_Release(gil);
}

static void release_versioned(DLManagedTensorVersioned *loan) {
    release(loan->manager_ctx);
}

static void release_legacy(DLManagedTensor *loan) {
    release(loan->manager_ctx);
}

static void capsule_goes(PyObject *capsule) {
    const char *name = PyCapsule_GetName(capsule);
    if (name == NULL) {
        PyErr_Clear();
        return;
    }
    if (strcmp(name, NEW_NAME) == 0) {
        DLManagedTensorVersioned *loan = PyCapsule_GetPointer(capsule, name);
        loan->deleter(loan);
    }
    if (strcmp(name, OLD_NAME) == 0) {
        DLManagedTensor *loan = PyCapsule_GetPointer(capsule, name);
        loan->deleter(loan);
    }
}

static PyObject *lend_as(Tensor *tensor, const char *name) {
    Lent *lent = PyMem_Calloc(1, sizeof(Lent));
    if (!lent) return PyErr_NoMemory();
    Py_INCREF(tensor);
    lent->owner = (PyObject *)tensor;
    int versioned = name == NEW_NAME;
    DLTensor *dl = versioned ? &lent->as.versioned.dl_tensor : &lent->as.legacy.dl_tensor;
    *dl = tensor->dl;
    dl->shape = lent->sizes;
    dl->strides = lent->sizes + dl->ndim;
    for (int32_t i = 0; i < dl->ndim; ++i) {
        dl->shape[i] = tensor->dl.shape[i];
        dl->strides[i] = tensor->dl.strides[i];
    }
    if (versioned) {
        lent->as.versioned.version.major = DLPACK_MAJOR_VERSION;
        lent->as.versioned.version.minor = DLPACK_MINOR_VERSION;
        lent->as.versioned.manager_ctx = lent;
        lent->as.versioned.deleter = &release_versioned;
        if (tensor->readonly) lent->as.versioned.flags |= DLPACK_FLAG_BITMASK_READ_ONLY;
    } else {
        lent->as.legacy.manager_ctx = lent;
        lent->as.legacy.deleter = &release_legacy;
    }
    PyObject *capsule = PyCapsule_New(&lent->as, name, capsule_goes);
    if (!capsule) release(lent);
    return capsule;
}

static PyObject *lend(Tensor *tensor) {
    return lend_as(tensor, NEW_NAME);
}

static PyObject *lend_legacy(Tensor *tensor) {
    if (!tensor->readonly) return lend_as(tensor, OLD_NAME);
    PyErr_SetString(PyExc_BufferError, "read-only memory, and a borrower who would not know");
    return NULL;
}

static int refuse(const char *why) {
    PyErr_SetString(PyExc_BufferError, why);
    return -1;
}

static int adopt(Tensor *tensor, const DLTensor *theirs) {
    switch (theirs->device.device_type) {
        case kDLCPU:
        case kDLCUDAHost:
            break;
        default:
            return refuse("not in memory that the CPU reads");
    }
    if (theirs->dtype.lanes != 1) return refuse("lanes");
    if (theirs->ndim < 0) return refuse("fewer dimensions than none");
    if (theirs->ndim > MAX_DIMS) return refuse("too many dimensions");
    DLTensor *ours = &tensor->dl;
    ours->data = theirs->data;
    ours->byte_offset = theirs->byte_offset;
    ours->dtype = theirs->dtype;
    ours->device = theirs->device;
    ours->ndim = theirs->ndim;
    size_t bytes = (size_t)theirs->ndim * sizeof(int64_t);
    if (bytes > 0) {
        memcpy(tensor->shape, theirs->shape, bytes);
    }
    if (theirs->strides != NULL && bytes > 0) {
        memcpy(tensor->strides, theirs->strides, bytes);
        return 0;
    }
    for (int32_t i = theirs->ndim; i-- > 0;) {
        tensor->strides[i] = i == theirs->ndim - 1 ? 1 : tensor->strides[i + 1] * tensor->shape[i + 1];
    }
    return 0;
}

static int take(Tensor *tensor, PyObject *capsule) {
    if (!PyCapsule_IsValid(capsule, NEW_NAME)) {
        PyErr_SetString(PyExc_ValueError, "__dlpack__ gave something else than a capsule with a loan");
        return -1;
    }
    DLManagedTensorVersioned *loan = PyCapsule_GetPointer(capsule, NEW_NAME);
    if (loan->version.major != DLPACK_MAJOR_VERSION) return refuse("another major version");
    if (adopt(tensor, &loan->dl_tensor) != 0) return -1;
    if (PyCapsule_SetName(capsule, "used_dltensor_versioned") != 0) return -1;
    tensor->loan = loan;
    tensor->readonly = loan->flags & DLPACK_FLAG_BITMASK_READ_ONLY ? 1 : 0;
    return 0;
}

static int take_legacy(Tensor *tensor, PyObject *capsule) {
    DLManagedTensor *loan = PyCapsule_GetPointer(capsule, OLD_NAME);
    if (!loan) return -1;
    int status = adopt(tensor, &loan->dl_tensor);
    if (status == 0) status = PyCapsule_SetName(capsule, "used_dltensor");
    if (status == 0) tensor->legacy_loan = loan;
    return status;
}

static void give_back(Tensor *tensor) {
    DLManagedTensorVersioned *loan = tensor->loan;
    DLManagedTensor *old = tensor->legacy_loan;
    tensor->loan = NULL;
    tensor->legacy_loan = NULL;
    if (loan && loan->deleter) loan->deleter(loan);
    if (old && old->deleter) old->deleter(old);
}

static PyObject *from_dlpack(PyObject *module, PyObject *source) {
    (void)module;
    PyObject *capsule = ask(source);
    if (!capsule) return NULL;
    Tensor *tensor = new_tensor(tensor_type);
    if (tensor) {
        int status = PyCapsule_IsValid(capsule, OLD_NAME) ? take_legacy(tensor, capsule) : take(tensor, capsule);
        if (status != 0) Py_CLEAR(tensor);
    }
    Py_DECREF(capsule);
    return (PyObject *)tensor;
}

/* No recursion: an index that counts like an odometer. */
static PyObject *tensor_norm(Tensor *self, PyObject *unused) {
    (void)unused;
    const DLTensor *dl = &self->dl;
    if (dl->dtype.code != kDLFloat || dl->dtype.bits != 32) {
        PyErr_SetString(PyExc_TypeError, "float32 only");
        return NULL;
    }
    int64_t index[MAX_DIMS] = {0};
    for (int32_t i = 0; i < dl->ndim; ++i) {
        if (dl->shape[i] == 0) return PyFloat_FromDouble(0.0);
    }
    const float *at = (const float *)((const char *)dl->data + dl->byte_offset);
    double total = 0.0;
    for (int32_t axis = 0; axis >= 0;) {
        total += (double)*at * (double)*at;
        for (axis = dl->ndim - 1; axis >= 0; --axis) {
            at += dl->strides[axis];
            if (++index[axis] < dl->shape[axis]) break;
            at -= dl->strides[axis] * dl->shape[axis];
            index[axis] = 0;
        }
    }
    return PyFloat_FromDouble(sqrt(total));
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
