/* dl: tensors lent to other frameworks and borrowed from them through DLPack, without a copy. */
#include "tensor.h"

#include <math.h>
#include <stdlib.h>

/* ---- The lender ---- */

/* A borrower has finished with a loan of ours. Called once, from any thread, with the GIL or without. */
static void end_loan(DLManagedTensorVersioned *loan) {
    // @gap
    PyGILState_STATE state = PyGILState_Ensure(); /* does no harm where the thread has the GIL already */
    Py_DECREF((PyObject *)loan->manager_ctx);
    PyGILState_Release(state);
    free(loan);
    //| /* TODO: let go of the tensor that lend() took hold of, and of the loan itself. */
    //| (void)loan;
    // @end
}

static void end_legacy_loan(DLManagedTensor *loan) {
    // @gap
    PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF((PyObject *)loan->manager_ctx);
    PyGILState_Release(state);
    free(loan);
    //| /* TODO: the same for the old form. */
    //| (void)loan;
    // @end
}

/* A capsule of ours goes away. Did anybody take the loan out of it? Its name tells. */
static void end_capsule(PyObject *capsule) {
    // @gap
    if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        end_loan(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
    } else if (PyCapsule_IsValid(capsule, "dltensor")) {
        end_legacy_loan(PyCapsule_GetPointer(capsule, "dltensor"));
    }
    //| /* TODO: PyCapsule_IsValid(capsule, name) asks for a name without raising. */
    //| (void)capsule;
    // @end
}

/* A capsule "dltensor_versioned" with a loan of `tensor`. */
static PyObject *lend(Tensor *tensor) {
    // @gap
    DLManagedTensorVersioned *loan = malloc(sizeof *loan);
    if (loan == NULL) {
        return PyErr_NoMemory();
    }
    *loan = (DLManagedTensorVersioned){
        .version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION},
        .manager_ctx = Py_NewRef(tensor), /* keeps the memory alive, and shape and strides too */
        .deleter = end_loan,
        .flags = tensor->readonly ? DLPACK_FLAG_BITMASK_READ_ONLY : 0,
        .dl_tensor = tensor->dl,
    };
    PyObject *capsule = PyCapsule_New(loan, "dltensor_versioned", end_capsule);
    if (capsule == NULL) {
        end_loan(loan);
    }
    return capsule;
    //| /* TODO: a loan on the heap, in a capsule that ends it when nobody takes it. What must stay alive, how long? */
    //| (void)tensor, (void)end_loan, (void)end_capsule;
    //| return PyErr_Format(PyExc_NotImplementedError, "lend is not written yet");
    // @end
}

/* A capsule "dltensor", for borrowers that know no other. This form can't say "read-only": BufferError then. */
static PyObject *lend_legacy(Tensor *tensor) {
    // @gap
    if (tensor->readonly) {
        return PyErr_Format(PyExc_BufferError, "a loan of the old form would let the borrower write to this memory");
    }
    DLManagedTensor *loan = malloc(sizeof *loan);
    if (loan == NULL) {
        return PyErr_NoMemory();
    }
    *loan = (DLManagedTensor){
        .dl_tensor = tensor->dl,
        .manager_ctx = Py_NewRef(tensor),
        .deleter = end_legacy_loan,
    };
    PyObject *capsule = PyCapsule_New(loan, "dltensor", end_capsule);
    if (capsule == NULL) {
        end_legacy_loan(loan);
    }
    return capsule;
    //| /* TODO */
    //| (void)tensor, (void)end_legacy_loan;
    //| return PyErr_Format(PyExc_NotImplementedError, "lend_legacy is not written yet");
    // @end
}

/* ---- The borrower ---- */

/* Copy what a loan says about its tensor into ours. -1 with BufferError where we can't work with it. */
static int describe(Tensor *tensor, const DLTensor *from) {
    // @gap
    if (from->device.device_type != kDLCPU && from->device.device_type != kDLCUDAHost) {
        PyErr_Format(PyExc_BufferError, "the memory is on a device of type %d", (int)from->device.device_type);
        return -1;
    }
    if (from->dtype.lanes != 1 || from->ndim < 0 || from->ndim > MAX_DIMS) {
        PyErr_SetString(PyExc_BufferError, "vectors as elements, or too many dimensions");
        return -1;
    }
    tensor->dl = *from;
    tensor->dl.shape = tensor->shape;
    tensor->dl.strides = tensor->strides;
    int64_t dense = 1;
    for (int i = from->ndim - 1; i >= 0; i--) {
        tensor->shape[i] = from->shape[i];
        tensor->strides[i] = from->strides != NULL ? from->strides[i] : dense;
        dense *= from->shape[i];
    }
    return 0;
    //| /* TODO: dl.shape and dl.strides must go on pointing into our tensor; strides may be NULL. */
    //| (void)tensor, (void)from;
    //| PyErr_SetString(PyExc_NotImplementedError, "describe is not written yet");
    //| return -1;
    // @end
}

