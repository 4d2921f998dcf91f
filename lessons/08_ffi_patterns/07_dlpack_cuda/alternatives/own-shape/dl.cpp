// dlcuda: both forms of a loan in one block of memory, each with a shape of its own.
#include "array.h"

// ---- The GPU ----

// Makes a device current; returns the one before, or -1 with RuntimeError.
static int enter(int device) {
    int before = 0;
    cudaError_t error = cudaGetDevice(&before);
    if (error == cudaSuccess && before != device) error = cudaSetDevice(device);
    return error == cudaSuccess ? before : cuda_failed("cudaSetDevice", error);
}

// Memory of our own for `array`, on its device; 0 bytes need none. -1 with MemoryError when there is no more.
static int allocate(Array *array, size_t bytes) {
    if (bytes == 0) return 0;
    const int before = enter(array->dl.device.device_id);
    if (before < 0) return -1;
    const cudaError_t error = cudaMalloc(&array->memory, bytes);
    cudaSetDevice(before);
    if (error != cudaSuccess) {
        cuda_failed("empty", error);
        PyErr_Clear();
        PyErr_NoMemory();
        array->memory = NULL;
        return -1;
    }
    array->dl.data = array->memory;
    return 0;
}

// An array goes away: what is ours is freed, what was borrowed is given back. A lender may have set no deleter.
static void release(Array *array) {
    DLManagedTensorVersioned *loan = array->loan;
    DLManagedTensor *legacy = array->legacy_loan;
    void *memory = array->memory;
    array->loan = NULL;
    array->legacy_loan = NULL;
    array->memory = NULL;
    if (memory != NULL) cudaFree(memory);
    if (loan != NULL && loan->deleter != NULL) loan->deleter(loan);
    if (legacy != NULL && legacy->deleter != NULL) legacy->deleter(legacy);
}

// What the kernel has to know of an array.
static View view_of(const Array *array) {
    View view = {};
    view.first = reinterpret_cast<float *>(static_cast<char *>(array->dl.data) + array->dl.byte_offset);
    view.count = 1;
    view.ndim = array->dl.ndim;
    for (int i = 0; i < view.ndim; ++i) {
        view.shape[i] = array->shape[i];
        view.strides[i] = array->strides[i];
        view.count *= array->shape[i];
    }
    return view;
}

// x = scale * x + shift, on the array's device and the caller's stream; doesn't wait. -1 with RuntimeError.
static int affine(Array *array, float scale, float shift, cudaStream_t stream) {
    const View view = view_of(array);
    if (view.count == 0) return 0;
    const int before = enter(array->dl.device.device_id);
    if (before < 0) return -1;
    array->stream = stream;
    const cudaError_t error = affine_launch(&view, scale, shift, stream);
    cudaSetDevice(before);
    return error == cudaSuccess ? 0 : cuda_failed("affine_launch", error);
}

// ---- The lender ----

// Make the borrower's stream wait for the work that is queued on `array`, without waiting here. `stream` is what
// __dlpack__ was given: None or 1 the legacy default stream, 2 the per-thread default, -1 no order wanted, else a
// cudaStream_t; 0 is ambiguous. -1 with ValueError for what is no stream, RuntimeError where CUDA fails.
static int order(Array *array, PyObject *stream) {
    cudaStream_t theirs = cudaStreamLegacy;
    if (stream != Py_None) {
        const long long number = PyLong_AsLongLong(stream);
        if (PyErr_Occurred()) return -1;
        switch (number) {
            case -1:
                return 0;
            case 1:
                break;
            case 2:
                theirs = cudaStreamPerThread;
                break;
            default:
                if (number < 1) {
                    PyErr_SetString(PyExc_ValueError, "no stream of the protocol");
                    return -1;
                }
                theirs = (cudaStream_t)number;
        }
    }
    const int before = enter(array->dl.device.device_id);
    if (before < 0) return -1;
    cudaEvent_t event = NULL;
    cudaError_t error = cudaEventCreate(&event);
    if (error == cudaSuccess) error = cudaEventRecord(event, array->stream);
    if (error == cudaSuccess) error = cudaStreamWaitEvent(theirs, event, 0);
    if (event != NULL) cudaEventDestroy(event);
    cudaSetDevice(before);
    return error == cudaSuccess ? 0 : cuda_failed("order", error);
}

