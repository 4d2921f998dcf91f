/* Buffers are held by memoryview objects, so that giving them back is a Py_DECREF; three index loops. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct {
    PyObject *image; /* memoryviews, owned */
    PyObject *out;
    double mean[16];
    double std[16];
} Job;

static Py_buffer *lend(PyObject **slot, PyObject *source) {
    *slot = PyMemoryView_FromObject(source);
    return *slot ? PyMemoryView_GET_BUFFER(*slot) : NULL;
}

static int is_one_of(const char *format, const char *const *names) {
    for (; *names != NULL; names++) {
        if (strcmp(format, *names) == 0) {
            return 1;
        }
    }
    return 0;
}

static int check_types(const Py_buffer *image, const Py_buffer *out) {
    static const char *const bytes[] = {"B", "@B", "=B", "<B", ">B", "!B", NULL};
    static const char *const floats[] = {"f", "@f", "=f", "<f", NULL};
    if (!is_one_of(image->format, bytes) || !is_one_of(out->format, floats)) {
        PyErr_Format(PyExc_TypeError, "image is of %s, output of %s", image->format, out->format);
        return 0;
    }
    if (out->readonly) {
        PyErr_SetString(PyExc_BufferError, "the output is read-only");
        return 0;
    }
    if (image->ndim != 3 || out->ndim != 3) {
        PyErr_SetString(PyExc_ValueError, "image and output have three dimensions");
        return 0;
    }
    if (image->suboffsets != NULL || out->suboffsets != NULL) {
        PyErr_SetString(PyExc_BufferError, "memory with pointers in it is not supported");
        return 0;
    }
    return 1;
}

static int check_shapes(const Py_buffer *image, const Py_buffer *out) {
    const Py_ssize_t *from = image->shape, *to = out->shape;
    if (from[2] > 16) {
        PyErr_Format(PyExc_ValueError, "%zd channels, at most 16", from[2]);
        return 0;
    }
    if (to[0] != from[2] || to[1] != from[0] || to[2] != from[1]) {
        PyErr_Format(PyExc_ValueError, "the output must be (%zd, %zd, %zd)", from[2], from[0], from[1]);
        return 0;
    }
    return 1;
}

static int read_channel_numbers(PyObject *sequence, Py_ssize_t channels, double *to) {
    Py_ssize_t length = PySequence_Size(sequence);
    if (length < 0) {
        return 0;
    }
    if (length != channels) {
        PyErr_SetString(PyExc_ValueError, "mean and std have one number a channel");
        return 0;
    }
    for (Py_ssize_t c = 0; c < channels; c++) {
        PyObject *item = PySequence_GetItem(sequence, c);
        if (item == NULL) {
            return 0;
        }
        PyObject *number = PyNumber_Float(item);
        Py_DECREF(item);
        if (number == NULL) {
            return 0;
        }
        to[c] = PyFloat_AS_DOUBLE(number);
        Py_DECREF(number);
    }
    return 1;
}

static void run(const Py_buffer *image, const Py_buffer *out, const Job *job) {
    for (Py_ssize_t c = 0; c < image->shape[2]; c++) {
        const double mean = 255.0 * job->mean[c], factor = 1.0 / (255.0 * job->std[c]);
        for (Py_ssize_t y = 0; y < image->shape[0]; y++) {
            for (Py_ssize_t x = 0; x < image->shape[1]; x++) {
                Py_ssize_t from[3] = {y, x, c}, to[3] = {c, y, x};
                const unsigned char *pixel = PyBuffer_GetPointer(image, from);
                float value = (float)((*pixel - mean) * factor);
                memcpy(PyBuffer_GetPointer(out, to), &value, sizeof value);
            }
        }
    }
}

static int work(Job *job, PyObject *const *args) {
    const Py_buffer *image = lend(&job->image, args[0]);
    if (image == NULL) {
        return 0;
    }
    const Py_buffer *out = lend(&job->out, args[3]);
    if (out == NULL || !check_types(image, out) || !check_shapes(image, out)) {
        return 0;
    }
    if (!read_channel_numbers(args[1], image->shape[2], job->mean)) {
        return 0;
    }
    if (!read_channel_numbers(args[2], image->shape[2], job->std)) {
        return 0;
    }
    run(image, out, job);
    return 1;
}

static PyObject *normalize(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs) {
    if (nargs != 4) {
        PyErr_SetString(PyExc_TypeError, "normalize(image, mean, std, out)");
        return NULL;
    }
    Job job = {NULL};
    int done = work(&job, args);
    Py_XDECREF(job.image);
    Py_XDECREF(job.out);
    return done ? Py_NewRef(Py_None) : NULL;
}

static PyMethodDef functions[] = {
    {"normalize", (PyCFunction)(void (*)(void))normalize, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "u8norm", "Images into tensors.", 0, functions};

PyMODINIT_FUNC PyInit_u8norm(void) {
    return PyModuleDef_Init(&definition);
}
