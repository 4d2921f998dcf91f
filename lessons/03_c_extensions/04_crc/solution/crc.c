/* crc: CRC32C checksums of shards, computed while other Python threads run. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* table[0][b]: what the byte b does to a checksum; table[k][b]: the same with k zero bytes after it. */
static uint32_t table[8][256];

static void
fill_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0); /* the Castagnoli polynomial, bits reversed */
        }
        table[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++) {
        for (int byte = 0; byte < 256; byte++) {
            table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xFF];
        }
    }
}

/* The checksum of some bytes followed by `size` more; `crc` is the checksum of the former, 0 of none. No Python here. */
static uint32_t
extend(uint32_t crc, const uint8_t *bytes, Py_ssize_t size)
{
    // @gap
    crc = ~crc;
    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        word ^= crc;
        crc = table[7][word & 0xFF] ^ table[6][word >> 8 & 0xFF] ^ table[5][word >> 16 & 0xFF] ^
              table[4][word >> 24 & 0xFF] ^ table[3][word >> 32 & 0xFF] ^ table[2][word >> 40 & 0xFF] ^
              table[1][word >> 48 & 0xFF] ^ table[0][word >> 56];
    }
    for (; size > 0; size--, bytes++) {
        crc = (crc >> 8) ^ table[0][(crc ^ *bytes) & 0xFF];
    }
    return ~crc;
    //| /* TODO: a byte at a time is crc = (crc >> 8) ^ table[0][(crc ^ byte) & 0xFF], on the inverted checksum. */
    //| (void)bytes, (void)size;
    //| return crc;
    // @end
}

/* Whether a buffer holds unsigned numbers of four bytes in this machine's order. */
static int
is_uint32(const Py_buffer *view)
{
    const char *format = view->format != NULL ? view->format : "B";
    format += *format == '@' || *format == '=' || *format == '<';
    return view->itemsize == 4 && (*format == 'I' || *format == 'L') && format[1] == '\0';
}

/* crc32c(data, value=0): the checksum of `data`, continuing from `value`. */
static PyObject *
crc32c(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 2) {
        PyErr_Format(PyExc_TypeError, "crc32c() takes 1 or 2 arguments, not %zd", nargs);
        return NULL;
    }
    // @gap
    unsigned long value = nargs == 2 ? PyLong_AsUnsignedLong(args[1]) : 0;
    if (value == (unsigned long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    if (value > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a CRC32C has 32 bits");
        return NULL;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    uint32_t crc;
    Py_BEGIN_ALLOW_THREADS
    crc = extend((uint32_t)value, view.buf, view.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    return PyLong_FromUnsignedLong(crc);
    //| /* TODO: read the value, pin the data, let other threads run while you compute. */
    //| (void)extend;
    //| return PyLong_FromUnsignedLong(0);
    // @end
}

/* verify(shard, block, expected): None when each block of `block` bytes has its checksum, ValueError otherwise. */
static PyObject *
verify(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 3) {
        PyErr_Format(PyExc_TypeError, "verify() takes 3 arguments, not %zd", nargs);
        return NULL;
    }
    Py_ssize_t block = PyNumber_AsSsize_t(args[1], PyExc_OverflowError);
    if (block == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (block < 1) {
        PyErr_SetString(PyExc_ValueError, "a block has at least 1 byte");
        return NULL;
    }
    // @gap
    PyObject *result = NULL;
    Py_buffer shard = {0}, expected = {0};
    if (PyObject_GetBuffer(args[0], &shard, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (PyObject_GetBuffer(args[2], &expected, PyBUF_ND | PyBUF_FORMAT) < 0) {
        goto done;
    }
    if (!is_uint32(&expected)) {
        PyErr_SetString(PyExc_TypeError, "the checksums must be 32-bit unsigned numbers");
        goto done;
    }
    Py_ssize_t blocks = shard.len / block + (shard.len % block != 0);
    if (blocks != expected.len / 4) {
        PyErr_Format(PyExc_ValueError, "%zd blocks, but %zd checksums", blocks, expected.len / 4);
        goto done;
    }
    Py_ssize_t bad = -1; /* what goes wrong without the GIL is noted, and raised with it */
    Py_BEGIN_ALLOW_THREADS
    const uint8_t *bytes = shard.buf;
    for (Py_ssize_t i = 0; i < blocks && bad < 0; i++) {
        Py_ssize_t left = shard.len - i * block;
        uint32_t got = extend(0, bytes + i * block, left < block ? left : block);
        if (memcmp(&got, (const char *)expected.buf + 4 * i, sizeof got) != 0) {
            bad = i;
        }
    }
    Py_END_ALLOW_THREADS
    if (bad >= 0) {
        PyErr_Format(PyExc_ValueError, "block %zd has a wrong checksum", bad);
        goto done;
    }
    result = Py_NewRef(Py_None);
done:
    PyBuffer_Release(&expected);
    PyBuffer_Release(&shard);
    return result;
    //| /* TODO: pin the shard and the checksums, compare without the GIL, raise with it. */
    //| (void)is_uint32, (void)block;
    //| Py_RETURN_NONE;
    // @end
}

static PyMethodDef methods[] = {
    {"crc32c", (PyCFunction)(void (*)(void))crc32c, METH_FASTCALL, "crc32c(data, value=0): a CRC32C checksum."},
    {"verify", (PyCFunction)(void (*)(void))verify, METH_FASTCALL, "verify(shard, block, expected): check all blocks."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "crc", .m_doc = "CRC32C checksums.", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC
PyInit_crc(void)
{
    fill_table();
    return PyModuleDef_Init(&module);
}
