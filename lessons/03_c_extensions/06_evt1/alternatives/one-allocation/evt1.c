/* All columns lie in one block of memory, which belongs to a capsule; the capsule is the base of each array. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_1_20_API_VERSION
#include <numpy/arrayobject.h>
#include <stdint.h>

static uint64_t get(const unsigned char *at, size_t bytes) {
    uint64_t value = 0;
    memcpy(&value, at, bytes); /* little-endian, as the machine is */
    return value;
}

struct totals {
    size_t records, features, tokens;
};

/* NULL when the shard is right, else what is wrong with record number `sum->records`. */
static const char *examine(const unsigned char *at, size_t left, size_t claimed, struct totals *sum) {
    while (sum->records < claimed) {
        if (left < 20) return "is incomplete";
        size_t features = at[13], tokens = get(at + 14, 2);
        size_t checked = 16 + 4 * features + 2 * tokens;
        if (left < checked + 4) return "is incomplete";
        uint32_t check = 0;
        for (size_t i = 0; i < checked; i++) check += at[i];
        if (check != get(at + checked, 4)) return "does not have the sum that it claims";
        at += checked + 4;
        left -= checked + 4;
        sum->features += features;
        sum->tokens += tokens;
        sum->records++;
    }
    return left > 0 ? "should not be there" : NULL;
}

enum { COLUMNS = 7 };

static const struct column {
    int type;
    size_t width;
} columns[COLUMNS] = {
    {NPY_UINT64, 8}, {NPY_UINT32, 4}, {NPY_UINT8, 1}, {NPY_INT64, 8}, {NPY_FLOAT32, 4}, {NPY_INT64, 8}, {NPY_UINT16, 2},
};

static void column_lengths(const struct totals *sum, npy_intp lengths[COLUMNS]) {
    lengths[0] = lengths[1] = lengths[2] = (npy_intp)sum->records;
    lengths[3] = lengths[5] = (npy_intp)sum->records + 1;
    lengths[4] = (npy_intp)sum->features;
    lengths[6] = (npy_intp)sum->tokens;
}

/* 0 when the shard has other records than before. */
static int distribute(const unsigned char *at, const struct totals *sum, char *const to[COLUMNS]) {
    int64_t feature = 0, token = 0;
    size_t features_left = sum->features, tokens_left = sum->tokens;
    for (size_t i = 0;; i++) {
        memcpy(to[3] + 8 * i, &feature, 8);
        memcpy(to[5] + 8 * i, &token, 8);
        if (i == sum->records) return 1;
        memcpy(to[0] + 8 * i, at, 8);
        memcpy(to[1] + 4 * i, at + 8, 4);
        to[2][i] = (char)at[12];
        size_t features = at[13], tokens = get(at + 14, 2);
        if (features > features_left || tokens > tokens_left) return 0;
        features_left -= features;
        tokens_left -= tokens;
        memcpy(to[4] + 4 * feature, at + 16, 4 * features);
        memcpy(to[6] + 2 * token, at + 16 + 4 * features, 2 * tokens);
        feature += (int64_t)features;
        token += (int64_t)tokens;
        at += 20 + 4 * features + 2 * tokens;
    }
}

static void free_block(PyObject *capsule) {
    PyMem_RawFree(PyCapsule_GetPointer(capsule, NULL));
}

/* A capsule that owns room for all columns, each at a multiple of 64 bytes: `to` says where. */
static PyObject *new_block(const npy_intp lengths[COLUMNS], char *to[COLUMNS]) {
    size_t starts[COLUMNS], size = 0;
    for (int i = 0; i < COLUMNS; i++) {
        starts[i] = size;
        size += ((size_t)lengths[i] * columns[i].width + 63) / 64 * 64;
    }
    char *block = PyMem_RawMalloc(size);
    if (block == NULL) return PyErr_NoMemory();
    for (int i = 0; i < COLUMNS; i++) to[i] = block + starts[i];
    PyObject *capsule = PyCapsule_New(block, NULL, free_block);
    if (capsule == NULL) PyMem_RawFree(block);
    return capsule;
}

static PyObject *arrays_of(PyObject *block, const npy_intp lengths[COLUMNS], char *const to[COLUMNS]) {
    PyObject *result = PyTuple_New(COLUMNS);
    for (int i = 0; result != NULL && i < COLUMNS; i++) {
        PyObject *array = PyArray_SimpleNewFromData(1, lengths + i, columns[i].type, to[i]);
        if (array != NULL) {
            PyTuple_SET_ITEM(result, i, array);
            Py_INCREF(block); /* stolen by the next line, also when it fails */
        }
        if (array == NULL || PyArray_SetBaseObject((PyArrayObject *)array, block) < 0) Py_CLEAR(result);
    }
    return result;
}

static PyObject *columns_of(const unsigned char *records, const struct totals *sum) {
    npy_intp lengths[COLUMNS];
    char *to[COLUMNS];
    column_lengths(sum, lengths);
    PyObject *result = NULL, *block = new_block(lengths, to);
    if (block == NULL) return NULL;
    int same;
    Py_BEGIN_ALLOW_THREADS;
    same = distribute(records, sum, to);
    Py_END_ALLOW_THREADS;
    if (same) {
        result = arrays_of(block, lengths, to);
    } else {
        PyErr_SetString(PyExc_ValueError, "the shard has changed during the call");
    }
    Py_DECREF(block);
    return result;
}

static PyObject *parse(PyObject *module, PyObject *source) {
    PyObject *result = NULL;
    Py_buffer shard;
    if (PyObject_GetBuffer(source, &shard, PyBUF_C_CONTIGUOUS) < 0) return NULL;
    const unsigned char *start = shard.buf;
    if (shard.len < 8 || get(start, 4) != 0x31545645 /* "EVT1" */) {
        PyErr_SetString(PyExc_ValueError, "the header is not one of an EVT1 shard");
        goto end;
    }
    struct totals sum = {0, 0, 0};
    const char *wrong;
    Py_BEGIN_ALLOW_THREADS;
    wrong = examine(start + 8, (size_t)shard.len - 8, get(start + 4, 4), &sum);
    Py_END_ALLOW_THREADS;
    if (wrong == NULL) {
        result = columns_of(start + 8, &sum);
    } else {
        PyErr_Format(PyExc_ValueError, "record %zu %s", sum.records, wrong);
    }
end:
    PyBuffer_Release(&shard);
    return result;
}

static PyMethodDef methods[] = {
    {"parse", parse, METH_O, PyDoc_STR("parse(shard): seven columns.")},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "evt1", NULL, -1, methods};

PyMODINIT_FUNC PyInit_evt1(void) {
    import_array();
    return PyModule_Create(&module);
}
