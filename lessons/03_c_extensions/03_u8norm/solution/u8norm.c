/* u8norm: normalise an image (height, width, channel) of bytes into given floats (channel, height, width). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { MOST_CHANNELS = 16 };

/* Read `count` numbers from a list or tuple. -1 with an exception set when there are others. Runs Python code: __float__. */
static int
read_numbers(PyObject *sequence, Py_ssize_t count, double *numbers)
{
    PyObject *items = PySequence_Tuple(sequence);
    if (items == NULL) {
        return -1;
    }
    int status = -1;
    if (PyTuple_GET_SIZE(items) != count) {
        PyErr_Format(PyExc_ValueError, "%zd numbers for %zd channels", PyTuple_GET_SIZE(items), count);
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        numbers[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(items, i));
        if (numbers[i] == -1.0 && PyErr_Occurred()) {
            goto done;
        }
    }
    status = 0;
done:
    Py_DECREF(items);
    return status;
}

/* Whether a buffer's `format` says `code` in this machine's byte order. NULL stands for bytes ("B"). */
static int
has_format(const Py_buffer *view, char code)
{
    // @gap
    const char *format = view->format != NULL ? view->format : "B";
    if (*format == '@' || *format == '=' || *format == '<' || (*format == '>' && view->itemsize == 1)) {
        format++; /* '<': the machines that this course runs on are little-endian */
    }
    return format[0] == code && format[1] == '\0';
    //| /* TODO */
    //| (void)view, (void)code;
    //| return 0;
    // @end
}

/* The strides of a buffer of three dimensions; `own` is room for them when the exporter gives none. */
static const Py_ssize_t *
strides_of(const Py_buffer *view, Py_ssize_t own[3])
{
    // @gap
    if (view->strides != NULL) {
        return view->strides;
    }
    own[2] = view->itemsize; /* no strides: C order without gaps */
    own[1] = own[2] * view->shape[2];
    own[0] = own[1] * view->shape[1];
    return own;
    //| /* TODO: what if there are none? */
    //| (void)own;
    //| return view->strides;
    // @end
}

// @gap
/* One row of one channel. Inlined with constant steps, the loop is vectorised; the output may lie at any address. */
static inline __attribute__((always_inline)) void
write_row(const uint8_t *from, Py_ssize_t step, char *to, Py_ssize_t to_step, Py_ssize_t width, float scale, float shift)
{
    for (Py_ssize_t x = 0; x < width; x++) {
        float value = from[x * step] * scale + shift;
        memcpy(to + x * to_step, &value, sizeof value);
    }
}

//| /* TODO: a function for one row may help: with constant steps the compiler can vectorise it. */
//|
// @end
/* out[c, y, x] = image[y, x, c] * scale[c] + shift[c]. The buffers have been checked. */
static void
normalize_pixels(const Py_buffer *image, const Py_buffer *out, const float *scale, const float *shift)
{
    // @gap
    Py_ssize_t own_in[3], own_out[3];
    const Py_ssize_t *in = strides_of(image, own_in), *to = strides_of(out, own_out);
    Py_ssize_t height = image->shape[0], width = image->shape[1], channels = image->shape[2];
    for (Py_ssize_t y = 0; y < height; y++) {
        for (Py_ssize_t c = 0; c < channels; c++) {
            const uint8_t *from = (const uint8_t *)image->buf + y * in[0] + c * in[2];
            char *target = (char *)out->buf + c * to[0] + y * to[1];
            if (in[1] == 3 && to[2] == sizeof(float)) {
                write_row(from, 3, target, sizeof(float), width, scale[c], shift[c]);
            } else if (in[1] == 1 && to[2] == sizeof(float)) {
                write_row(from, 1, target, sizeof(float), width, scale[c], shift[c]);
            } else {
                write_row(from, in[1], target, to[2], width, scale[c], shift[c]);
            }
        }
    }
    //| /* TODO */
    //| (void)image, (void)out, (void)scale, (void)shift, (void)strides_of;
    // @end
}

/* normalize(image, mean, std, out): (image / 255 - mean) / std, written into `out`; returns None. */
static PyObject *
normalize(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 4) {
        PyErr_Format(PyExc_TypeError, "normalize() takes 4 arguments, not %zd", nargs);
        return NULL;
    }
    // @gap
    PyObject *result = NULL;
    Py_buffer image = {0}, out = {0}; /* releasing one that was never filled does nothing */
    if (PyObject_GetBuffer(args[0], &image, PyBUF_STRIDED_RO | PyBUF_FORMAT) < 0) {
        return NULL;
    }
    if (PyObject_GetBuffer(args[3], &out, PyBUF_STRIDED | PyBUF_FORMAT) < 0) {
        goto done;
    }
    if (!has_format(&image, 'B') || !has_format(&out, 'f')) {
        PyErr_Format(PyExc_TypeError, "want uint8 (B) into float32 (f), not %s into %s",
                     image.format ? image.format : "B", out.format ? out.format : "B");
        goto done;
    }
    if (image.ndim != 3 || out.ndim != 3 || out.shape[0] != image.shape[2] || out.shape[1] != image.shape[0] ||
        out.shape[2] != image.shape[1] || image.shape[2] > MOST_CHANNELS) {
        PyErr_SetString(PyExc_ValueError, "want an image (height, width, channel) and an output (channel, height, width)");
        goto done;
    }
    double mean[MOST_CHANNELS], std[MOST_CHANNELS];
    Py_ssize_t channels = image.shape[2];
    if (read_numbers(args[1], channels, mean) < 0 || read_numbers(args[2], channels, std) < 0) {
        goto done;
    }
    float scale[MOST_CHANNELS], shift[MOST_CHANNELS];
    for (Py_ssize_t c = 0; c < channels; c++) {
        scale[c] = (float)(1.0 / (255.0 * std[c]));
        shift[c] = (float)(-mean[c] / std[c]);
    }
    normalize_pixels(&image, &out, scale, shift);
    result = Py_NewRef(Py_None);
done:
    PyBuffer_Release(&out);
    PyBuffer_Release(&image);
    return result;
    //| /* TODO: get both buffers, check format and shape, read mean and std, work, release both on every way out. */
    //| (void)read_numbers, (void)has_format, (void)normalize_pixels;
    //| Py_RETURN_NONE;
    // @end
}

static PyMethodDef methods[] = {
    {"normalize", (PyCFunction)(void (*)(void))normalize, METH_FASTCALL, "normalize(image, mean, std, out)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "u8norm", .m_doc = "Images into tensors.", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC
PyInit_u8norm(void)
{
    return PyModuleDef_Init(&module);
}
