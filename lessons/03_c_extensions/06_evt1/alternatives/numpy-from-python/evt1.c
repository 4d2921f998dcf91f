/* numpy.empty is called like from Python, columns are written through their buffers, and nothing of NumPy is included. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef struct __attribute__((packed)) {
    uint64_t timestamp;
    uint32_t user;
    uint8_t label;
    uint8_t features;
    uint16_t tokens;
} Head;

static Head head_at(const char *data, Py_ssize_t at) {
    Head head;
    memcpy(&head, data + at, sizeof head);
    return head;
}

static Py_ssize_t payload(Head head) {
    return (Py_ssize_t)(head.features * sizeof(float) + head.tokens * sizeof(uint16_t));
}

/* Four sums that don't wait for each other. */
static uint32_t byte_sum(const char *data, Py_ssize_t size) {
    const uint8_t *bytes = (const uint8_t *)data;
    uint32_t sums[4] = {0, 0, 0, 0};
    Py_ssize_t i = 0;
    for (; i <= size - 4; i += 4) {
        for (int lane = 0; lane < 4; ++lane) {
            sums[lane] += bytes[i + lane];
        }
    }
    while (i < size) {
        sums[0] += bytes[i++];
    }
    return sums[0] + sums[1] + sums[2] + sums[3];
}

/* What the shard's records are found to be: `problem` is NULL when all is well, else `record` is where. */
typedef struct {
    Py_ssize_t record;
    Py_ssize_t features;
    Py_ssize_t tokens;
    const char *problem;
} Survey;

static Survey look_through(const char *data, Py_ssize_t size, Py_ssize_t records) {
    const Py_ssize_t around = (Py_ssize_t)(sizeof(Head) + sizeof(uint32_t));
    Survey found = {0, 0, 0, NULL};
    Py_ssize_t at = 8;
    while (found.record < records) {
        if (size - at < around || size - at - around < payload(head_at(data, at))) {
            found.problem = "ends too early";
            return found;
        }
        Head head = head_at(data, at);
        Py_ssize_t summed = (Py_ssize_t)sizeof(Head) + payload(head);
        uint32_t stored;
        memcpy(&stored, data + at + summed, sizeof stored);
        if (stored != byte_sum(data + at, summed)) {
            found.problem = "is damaged";
            return found;
        }
        at += summed + (Py_ssize_t)sizeof stored;
        found.features += head.features;
        found.tokens += head.tokens;
        ++found.record;
    }
    if (at < size) {
        found.problem = "is not announced in the head of the file, but bytes are left";
    }
    return found;
}

static const char *const TYPES[7] = {"uint64", "uint32", "uint8", "int64", "float32", "int64", "uint16"};

/* A list of seven arrays, whose buffers are taken: `taken` says how many of them. NULL with an exception set. */
static PyObject *make_arrays(const Survey *found, Py_buffer views[7], int *taken) {
    Py_ssize_t n = found->record;
    Py_ssize_t lengths[7] = {n, n, n, n + 1, found->features, n + 1, found->tokens};
    PyObject *numpy = PyImport_ImportModule("numpy");
    PyObject *arrays = numpy ? PyList_New(0) : NULL;
    for (*taken = 0; arrays && *taken < 7;) {
        PyObject *array = PyObject_CallMethod(numpy, "empty", "ns", lengths[*taken], TYPES[*taken]);
        if (array && PyList_Append(arrays, array) == 0 &&
            PyObject_GetBuffer(array, &views[*taken], PyBUF_CONTIG) == 0) {
            ++*taken;
        } else {
            Py_CLEAR(arrays);
        }
        Py_XDECREF(array);
    }
    Py_XDECREF(numpy);
    return arrays;
}

/* 0 when the records are no longer those that were counted. */
static int distribute(const char *data, const Survey *found, const Py_buffer views[7]) {
    uint64_t *timestamps = views[0].buf;
    uint32_t *users = views[1].buf;
    uint8_t *labels = views[2].buf;
    int64_t *first_feature = views[3].buf;
    float *features = views[4].buf;
    int64_t *first_token = views[5].buf;
    uint16_t *tokens = views[6].buf;

    *first_feature = *first_token = 0;
    for (Py_ssize_t i = 0; i < found->record; ++i) {
        Head head = head_at(data, 0);
        first_feature[1] = first_feature[0] + head.features;
        first_token[1] = first_token[0] + head.tokens;
        if (first_feature[1] > found->features || first_token[1] > found->tokens) {
            return 0;
        }
        timestamps[i] = head.timestamp;
        users[i] = head.user;
        labels[i] = head.label;
        data += sizeof head;
        memcpy(&features[*first_feature], data, head.features * sizeof *features);
        data += head.features * sizeof *features;
        memcpy(&tokens[*first_token], data, head.tokens * sizeof *tokens);
        data += head.tokens * sizeof *tokens + sizeof(uint32_t);
        ++first_feature;
        ++first_token;
    }
    return 1;
}

static PyObject *columns_of(const char *data, const Survey *found) {
    Py_buffer views[7];
    int taken, same = 1;
    PyObject *arrays = make_arrays(found, views, &taken);
    if (arrays) {
        Py_BEGIN_ALLOW_THREADS;
        same = distribute(data, found, views);
        Py_END_ALLOW_THREADS;
    }
    while (taken > 0) {
        PyBuffer_Release(&views[--taken]);
    }
    if (!same) {
        PyErr_SetString(PyExc_ValueError, "somebody has changed the shard meanwhile");
        Py_CLEAR(arrays);
    }
    PyObject *columns = arrays ? PyList_AsTuple(arrays) : NULL;
    Py_XDECREF(arrays);
    return columns;
}

static PyObject *parse(PyObject *module, PyObject *shard) {
    Py_buffer view;
    if (PyObject_GetBuffer(shard, &view, PyBUF_SIMPLE) != 0) {
        return NULL;
    }
    PyObject *columns = NULL;
    uint32_t records;
    if (view.len < 8 || memcmp(view.buf, "EVT1", 4) != 0) {
        PyErr_SetString(PyExc_ValueError, "no header of an EVT1 file");
    } else {
        Survey found;
        memcpy(&records, (const char *)view.buf + 4, sizeof records);
        Py_BEGIN_ALLOW_THREADS;
        found = look_through(view.buf, view.len, records);
        Py_END_ALLOW_THREADS;
        if (found.problem) {
            PyErr_Format(PyExc_ValueError, "record %zd %s", found.record, found.problem);
        } else {
            columns = columns_of((const char *)view.buf + 8, &found);
        }
    }
    PyBuffer_Release(&view);
    return columns;
}

static PyMethodDef methods[] = {{"parse", parse, METH_O, NULL}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {.m_base = PyModuleDef_HEAD_INIT, .m_name = "evt1", .m_methods = methods};

PyMODINIT_FUNC PyInit_evt1(void) {
    return PyModuleDef_Init(&module);
}
