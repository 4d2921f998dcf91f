/* PyArg_ParseTuple pins the shard, a cursor of two pointers walks over it, and the sum is a plain loop over bytes. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <numpy/arrayobject.h>
#include <stdbool.h>
#include <stdint.h>

typedef const unsigned char *Bytes;

static uint64_t little_endian(Bytes at, int count) {
    uint64_t value = 0;
    while (count-- > 0) value = value << 8 | at[count];
    return value;
}

/* A record as it lies in the shard; `features` and `tokens` point into it. */
typedef struct {
    uint64_t timestamp;
    uint32_t user;
    uint8_t label;
    size_t n_features, n_tokens;
    Bytes features, tokens;
} Event;

typedef enum { WHOLE, CUT_OFF, WRONG_SUM } State;

static const char *const COMPLAINTS[] = {"", "is cut off", "has a wrong checksum"};

/* Reads the record at `*cursor`, and moves on behind it when it is whole. */
static State read_event(Bytes *cursor, Bytes end, Event *event, bool verify) {
    Bytes at = *cursor;
    size_t left = (size_t)(end - at);
    if (left < 20) return CUT_OFF;
    event->timestamp = little_endian(at, 8);
    event->user = (uint32_t)little_endian(at + 8, 4);
    event->label = at[12];
    event->n_features = at[13];
    event->n_tokens = (size_t)little_endian(at + 14, 2);
    event->features = at + 16;
    size_t length = 20 + event->n_features * 4 + event->n_tokens * 2;
    if (left < length) return CUT_OFF;
    event->tokens = event->features + event->n_features * 4;
    Bytes behind = at + length;
    if (verify) {
        uint32_t sum = 0;
        for (; at < behind - 4; at++) sum += *at;
        if (sum != little_endian(behind - 4, 4)) return WRONG_SUM;
    }
    *cursor = behind;
    return WHOLE;
}

typedef struct {
    npy_intp events, features, tokens;
} Counts;

/* How many features and tokens there are. Sets `damage` when a record is damaged: `counts->events` is its number then. */
static void count(Bytes cursor, Bytes end, npy_intp claimed, Counts *counts, const char **damage) {
    Event event;
    for (counts->events = 0; counts->events < claimed; counts->events++) {
        State state = read_event(&cursor, end, &event, true);
        if (state != WHOLE) {
            *damage = COMPLAINTS[state];
            return;
        }
        counts->features += (npy_intp)event.n_features;
        counts->tokens += (npy_intp)event.n_tokens;
    }
    if (cursor != end) *damage = "is one too many: the header knows of fewer";
}

enum { TIMESTAMPS, USERS, LABELS, FEATURE_OFFSETS, FEATURES, TOKEN_OFFSETS, TOKENS, COLUMNS };

static PyObject *allocate(const Counts *counts, void *data[COLUMNS]) {
    const npy_intp n = counts->events;
    const npy_intp lengths[COLUMNS] = {n, n, n, n + 1, counts->features, n + 1, counts->tokens};
    static const int types[COLUMNS] = {NPY_UINT64,  NPY_UINT32, NPY_UINT8, NPY_INT64,
                                       NPY_FLOAT32, NPY_INT64,  NPY_UINT16};
    PyObject *tuple = PyTuple_New(COLUMNS);
    for (int i = 0; tuple && i < COLUMNS; i++) {
        PyObject *array = PyArray_EMPTY(1, lengths + i, types[i], 0);
        if (!array) {
            Py_DECREF(tuple);
            return NULL;
        }
        data[i] = PyArray_DATA((PyArrayObject *)array);
        PyTuple_SET_ITEM(tuple, i, array);
    }
    return tuple;
}

/* false: the shard is not any more what it was when it was counted. */
static bool copy(Bytes cursor, Bytes end, const Counts *counts, void *const data[COLUMNS]) {
    uint64_t *timestamps = data[TIMESTAMPS];
    uint32_t *users = data[USERS];
    uint8_t *labels = data[LABELS];
    int64_t *feature_offsets = data[FEATURE_OFFSETS], *token_offsets = data[TOKEN_OFFSETS];
    char *features = data[FEATURES], *tokens = data[TOKENS];
    size_t feature_room = (size_t)counts->features, token_room = (size_t)counts->tokens;
    int64_t feature = 0, token = 0;
    for (npy_intp i = 0; i < counts->events; i++) {
        Event event;
        feature_offsets[i] = feature;
        token_offsets[i] = token;
        if (read_event(&cursor, end, &event, false) != WHOLE) return false;
        if (event.n_features > feature_room || event.n_tokens > token_room) return false;
        timestamps[i] = event.timestamp;
        users[i] = event.user;
        labels[i] = event.label;
        memcpy(features + 4 * feature, event.features, 4 * event.n_features);
        memcpy(tokens + 2 * token, event.tokens, 2 * event.n_tokens);
        feature += (int64_t)event.n_features;
        token += (int64_t)event.n_tokens;
        feature_room -= event.n_features;
        token_room -= event.n_tokens;
    }
    feature_offsets[counts->events] = feature;
    token_offsets[counts->events] = token;
    return feature_room == 0 && token_room == 0;
}

static PyObject *parse_bytes(Bytes start, Bytes end) {
    if (end - start < 8) {
        PyErr_SetString(PyExc_ValueError, "a header has 8 bytes");
        return NULL;
    }
    if (memcmp(start, "EVT1", 4)) {
        PyErr_SetString(PyExc_ValueError, "the header is not that of an EVT1 shard");
        return NULL;
    }
    Counts counts = {0};
    const char *damage = NULL;
    npy_intp claimed = (npy_intp)little_endian(start + 4, 4);

    PyThreadState *thread = PyEval_SaveThread();
    count(start + 8, end, claimed, &counts, &damage);
    PyEval_RestoreThread(thread);
    if (damage) return PyErr_Format(PyExc_ValueError, "record %zd %s", (Py_ssize_t)counts.events, damage);

    void *data[COLUMNS];
    PyObject *columns = allocate(&counts, data);
    if (!columns) return NULL;
    thread = PyEval_SaveThread();
    bool same = copy(start + 8, end, &counts, data);
    PyEval_RestoreThread(thread);
    if (!same) {
        Py_DECREF(columns);
        return PyErr_Format(PyExc_ValueError, "the shard was written to while it was read");
    }
    return columns;
}

static PyObject *parse(PyObject *module, PyObject *args) {
    Py_buffer shard;
    if (!PyArg_ParseTuple(args, "y*:parse", &shard)) return NULL;
    PyObject *columns = parse_bytes(shard.buf, (Bytes)shard.buf + shard.len);
    PyBuffer_Release(&shard);
    return columns;
}

static PyMethodDef functions[] = {{"parse", parse, METH_VARARGS, "The columns of a shard."}, {NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "evt1", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit_evt1(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyArray_ImportNumPyAPI() < 0) Py_CLEAR(module);
    return module;
}
