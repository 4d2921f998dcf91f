// dlcuda: device memory, lent and borrowed through DLPack, without a copy and in the order of streams.
#include "array.h"

// ---- The GPU ----

// Makes a device current, and the one that was current again when the block ends.
class OnDevice {
  public:
    // @gap
    explicit OnDevice(int device) {
        if (cudaGetDevice(&before_) != cudaSuccess) before_ = -1;
        error = cudaSetDevice(device);
    }
    ~OnDevice() {
        if (before_ >= 0) cudaSetDevice(before_);
    }
    //| // TODO: cudaGetDevice, cudaSetDevice; and back.
    //| explicit OnDevice(int device) : before_(device) {}
    // @end
    OnDevice(const OnDevice &) = delete;
    OnDevice &operator=(const OnDevice &) = delete;
    cudaError_t error = cudaSuccess;  // what cudaSetDevice said

  private:
    int before_ = -1;
};

// Memory of our own for `array`, on its device; 0 bytes need none. -1 with MemoryError when there is no more.
static int allocate(Array *array, size_t bytes) {
    // @gap
    if (bytes == 0) return 0;
    const OnDevice device(array->dl.device.device_id);
    if (device.error != cudaSuccess) return cuda_failed("cudaSetDevice", device.error);
    if (cudaMalloc(&array->memory, bytes) != cudaSuccess) {
        cudaGetLastError();  // told here, it must not be found by the next launch
        array->memory = nullptr;
        PyErr_Format(PyExc_MemoryError, "no %zu bytes on device %d", bytes, (int)array->dl.device.device_id);
        return -1;
    }
    array->dl.data = array->memory;
    return 0;
    //| // TODO
    //| (void)array, (void)bytes;
    //| PyErr_SetString(PyExc_NotImplementedError, "allocate is not written yet");
    //| return -1;
    // @end
}

// An array goes away: what is ours is freed, what was borrowed is given back. A lender may have set no deleter.
static void release(Array *array) {
    // @gap
    cudaFree(array->memory);  // waits for the work that is queued on it; NULL is allowed
    if (array->loan != nullptr && array->loan->deleter != nullptr) array->loan->deleter(array->loan);
    if (array->legacy_loan != nullptr && array->legacy_loan->deleter != nullptr) {
        array->legacy_loan->deleter(array->legacy_loan);
    }
    //| // TODO
    //| (void)array;
    // @end
}

// What the kernel has to know of an array.
static View view_of(const Array *array) {
    View view = {};
    // @gap
    view.first = reinterpret_cast<float *>(static_cast<char *>(array->dl.data) + array->dl.byte_offset);
    view.count = 1;
    view.ndim = array->dl.ndim;
    for (int i = 0; i < view.ndim; ++i) {
        view.shape[i] = array->shape[i];
        view.strides[i] = array->strides[i];
        view.count *= array->shape[i];
    }
    //| // TODO: where is the first element? How many are there?
    //| (void)array;
    // @end
    return view;
}

// x = scale * x + shift, on the array's device and the caller's stream; doesn't wait. -1 with RuntimeError.
static int affine(Array *array, float scale, float shift, cudaStream_t stream) {
    // @gap
    const OnDevice device(array->dl.device.device_id);
    if (device.error != cudaSuccess) return cuda_failed("cudaSetDevice", device.error);
    const View view = view_of(array);
    const cudaError_t error = affine_launch(&view, scale, shift, stream);
    if (error != cudaSuccess) return cuda_failed("affine_", error);
    array->stream = stream;
    return 0;
    //| // TODO: launch; and remember the stream, order() needs it.
    //| (void)array, (void)scale, (void)shift, (void)stream;
    //| PyErr_SetString(PyExc_NotImplementedError, "affine is not written yet");
    //| return -1;
    // @end
}

// ---- The lender ----

// Make the borrower's stream wait for the work that is queued on `array`, without waiting here. `stream` is what
// __dlpack__ was given: None or 1 the legacy default stream, 2 the per-thread default, -1 no order wanted, else a
// cudaStream_t; 0 is ambiguous. -1 with ValueError for what is no stream, RuntimeError where CUDA fails.
static int order(Array *array, PyObject *stream) {
    // @gap
    const long long number = stream == Py_None ? 1 : PyLong_AsLongLong(stream);
    if (number == -1) return PyErr_Occurred() ? -1 : 0;
    if (number <= 0) {
        PyErr_Format(PyExc_ValueError, "stream %lld: 1 and 2 are the default streams, -1 none, 0 says nothing", number);
        return -1;
    }
    const auto theirs = reinterpret_cast<cudaStream_t>(number);  // 1 and 2 are cudaStreamLegacy, cudaStreamPerThread
    if (theirs == (array->stream == nullptr ? cudaStreamLegacy : array->stream)) return 0;
    const OnDevice device(array->dl.device.device_id);
    if (device.error != cudaSuccess) return cuda_failed("cudaSetDevice", device.error);
    cudaEvent_t event;
    cudaError_t error = cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    if (error == cudaSuccess) {
        error = cudaEventRecord(event, array->stream);
        if (error == cudaSuccess) error = cudaStreamWaitEvent(theirs, event, 0);
        cudaEventDestroy(event);  // freed when it is done; who waits for it goes on waiting
    }
    return error == cudaSuccess ? 0 : cuda_failed("__dlpack__", error);
    //| // TODO: an event, recorded in one stream and waited for in the other.
    //| (void)array, (void)stream;
    //| return 0;
    // @end
}