// Both forms of a loan in one block, with a shape and strides of its own.
struct Lent {
    DLManagedTensorVersioned versioned;
    DLManagedTensor legacy;
    Array *array;
    int64_t sizes[2 * MAX_DIMS];
};

static void end_lent(void *context) {
    Lent *lent = static_cast<Lent *>(context);
    PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(lent->array);
    PyGILState_Release(state);
    PyMem_RawFree(lent);
}

static void end_loan(DLManagedTensorVersioned *loan) {
    end_lent(loan->manager_ctx);
}

static void end_legacy_loan(DLManagedTensor *loan) {
    end_lent(loan->manager_ctx);
}

static void end_capsule(PyObject *capsule) {
    const char *name = PyCapsule_GetName(capsule);
    if (strncmp(name, "used_", 5) == 0) return;
    end_lent(PyCapsule_GetContext(capsule));
}

static PyObject *lend(Array *array, bool versioned) {
    if (array->readonly && !versioned) return PyErr_Format(PyExc_BufferError, "read-only");
    Lent *lent = static_cast<Lent *>(PyMem_RawCalloc(1, sizeof(Lent)));
    if (lent == NULL) return PyErr_NoMemory();
    lent->array = array;
    Py_INCREF(array);
    DLTensor *tensor = versioned ? &lent->versioned.dl_tensor : &lent->legacy.dl_tensor;
    *tensor = array->dl;
    tensor->data = view_of(array).first;
    tensor->byte_offset = 0;
    tensor->shape = lent->sizes;
    tensor->strides = lent->sizes + MAX_DIMS;
    memcpy(tensor->shape, array->shape, sizeof array->shape);
    memcpy(tensor->strides, array->strides, sizeof array->strides);
    lent->versioned.version.major = DLPACK_MAJOR_VERSION;
    lent->versioned.version.minor = DLPACK_MINOR_VERSION;
    lent->versioned.flags = array->readonly;
    lent->versioned.manager_ctx = lent->legacy.manager_ctx = lent;
    lent->versioned.deleter = end_loan;
    lent->legacy.deleter = end_legacy_loan;
    PyObject *capsule = versioned ? PyCapsule_New(&lent->versioned, "dltensor_versioned", end_capsule)
                                  : PyCapsule_New(&lent->legacy, "dltensor", end_capsule);
    if (capsule == NULL || PyCapsule_SetContext(capsule, lent) < 0) end_lent(lent);
    return capsule;
}

// ---- The borrower ----

// The capsule of `source`, whose memory work on `stream` may then touch. BufferError, and no loan, for what isn't on a
// GPU of ours. Lenders of old know no max_version, and call that a TypeError.
static PyObject *ask(PyObject *source, cudaStream_t stream) {
    PyObject *place = PyObject_CallMethod(source, "__dlpack_device__", nullptr);
    int type = 0, id = 0;
    if (place == nullptr) return nullptr;
    const bool known = PyTuple_Check(place) && PyArg_ParseTuple(place, "ii", &type, &id);
    Py_DECREF(place);
    if (!known) return PyErr_Occurred() ? nullptr : PyErr_Format(PyExc_TypeError, "a device is a pair of numbers");
    if (type != kDLCUDA) return PyErr_Format(PyExc_BufferError, "the memory is on a device of type %d", type);
    const int before = enter(id);
    if (before < 0) return nullptr;
    const auto number = stream == nullptr ? 1 : reinterpret_cast<long long>(stream);  // 0 must not be said
    PyObject *method = PyObject_GetAttrString(source, "__dlpack__");
    PyObject *none = PyTuple_New(0);
    PyObject *keywords = Py_BuildValue("{sLs(ii)}", "stream", number, "max_version", 1, 0);
    PyObject *capsule = method && none && keywords ? PyObject_Call(method, none, keywords) : nullptr;
    if (capsule == nullptr && method && none && keywords && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        if (PyDict_DelItemString(keywords, "max_version") == 0) capsule = PyObject_Call(method, none, keywords);
    }
    Py_XDECREF(keywords);
    Py_XDECREF(none);
    Py_XDECREF(method);
    cudaSetDevice(before);
    return capsule;
}

