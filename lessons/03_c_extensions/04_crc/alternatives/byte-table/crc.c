/* PyArg_ParseTuple pins the data ("y*"), the GIL is let go with PyEval_SaveThread, and one table of 256 does. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

static const uint32_t POLYNOMIAL = 0x82F63B78;
static uint32_t effect_of[256];

static void prepare(void) {
    for (unsigned byte = 0; byte < 256; ++byte) {
        uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit) {
            if (rest & 1) {
                rest = rest >> 1 ^ POLYNOMIAL;
            } else {
                rest >>= 1;
            }
        }
        effect_of[byte] = rest;
    }
}

static uint32_t checksum(const unsigned char *data, Py_ssize_t length, uint32_t before) {
    uint32_t sum = before ^ 0xFFFFFFFF;
    const unsigned char *end = data + length;
    while (data != end) {
        sum = effect_of[(unsigned char)(sum ^ *data++)] ^ sum >> 8;
    }
    return sum ^ 0xFFFFFFFF;
}

static int to_uint32(PyObject *object, void *result) {
    unsigned long long number = PyLong_AsUnsignedLongLong(object);
    if (PyErr_Occurred()) {
        return 0;
    }
    if (number > 0xFFFFFFFF) {
        PyErr_Format(PyExc_OverflowError, "%llu has more than 32 bits", number);
        return 0;
    }
    *(uint32_t *)result = (uint32_t)number;
    return 1;
}

static PyObject *crc32c(PyObject *self, PyObject *args) {
    Py_buffer data;
    uint32_t value = 0;
    if (!PyArg_ParseTuple(args, "y*|O&:crc32c", &data, to_uint32, &value)) {
        return NULL; /* PyArg_ParseTuple has released the buffer when what follows it is wrong */
    }
    /* Like hashlib: for a few bytes it doesn't pay to let others run. */
    PyThreadState *state = data.len >= 2048 ? PyEval_SaveThread() : NULL;
    value = checksum(data.buf, data.len, value);
    if (state) {
        PyEval_RestoreThread(state);
    }
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(value);
}

static bool holds_uint32(const Py_buffer *view) {
    const char *format = view->format ? view->format : "B";
    if (strchr("@=<", format[0])) {
        ++format;
    }
    return view->itemsize == sizeof(uint32_t) && (!strcmp(format, "I") || !strcmp(format, "L"));
}

/* The number of the first block whose checksum is another, `blocks` when there is none. Without the GIL. */
static Py_ssize_t first_damaged(const Py_buffer *shard, Py_ssize_t block, const unsigned char *sums,
                                Py_ssize_t blocks) {
    const unsigned char *start = shard->buf;
    Py_ssize_t left = shard->len;
    Py_ssize_t number = 0;
    for (; number < blocks; ++number) {
        Py_ssize_t length = left < block ? left : block;
        uint32_t sum = checksum(start, length, 0);
        if (memcmp(&sum, sums, sizeof sum)) {
            break;
        }
        sums += sizeof sum;
        start += length;
        left -= length;
    }
    return number;
}

static PyObject *verify_pinned(const Py_buffer *shard, Py_ssize_t block, const Py_buffer *sums) {
    if (!holds_uint32(sums)) {
        PyErr_SetString(PyExc_TypeError, "checksums must be uint32");
        return NULL;
    }
    Py_ssize_t blocks = shard->len == 0 ? 0 : (shard->len - 1) / block + 1;
    Py_ssize_t given = sums->len / (Py_ssize_t)sizeof(uint32_t);
    if (given != blocks) {
        return PyErr_Format(PyExc_ValueError, "want %zd checksums, got %zd", blocks, given);
    }
    PyThreadState *state = PyEval_SaveThread();
    Py_ssize_t bad = first_damaged(shard, block, sums->buf, blocks);
    PyEval_RestoreThread(state);
    if (bad < blocks) {
        return PyErr_Format(PyExc_ValueError, "the checksum of block %zd is wrong", bad);
    }
    Py_RETURN_NONE;
}

static PyObject *verify(PyObject *self, PyObject *args) {
    Py_buffer shard, sums;
    Py_ssize_t block;
    PyObject *expected;
    if (!PyArg_ParseTuple(args, "y*nO:verify", &shard, &block, &expected)) {
        return NULL;
    }
    PyObject *result = NULL;
    if (block <= 0) {
        PyErr_SetString(PyExc_ValueError, "blocks must have a byte at least");
    } else if (PyObject_GetBuffer(expected, &sums, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) == 0) {
        result = verify_pinned(&shard, block, &sums);
        PyBuffer_Release(&sums);
    }
    PyBuffer_Release(&shard);
    return result;
}

static PyMethodDef methods[] = {
    {"verify", verify, METH_VARARGS, "verify(shard, block, expected)"},
    {"crc32c", crc32c, METH_VARARGS, "crc32c(data, value=0)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "crc", NULL, -1, methods};

PyMODINIT_FUNC PyInit_crc(void) {
    prepare();
    return PyModule_Create(&module);
}