// A borrower has finished with a loan of ours. Called once, from any thread, with the GIL or without.
template <class Loan>
static void end_loan(Loan *loan) {
    // @gap
    const PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(static_cast<PyObject *>(loan->manager_ctx));
    PyGILState_Release(state);
    delete loan;
    //| // TODO: let go of the array that lend() took hold of, and of the loan itself.
    //| (void)loan;
    // @end
}

// A capsule of ours goes away. Did anybody take the loan out of it? Its name tells.
static void end_capsule(PyObject *capsule) {
    // @gap
    if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        end_loan(static_cast<DLManagedTensorVersioned *>(PyCapsule_GetPointer(capsule, "dltensor_versioned")));
    } else if (PyCapsule_IsValid(capsule, "dltensor")) {
        end_loan(static_cast<DLManagedTensor *>(PyCapsule_GetPointer(capsule, "dltensor")));
    }
    //| // TODO: PyCapsule_IsValid(capsule, name) asks for a name without raising.
    //| (void)capsule;
    // @end
}

// A capsule with a loan of `array`, in the new form or the old one. The old one can't say "read-only": BufferError.
static PyObject *lend(Array *array, bool versioned) {
    // @gap
    if (!versioned && array->readonly) {
        return PyErr_Format(PyExc_BufferError, "a loan of the old form would let the borrower write to this memory");
    }
    void *loan;
    if (versioned) {
        const uint64_t flags = array->readonly ? DLPACK_FLAG_BITMASK_READ_ONLY : 0;
        loan = new DLManagedTensorVersioned{
            {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION}, Py_NewRef(array), end_loan, flags, array->dl};
    } else {
        loan = new DLManagedTensor{array->dl, Py_NewRef(array), end_loan};
    }
    PyObject *capsule = PyCapsule_New(loan, versioned ? "dltensor_versioned" : "dltensor", end_capsule);
    if (capsule == nullptr) {
        versioned ? end_loan(static_cast<DLManagedTensorVersioned *>(loan))
                  : end_loan(static_cast<DLManagedTensor *>(loan));
    }
    return capsule;
    //| // TODO: a loan on the heap that keeps the array alive, in a capsule that ends it when nobody takes it.
    //| (void)array, (void)versioned, (void)end_capsule, (void)end_loan<DLManagedTensor>;
    //| return PyErr_Format(PyExc_NotImplementedError, "lend is not written yet");
    // @end
}

// ---- The borrower ----

// The capsule of `source`, whose memory work on `stream` may then touch. BufferError, and no loan, for what isn't CUDA.
// The lender is asked while its device is current. Lenders of old know no max_version, and call that a TypeError.
static PyObject *ask(PyObject *source, cudaStream_t stream) {
    // @gap
    PyObject *place = PyObject_CallMethod(source, "__dlpack_device__", nullptr);
    int type = 0, id = 0;
    if (place == nullptr) return nullptr;
    const bool known = PyTuple_Check(place) && PyArg_ParseTuple(place, "ii", &type, &id);
    Py_DECREF(place);
    if (!known) return PyErr_Occurred() ? nullptr : PyErr_Format(PyExc_TypeError, "a device is a pair of numbers");
    if (type != kDLCUDA) return PyErr_Format(PyExc_BufferError, "the memory is on a device of type %d", type);
    const OnDevice device(id);  // PyTorch lends only what lies on the current device
    if (device.error != cudaSuccess && cuda_failed("cudaSetDevice", device.error)) return nullptr;
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
    return capsule;
    //| // TODO: the device first; then __dlpack__(stream=..., max_version=(1, 0)).
    //| (void)stream;
    //| return PyObject_CallMethod(source, "__dlpack__", nullptr);
    // @end
}

// Copy what a loan says about its tensor into ours. -1 with BufferError where we can't work with it.
static int describe(Array *array, const DLTensor *from) {
    // @gap
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
    //| // TODO: dl.shape and dl.strides must go on pointing into our array; strides may be NULL.
    //| (void)array, (void)from;
    //| PyErr_SetString(PyExc_NotImplementedError, "describe is not written yet");
    //| return -1;
    // @end
}

// Take the loan out of a capsule of either form: from then on it is ours to end. -1 with an exception set.
static int take(Array *array, PyObject *capsule) {
    // @gap
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
    //| // TODO: pointer, version, description; then the new name, which says that the loan is taken.
    //| (void)capsule;
    //| return describe(array, nullptr);
    // @end
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