/* Take the loan out of a capsule: from then on it is ours to end. -1 with an exception set where we can't use it. */
static int take(Tensor *tensor, PyObject *capsule) {
    // @gap
    DLManagedTensorVersioned *loan = PyCapsule_GetPointer(capsule, "dltensor_versioned");
    if (loan == NULL) {
        return -1;
    }
    if (loan->version.major != DLPACK_MAJOR_VERSION) {
        PyErr_Format(PyExc_BufferError, "DLPack %u is not understood here", (unsigned)loan->version.major);
        return -1; /* the capsule still has its name, and ends the loan */
    }
    if (describe(tensor, &loan->dl_tensor) < 0 || PyCapsule_SetName(capsule, "used_dltensor_versioned") < 0) {
        return -1;
    }
    tensor->readonly = (loan->flags & DLPACK_FLAG_BITMASK_READ_ONLY) != 0;
    tensor->loan = loan;
    return 0;
    //| /* TODO: pointer, version, description; then the new name, which says that the loan is taken. */
    //| (void)capsule;
    //| return describe(tensor, NULL);
    // @end
}

static int take_legacy(Tensor *tensor, PyObject *capsule) {
    // @gap
    DLManagedTensor *loan = PyCapsule_GetPointer(capsule, "dltensor");
    if (loan == NULL || describe(tensor, &loan->dl_tensor) < 0 || PyCapsule_SetName(capsule, "used_dltensor") < 0) {
        return -1;
    }
    tensor->legacy_loan = loan;
    return 0;
    //| /* TODO: the same for the old form. */
    //| (void)capsule;
    //| return describe(tensor, NULL);
    // @end
}

/* End the loan that `tensor` has, if it has one. Called when the tensor goes away. */
static void give_back(Tensor *tensor) {
    // @gap
    if (tensor->loan != NULL && tensor->loan->deleter != NULL) {
        tensor->loan->deleter(tensor->loan);
    }
    if (tensor->legacy_loan != NULL && tensor->legacy_loan->deleter != NULL) {
        tensor->legacy_loan->deleter(tensor->legacy_loan);
    }
    //| /* TODO: a lender may have set no deleter. */
    //| (void)tensor;
    // @end
}

/* from_dlpack(source): a Tensor of the memory of anything that has __dlpack__. Given. */
static PyObject *from_dlpack(PyObject *module, PyObject *source) {
    PyObject *capsule = ask(source);
    if (capsule == NULL) {
        return NULL;
    }
    Tensor *tensor = new_tensor(tensor_type);
    if (tensor != NULL) {
        int legacy = PyCapsule_IsValid(capsule, "dltensor");
        if ((legacy ? take_legacy(tensor, capsule) : take(tensor, capsule)) < 0) {
            Py_CLEAR(tensor);
        }
    }
    Py_DECREF(capsule);
    return (PyObject *)tensor;
}

/* The sum of the squares of all elements, dimension `dim` and those after it; the first of them lies at `at`. */
static double squares(const float *at, const DLTensor *dl, int dim) {
    // @gap
    if (dim == dl->ndim) {
        return (double)*at * *at;
    }
    double sum = 0;
    for (int64_t i = 0; i < dl->shape[dim]; i++) {
        sum += squares(at + i * dl->strides[dim], dl, dim + 1);
    }
    return sum;
    //| /* TODO: strides are in elements, and pointers count in elements as well. */
    //| (void)at, (void)dl, (void)dim;
    //| return 0;
    // @end
}

/* tensor.norm(): the Euclidean norm of a float32 tensor, summed in double. TypeError for other types. */
static PyObject *tensor_norm(Tensor *self, PyObject *unused) {
    // @gap
    if (self->dl.dtype.code != kDLFloat || self->dl.dtype.bits != 32) {
        return PyErr_Format(PyExc_TypeError, "norm is for float32");
    }
    const char *first = (const char *)self->dl.data + self->dl.byte_offset;
    return PyFloat_FromDouble(sqrt(squares((const float *)first, &self->dl, 0)));
    //| /* TODO: where does the first element lie? */
    //| return PyFloat_FromDouble(sqrt(squares(NULL, &self->dl, 0)));
    // @end
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