// Copy what a loan says about its tensor into ours. -1 with BufferError where we can't work with it.
static int describe(Array *array, const DLTensor *from) {
    if (from->device.device_type != kDLCUDA || from->dtype.lanes != 1 || from->ndim < 0 || from->ndim > MAX_DIMS) {
        PyErr_SetString(PyExc_BufferError, "not on a GPU, vectors as elements, or too many dimensions");
        return -1;
    }
    array->dl = *from;
    array->dl.shape = array->shape;
    array->dl.strides = array->strides;
    int64_t dense = 1;
    for (int i = from->ndim - 1; i >= 0; --i) {
        array->shape[i] = from->shape[i];
        array->strides[i] = from->strides != nullptr ? from->strides[i] : dense;
        dense *= from->shape[i];
    }
    return 0;
}

// Take the loan out of a capsule of either form: from then on it is ours to end. -1 with an exception set.
static int take(Array *array, PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor")) {
        auto *loan = static_cast<DLManagedTensor *>(PyCapsule_GetPointer(capsule, "dltensor"));
        if (describe(array, &loan->dl_tensor) < 0 || PyCapsule_SetName(capsule, "used_dltensor") < 0) return -1;
        array->legacy_loan = loan;
        return 0;
    }
    auto *loan = static_cast<DLManagedTensorVersioned *>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
    if (loan == nullptr) return -1;
    if (loan->version.major != DLPACK_MAJOR_VERSION) {
        PyErr_Format(PyExc_BufferError, "DLPack %u is not understood here", (unsigned)loan->version.major);
        return -1;  // the capsule still has its name, and ends the loan
    }
    if (describe(array, &loan->dl_tensor) < 0 || PyCapsule_SetName(capsule, "used_dltensor_versioned") < 0) return -1;
    array->readonly = (loan->flags & DLPACK_FLAG_BITMASK_READ_ONLY) != 0;
    array->loan = loan;
    return 0;
}

// from_dlpack(source, stream=0): an Array of the memory of anything on a GPU that has __dlpack__. Given.
static PyObject *from_dlpack(PyObject *, PyObject *args) {
    PyObject *source;
    unsigned long long number = 0;
    if (!PyArg_ParseTuple(args, "O|K:from_dlpack", &source, &number)) return nullptr;
    const auto stream = reinterpret_cast<cudaStream_t>(number);
    PyObject *capsule = ask(source, stream);
    if (capsule == nullptr) return nullptr;
    Array *array = new_array();
    if (array != nullptr && take(array, capsule) < 0) Py_CLEAR(array);
    if (array != nullptr) array->stream = stream;  // the lender has made it wait for all that came before
    Py_DECREF(capsule);
    return reinterpret_cast<PyObject *>(array);
}

// ---- The module. Given. ----

static PyMethodDef functions[] = {
    {"empty", empty, METH_VARARGS, "empty(shape, device=0): a float32 Array of memory of our own."},
    {"from_dlpack", from_dlpack, METH_VARARGS, "from_dlpack(source, stream=0): an Array of borrowed memory."},
    {nullptr, nullptr, 0, nullptr},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "dlcuda", "Device memory that travels.", -1, functions, nullptr, nullptr, nullptr, nullptr,
};

PyMODINIT_FUNC PyInit_dlcuda() {
    PyObject *made = PyModule_Create(&module);
    array_type = reinterpret_cast<PyTypeObject *>(PyType_FromSpec(&array_spec));
    if (made == nullptr || array_type == nullptr ||
        PyModule_AddObjectRef(made, "Array", reinterpret_cast<PyObject *>(array_type)) < 0) {
        Py_XDECREF(made);
        return nullptr;
    }
    return made;
}
