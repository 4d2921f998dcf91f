/* Numbers are read before any buffer is taken; every value a pixel can have is computed once and looked up. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define MAX_CHANNELS 16

typedef struct {
    Py_ssize_t count;
    double at[MAX_CHANNELS];
} Numbers;

/* Lists longer than MAX_CHANNELS are counted to their end but not stored. */
static int parse_numbers(PyObject *object, Numbers *numbers) {
    PyObject *iterator = PyObject_GetIter(object);
    if (iterator == NULL) return -1;
    PyObject *item;
    numbers->count = 0;
    while ((item = PyIter_Next(iterator)) != NULL) {
        double number = PyFloat_AsDouble(item);
        Py_DECREF(item);
        if (PyErr_Occurred()) break;
        if (numbers->count < MAX_CHANNELS) numbers->at[numbers->count] = number;
        numbers->count++;
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

/* The struct module's character when the numbers are ours to read, '?' otherwise. */
static char native_code(const Py_buffer *view) {
    const char *text = view->format;
    if (text == NULL) return 'B';
    switch (text[0]) {
        case '@':
        case '=':
#if PY_LITTLE_ENDIAN
        case '<':
#else
        case '>':
        case '!':
#endif
            text++;
    }
    return strlen(text) == 1 ? text[0] : '?';
}

/* Bytes from one item to the next along `axis`. */
static Py_ssize_t step(const Py_buffer *view, int axis) {
    if (view->strides) return view->strides[axis];
    Py_ssize_t bytes = view->itemsize;
    for (int later = view->ndim - 1; later > axis; later--) bytes *= view->shape[later];
    return bytes;
}

static int fits(const Py_buffer *image, const Py_buffer *out) {
    if (image->ndim != 3 || out->ndim != 3) return 0;
    for (int axis = 0; axis < 3; axis++) {
        if (out->shape[(axis + 1) % 3] != image->shape[axis]) return 0;
    }
    return 1;
}

static void write_plane(const Py_buffer *image, const Py_buffer *out, Py_ssize_t c, const float table[256]) {
    const char *in_row = (const char *)image->buf + c * step(image, 2);
    char *out_row = (char *)out->buf + c * step(out, 0);
    Py_ssize_t in_step = step(image, 1), out_step = step(out, 2);
    Py_ssize_t rows = image->shape[0], columns = image->shape[1];
    while (rows-- > 0) {
        const char *in = in_row;
        char *to = out_row;
        for (Py_ssize_t x = columns; x > 0; x--) {
            memcpy(to, &table[*(const unsigned char *)in], sizeof(float));
            in += in_step;
            to += out_step;
        }
        in_row += step(image, 0);
        out_row += step(out, 1);
    }
}

static int convert(const Py_buffer *image, const Py_buffer *out, const Numbers *mean, const Numbers *std) {
    if (native_code(image) != 'B') {
        PyErr_SetString(PyExc_TypeError, "the image must be of uint8");
        return -1;
    }
    if (native_code(out) != 'f') {
        PyErr_SetString(PyExc_TypeError, "the output must be of float32");
        return -1;
    }
    if (!fits(image, out)) {
        PyErr_SetString(PyExc_ValueError, "an image (h, w, c) needs an output (c, h, w)");
        return -1;
    }
    Py_ssize_t channels = image->shape[2];
    if (channels > MAX_CHANNELS || mean->count != channels || std->count != channels) {
        PyErr_Format(PyExc_ValueError, "%zd channels, but %zd means and %zd deviations", channels, mean->count,
                     std->count);
        return -1;
    }
    for (Py_ssize_t c = 0; c < channels; c++) {
        float table[256];
        for (int byte = 0; byte < 256; byte++) table[byte] = (float)((byte / 255.0 - mean->at[c]) / std->at[c]);
        write_plane(image, out, c, table);
    }
    return 0;
}

static PyObject *u8norm_normalize(PyObject *module, PyObject *args) {
    PyObject *source, *means, *deviations, *target;
    if (!PyArg_ParseTuple(args, "OOOO:normalize", &source, &means, &deviations, &target)) return NULL;

    Numbers mean, std;
    if (parse_numbers(means, &mean) < 0 || parse_numbers(deviations, &std) < 0) return NULL;

    Py_buffer image, out;
    if (PyObject_GetBuffer(source, &image, PyBUF_RECORDS_RO) < 0) return NULL;
    if (PyObject_GetBuffer(target, &out, PyBUF_RECORDS) < 0) {
        PyBuffer_Release(&image);
        return NULL;
    }
    int status = convert(&image, &out, &mean, &std);
    PyBuffer_Release(&image);
    PyBuffer_Release(&out);
    if (status < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef u8norm_methods[] = {
    {"normalize", u8norm_normalize, METH_VARARGS, PyDoc_STR("normalize(image, mean, std, out)")},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef u8norm_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "u8norm",
    .m_size = -1,
    .m_methods = u8norm_methods,
};

PyMODINIT_FUNC PyInit_u8norm(void) {
    return PyModule_Create(&u8norm_module);
}
