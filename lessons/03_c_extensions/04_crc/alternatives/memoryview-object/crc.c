/* Memory is pinned by memoryview objects; the sum is made by the processor where it can (SSE 4.2), bit by bit elsewhere. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint32_t (*Update)(uint32_t crc, const uint8_t *bytes, size_t size);

static uint32_t update_by_bits(uint32_t crc, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
        }
    }
    return crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t update_by_processor(uint32_t crc, const uint8_t *bytes, size_t size) {
    uint64_t wide = crc;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof(word));
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; i < size; i++) {
        crc = _mm_crc32_u8(crc, bytes[i]);
    }
    return crc;
}
#endif

static Update update = update_by_bits;

static uint32_t extend(uint32_t crc, const uint8_t *bytes, size_t size) {
    return ~update(~crc, bytes, size);
}

/* A memoryview of a contiguous block, new reference, or NULL with an exception set. */
static PyObject *pinned(PyObject *source) {
    PyObject *view = PyMemoryView_FromObject(source);
    if (view != NULL && !PyBuffer_IsContiguous(PyMemoryView_GET_BUFFER(view), 'C')) {
        PyErr_SetString(PyExc_BufferError, "the memory is not one block");
        Py_CLEAR(view);
    }
    return view;
}

static PyObject *crc32c(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    if (nargs != 1 && nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "crc32c(data, value=0)");
        return NULL;
    }
    PyObject *view = pinned(args[0]);
    if (view == NULL) {
        return NULL;
    }
    unsigned long value = 0;
    if (nargs == 2) {
        value = PyLong_AsUnsignedLong(args[1]);
        if (!PyErr_Occurred() && (value >> 31) >> 1 != 0) {
            PyErr_SetString(PyExc_OverflowError, "the checksum of what came before has 32 bits");
        }
        if (PyErr_Occurred()) {
            Py_DECREF(view);
            return NULL;
        }
    }
    const Py_buffer *buffer = PyMemoryView_GET_BUFFER(view);
    Py_BEGIN_ALLOW_THREADS;
    value = extend((uint32_t)value, buffer->buf, (size_t)buffer->len);
    Py_END_ALLOW_THREADS;
    Py_DECREF(view);
    return PyLong_FromUnsignedLong(value);
}

static int is_uint32(const Py_buffer *view) {
    static const char *const good[] = {"I", "@I", "=I", "<I", "L", "=L", "<L"};
    if (view->itemsize != 4) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        if (strcmp(view->format, good[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

enum { ALL_RIGHT = -1, ANOTHER_NUMBER = -2 };

/* Number of the first wrong block, or one of the two above; works without the GIL. */
static Py_ssize_t compare(const Py_buffer *shard, Py_ssize_t block, const Py_buffer *expected) {
    const uint8_t *bytes = shard->buf;
    const char *sums = expected->buf;
    Py_ssize_t number = 0, given = expected->len / 4;
    Py_ssize_t needed = shard->len / block;
    if (shard->len % block) {
        needed++;
    }
    if (needed != given) {
        return ANOTHER_NUMBER;
    }
    for (Py_ssize_t done = 0; number < needed; number++) {
        size_t size = (size_t)Py_MIN(block, shard->len - done);
        uint32_t want;
        memcpy(&want, sums + number * 4, sizeof(want));
        if (extend(0, bytes + done, size) != want) {
            return number;
        }
        done += (Py_ssize_t)size;
    }
    return ALL_RIGHT;
}

static PyObject *verify(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    if (nargs != 3) {
        PyErr_SetString(PyExc_TypeError, "verify(shard, block, expected)");
        return NULL;
    }
    Py_ssize_t block = PyLong_AsSsize_t(args[1]);
    if (block == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (block < 1) {
        PyErr_SetString(PyExc_ValueError, "a block of no bytes");
        return NULL;
    }
    PyObject *shard = pinned(args[0]);
    PyObject *expected = shard != NULL ? pinned(args[2]) : NULL;
    Py_ssize_t found;
    if (expected == NULL) {
        goto error;
    }
    if (!is_uint32(PyMemoryView_GET_BUFFER(expected))) {
        PyErr_SetString(PyExc_TypeError, "expected must be uint32");
        goto error;
    }
    Py_BEGIN_ALLOW_THREADS;
    found = compare(PyMemoryView_GET_BUFFER(shard), block, PyMemoryView_GET_BUFFER(expected));
    Py_END_ALLOW_THREADS;
    if (found == ANOTHER_NUMBER) {
        PyErr_SetString(PyExc_ValueError, "want one checksum for each block");
        goto error;
    }
    if (found >= 0) {
        PyErr_Format(PyExc_ValueError, "block %zd is damaged", found);
        goto error;
    }
    Py_DECREF(expected);
    Py_DECREF(shard);
    Py_RETURN_NONE;

error:
    Py_XDECREF(expected);
    Py_XDECREF(shard);
    return NULL;
}

static int start(PyObject *Py_UNUSED(module)) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        update = update_by_processor;
    }
#endif
    return 0;
}

static PyMethodDef methods[] = {
    {"crc32c", (PyCFunction)(void (*)(void))crc32c, METH_FASTCALL, NULL},
    {"verify", (PyCFunction)(void (*)(void))verify, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, start}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "crc", .m_doc = "CRC32C by the processor.", .m_methods = methods, .m_slots = slots,
};

PyMODINIT_FUNC PyInit_crc(void) {
    return PyModuleDef_Init(&module);
}
