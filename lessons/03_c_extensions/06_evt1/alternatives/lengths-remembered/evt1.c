/* The first pass notes the lengths of every record; the second looks at no length in the shard again. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <numpy/arrayobject.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 8, FIXED = 16, CHECKSUM = 4 }; /* bytes: of the file's header, before and after a record's payload */

/* Records start at any byte: numbers are copied out, never read through a cast pointer. */
static inline uint16_t load_u16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t load_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t load_u64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The shard, what was found in it, and, when it is damaged, where. Filled in without the GIL: no Python objects. */
typedef struct {
    const uint8_t *data;
    int64_t size;     /* bytes of the shard */
    int64_t records;  /* as its header says */
    int64_t features; /* of all records together */
    int64_t tokens;
    int64_t bad;      /* number of the damaged record; `records` for the end of the shard */
    const char *why;  /* NULL as long as nothing is wrong */
    uint32_t *shapes; /* of every record: features, and tokens shifted by 8 */
} Shard;

/* Where the columns lie. */
typedef struct {
    uint64_t *timestamps;
    uint32_t *users;
    uint8_t *labels;
    int64_t *feature_offsets; /* records + 1 of them */
    float *features;
    int64_t *token_offsets; /* records + 1 of them */
    uint16_t *tokens;
} Columns;

/* The sum of `count` bytes modulo 2^32. */
static uint32_t sum_of_bytes(const uint8_t *bytes, int64_t count) {
    /* Eight bytes at a time: even and odd bytes are added into four lanes of 16 bits, which hold 128 rounds. */
    const uint64_t low_bytes = 0x00FF00FF00FF00FFu, low_halves = 0x0000FFFF0000FFFFu;
    uint64_t sum = 0;
    while (count >= 8) {
        uint64_t lanes = 0;
        for (int round = 0; round < 128 && count >= 8; round++, bytes += 8, count -= 8) {
            uint64_t word = load_u64(bytes);
            lanes += (word & low_bytes) + ((word >> 8) & low_bytes);
        }
        lanes = (lanes & low_halves) + ((lanes >> 16) & low_halves);
        sum += (uint32_t)lanes + (lanes >> 32);
    }
    for (; count > 0; count--) {
        sum += *bytes++;
    }
    return (uint32_t)sum;
}

/* Walk over all records and check them; count features and tokens. On damage set `bad` and `why`, and return. */
static void survey(Shard *shard) {
    int64_t at = HEADER; /* never beyond size, so size - at does not go below zero */
    for (int64_t i = 0; i < shard->records; i++) {
        const uint8_t *record = shard->data + at;
        int64_t left = shard->size - at;
        shard->bad = i;
        if (left < FIXED + CHECKSUM) {
            shard->why = "is cut off";
            return;
        }
        int64_t features = record[13], tokens = load_u16(record + 14);
        int64_t body = FIXED + 4 * features + 2 * tokens;
        if (left - CHECKSUM < body) {
            shard->why = "is cut off";
            return;
        }
        if (sum_of_bytes(record, body) != load_u32(record + body)) {
            shard->why = "has a wrong checksum";
            return;
        }
        if ((i & (i - 1)) == 0) { /* a power of two: make room for as many again */
            uint32_t *more = realloc(shard->shapes, (size_t)(i ? 2 * i : 1) * sizeof *more);
            if (more == NULL) {
                shard->why = "finds no memory";
                return;
            }
            shard->shapes = more;
        }
        shard->shapes[i] = (uint32_t)(features | tokens << 8);
        shard->features += features;
        shard->tokens += tokens;
        at += body + CHECKSUM;
    }
    shard->bad = shard->records;
    shard->why = at == shard->size ? NULL : "does not exist, but there are bytes left";
}

/* Copy all records into the columns, which have the sizes that survey() found. */
static void fill(Shard *shard, const Columns *to) {
    const uint8_t *at = shard->data + HEADER;
    int64_t feature = 0, token = 0;
    to->feature_offsets[0] = to->token_offsets[0] = 0;
    for (int64_t i = 0; i < shard->records; i++) {
        int64_t features = shard->shapes[i] & 255, tokens = shard->shapes[i] >> 8;
        to->timestamps[i] = load_u64(at);
        to->users[i] = load_u32(at + 8);
        to->labels[i] = at[12];
        at += FIXED;
        memcpy(to->features + feature, at, 4 * features);
        at += 4 * features;
        memcpy(to->tokens + token, at, 2 * tokens);
        at += 2 * tokens + CHECKSUM;
        to->feature_offsets[i + 1] = feature += features;
        to->token_offsets[i + 1] = token += tokens;
    }
}

/* A new uninitialised 1-d array as item `place` of the tuple `row`; its memory, or NULL with an exception set. */
static void *new_column(PyObject *row, int place, npy_intp length, int type) {
    PyObject *array = PyArray_SimpleNew(1, &length, type);
    if (array == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(row, place, array); /* steals: the tuple frees it, also when a later column fails */
    return PyArray_DATA((PyArrayObject *)array);
}

/* The tuple of the seven columns for `shard`, not filled yet: a new reference, or NULL with an exception set. */
static PyObject *new_columns(const Shard *shard, Columns *to) {
    PyObject *row = PyTuple_New(7);
    if (row == NULL || !(to->timestamps = new_column(row, 0, shard->records, NPY_UINT64)) ||
        !(to->users = new_column(row, 1, shard->records, NPY_UINT32)) ||
        !(to->labels = new_column(row, 2, shard->records, NPY_UINT8)) ||
        !(to->feature_offsets = new_column(row, 3, shard->records + 1, NPY_INT64)) ||
        !(to->features = new_column(row, 4, shard->features, NPY_FLOAT32)) ||
        !(to->token_offsets = new_column(row, 5, shard->records + 1, NPY_INT64)) ||
        !(to->tokens = new_column(row, 6, shard->tokens, NPY_UINT16))) {
        Py_CLEAR(row);
    }
    return row;
}

/* parse(shard): the seven columns. ValueError for a damaged shard. */
static PyObject *parse(PyObject *self, PyObject *source) {
    Py_buffer view;
    if (PyObject_GetBuffer(source, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    Shard shard = {.data = view.buf, .size = view.len};
    if (shard.size < HEADER || memcmp(shard.data, "EVT1", 4) != 0) {
        PyErr_SetString(PyExc_ValueError, "header: not an EVT1 shard");
        goto done;
    }
    shard.records = load_u32(shard.data + 4);
    PyThreadState *saved = PyEval_SaveThread();
    survey(&shard);
    PyEval_RestoreThread(saved);
    if (shard.why == NULL) {
        Columns columns;
        result = new_columns(&shard, &columns);
        if (result == NULL) {
            goto done;
        }
        Py_BEGIN_ALLOW_THREADS fill(&shard, &columns);
        Py_END_ALLOW_THREADS
    }
    if (shard.why != NULL) {
        Py_CLEAR(result);
        PyErr_Format(PyExc_ValueError, "record %lld %s", (long long)shard.bad, shard.why);
    }
done:
    free(shard.shapes);
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef methods[] = {
    {"parse", parse, METH_O,
     "parse(shard): timestamps, users, labels, feature offsets, features, token offsets, tokens."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "evt1", .m_doc = "Shards of event records.", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit_evt1(void) {
    import_array(); /* fills the table through which NumPy's C functions are called; returns NULL when it can't */
    return PyModuleDef_Init(&module);
}
