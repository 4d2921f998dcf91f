/* Functions with one planted defect each, marked with its name; each has a twin, clean_..., without it. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <structmember.h>
#include <time.h>


/* ---- references ---- */

static PyObject *append_leak(PyObject *self, PyObject *arg) {
    PyObject *out = PyList_New(0);
    for (int i = 0; out && i < 4; i++) {
        PyObject *value = PyFloat_FromDouble(i + 0.5);
        if (!value || PyList_Append(out, value) < 0) Py_CLEAR(out); /* MARK append_leak */
    }
    return out;
}
static PyObject *clean_append_leak(PyObject *self, PyObject *arg) {
    PyObject *out = PyList_New(0);
    for (int i = 0; out && i < 4; i++) {
        PyObject *value = PyFloat_FromDouble(i + 0.5);
        if (!value || PyList_Append(out, value) < 0) Py_CLEAR(out);
        Py_XDECREF(value);
    }
    return out;
}

static PyObject *new_leak(PyObject *self, PyObject *arg) {
    PyObject *scratch = PyDict_New(); /* MARK new_leak */
    return scratch ? PyLong_FromSsize_t(PyDict_GET_SIZE(scratch) + 1000) : NULL;
}
static PyObject *clean_new_leak(PyObject *self, PyObject *arg) {
    PyObject *scratch = PyDict_New();
    PyObject *size = scratch ? PyLong_FromSsize_t(PyDict_GET_SIZE(scratch) + 1000) : NULL;
    Py_XDECREF(scratch);
    return size;
}

static PyObject *argument_leak(PyObject *self, PyObject *arg) {
    PyObject *text = PyObject_Str(arg); /* MARK argument_leak */
    Py_INCREF(arg);
    return text;
}
static PyObject *clean_argument_leak(PyObject *self, PyObject *arg) {
    Py_INCREF(arg);
    PyObject *text = PyObject_Str(arg);
    Py_DECREF(arg);
    return text;
}

static PyObject *error_leak(PyObject *self, PyObject *arg) {
    PyObject *scores = PyList_New(0);
    double score = scores ? PyFloat_AsDouble(arg) : -1.0;
    if (score == -1.0 && PyErr_Occurred()) return NULL; /* scores is lost: MARK-AT its birth */
    return scores;
}
static PyObject *clean_error_leak(PyObject *self, PyObject *arg) {
    PyObject *scores = PyList_New(0);
    double score = scores ? PyFloat_AsDouble(arg) : -1.0;
    if (score == -1.0 && PyErr_Occurred()) Py_CLEAR(scores);
    return scores;
}

static PyObject *over_release(PyObject *self, PyObject *arg) {
    PyObject *item = PyList_GetItem(arg, 0); /* MARK over_release */
    if (!item) return NULL;
    Py_DECREF(item);
    Py_RETURN_NONE;
}
static PyObject *clean_over_release(PyObject *self, PyObject *arg) {
    PyObject *item = PyList_GetItem(arg, 0);
    if (!item) return NULL;
    Py_INCREF(item);
    Py_DECREF(item);
    Py_RETURN_NONE;
}

static PyObject *borrowed_result(PyObject *self, PyObject *arg) { return PyList_GetItem(arg, 0); /* MARK borrowed_result */ }
static PyObject *clean_borrowed_result(PyObject *self, PyObject *arg) { return Py_XNewRef(PyList_GetItem(arg, 0)); }

static PyObject *borrowed_item(PyObject *self, PyObject *arg) {
    PyObject *out = PyList_New(1);
    PyObject *item = PyList_GetItem(arg, 0); /* MARK borrowed_item */
    if (out && item) PyList_SET_ITEM(out, 0, item);
    return out;
}
static PyObject *clean_borrowed_item(PyObject *self, PyObject *arg) {
    PyObject *out = PyList_New(1);
    PyObject *item = PyList_GetItem(arg, 0);
    if (out && item) PyList_SET_ITEM(out, 0, Py_NewRef(item));
    return out;
}

static PyObject *used_after_free(PyObject *self, PyObject *arg) {
    PyObject *pair = PyTuple_New(1);
    if (!pair) return NULL;
    PyTuple_SET_ITEM(pair, 0, PyFloat_FromDouble(3.25));
    PyObject *first = PyTuple_GetItem(pair, 0);
    Py_DECREF(pair);
    return PyNumber_Negative(first); /* MARK used_after_free */
}
static PyObject *clean_used_after_free(PyObject *self, PyObject *arg) {
    PyObject *pair = PyTuple_New(1);
    if (!pair) return NULL;
    PyTuple_SET_ITEM(pair, 0, PyFloat_FromDouble(3.25));
    PyObject *negative = PyNumber_Negative(PyTuple_GetItem(pair, 0));
    Py_DECREF(pair);
    return negative;
}

static PyObject *borrow_across_change(PyObject *self, PyObject *arg) {
    PyObject *item = PyList_GetItem(arg, 0);
    if (!item || PyList_SetSlice(arg, 0, 1, NULL) < 0) return NULL;
    return PyObject_Str(item); /* MARK borrow_across_change */
}
static PyObject *clean_borrow_across_change(PyObject *self, PyObject *arg) {
    PyObject *item = Py_XNewRef(PyList_GetItem(arg, 0));
    if (!item) return NULL;
    PyObject *text = PyList_SetSlice(arg, 0, 1, NULL) < 0 ? NULL : PyObject_Str(item);
    Py_DECREF(item);
    return text;
}

/* ---- memory ---- */

static PyObject *malloc_leak(PyObject *self, PyObject *arg) {
    double *p = malloc(1000 * sizeof *p); /* MARK malloc_leak */
    if (!p) return PyErr_NoMemory();
    p[999] = PyFloat_AsDouble(arg);
    return PyFloat_FromDouble(p[999]);
}
static PyObject *clean_malloc_leak(PyObject *self, PyObject *arg) {
    double *p = malloc(1000 * sizeof *p);
    if (!p) return PyErr_NoMemory();
    p[999] = PyFloat_AsDouble(arg);
    PyObject *result = PyFloat_FromDouble(p[999]);
    free(p);
    return result;
}

/* Room for the text, not for the zero byte at its end. */
static PyObject *past_a_block(PyObject *self, PyObject *arg) {
    char *p = malloc(10); /* MARK past_a_block */
    if (!p) return PyErr_NoMemory();
    strcpy(p, "0123456789");
    PyObject *result = PyUnicode_FromString(p);
    free(p);
    return result;
}
static PyObject *clean_past_a_block(PyObject *self, PyObject *arg) {
    char *p = malloc(10);
    if (!p) return PyErr_NoMemory();
    memcpy(p, "0123456789", 10);
    p = realloc(p, 11);
    p[10] = 0;
    PyObject *result = PyUnicode_FromString(p);
    free(p);
    return result;
}

static PyObject *past_a_pymem_block(PyObject *self, PyObject *arg) {
    double *p = PyMem_Malloc(8 * sizeof *p); /* MARK past_a_pymem_block */
    if (!p) return PyErr_NoMemory();
    for (int i = 0; i <= 8; i++) p[i] = i + 0.5;
    PyObject *result = PyFloat_FromDouble(p[3]);
    PyMem_Free(p);
    return result;
}
static PyObject *clean_past_a_pymem_block(PyObject *self, PyObject *arg) {
    double *p = PyMem_Malloc(8 * sizeof *p);
    if (!p) return PyErr_NoMemory();
    p = PyMem_Realloc(p, 9 * sizeof *p);
    for (int i = 0; i <= 8; i++) p[i] = i + 0.5;
    PyObject *result = PyFloat_FromDouble(p[3]);
    PyMem_Free(p);
    return result;
}

/* The object keeps room for a zero byte behind its ten. */
static PyObject *past_an_object(PyObject *self, PyObject *arg) {
    PyObject *result = PyBytes_FromStringAndSize(NULL, 10); /* MARK past_an_object */
    if (result) memset(PyBytes_AS_STRING(result), 'x', 16);
    return result;
}
static PyObject *clean_past_an_object(PyObject *self, PyObject *arg) {
    PyObject *result = PyBytes_FromStringAndSize(NULL, 16);
    if (result) memset(PyBytes_AS_STRING(result), 'x', 16);
    return result;
}

/* malloc keeps its books between the two blocks, and aborts when it sees what became of them. */
static PyObject *past_into_the_next(PyObject *self, PyObject *arg) {
    char *volatile p = malloc(24), *volatile q = malloc(24); /* MARK past_into_the_next */
    if (!p || !q) return PyErr_NoMemory();
    for (volatile int i = 0; i < 48; i++) p[i] = 'x';
    free(q);
    free(p);
    return Py_NewRef(arg);
}

/* strdup and the C library's own free, and a block that may use all that malloc gave. */
static PyObject *clean_borrowed_allocators(PyObject *self, PyObject *arg) {
    char *line = strdup("a"), *other = malloc(20);
    size_t room = 2;
    FILE *file = line && other ? fmemopen("one line that is much longer than it was\n", 41, "r") : NULL;
    if (!file) return PyErr_NoMemory();
    if (getline(&line, &room, file) < 0) line[0] = 0; /* it frees and takes line anew, out of our sight */
    memset(other, 'x', malloc_usable_size(other));
    fclose(file);
    free(other);
    PyObject *result = PyUnicode_FromString(line);
    free(line);
    return result;
}

static PyObject *small_leak(PyObject *self, PyObject *arg) {
    char *volatile p = malloc(24); /* MARK small_leak */
    return p ? Py_NewRef(arg) : PyErr_NoMemory();
}
static PyObject *clean_small_leak(PyObject *self, PyObject *arg) {
    char *volatile p = malloc(24);
    if (!p) return PyErr_NoMemory();
    free(p);
    return Py_NewRef(arg);
}

static PyObject *pymem_leak(PyObject *self, PyObject *arg) {
    char *p = PyMem_Malloc(300); /* MARK pymem_leak */
    return p ? Py_NewRef(arg) : PyErr_NoMemory();
}
static PyObject *clean_pymem_leak(PyObject *self, PyObject *arg) {
    char *p = PyMem_Malloc(300);
    if (!p) return PyErr_NoMemory();
    PyMem_Free(p);
    return Py_NewRef(arg);
}

static PyObject *cache;
static PyObject *clean_lazy_cache(PyObject *self, PyObject *arg) { /* allocated once and kept: no leak */
    if (!cache) cache = PyList_New(100);
    return Py_XNewRef(cache);
}

static PyObject *made_once;
static PyObject *made_once_leak(PyObject *self, PyObject *arg) { /* what the first call makes, the others lose references to */
    if (!made_once) made_once = PyList_New(0);
    Py_INCREF(made_once);
    return Py_NewRef(arg);
}

static PyObject *writes_bytes(PyObject *self, PyObject *arg) {
    if (!PyBytes_Check(arg)) return PyErr_Format(PyExc_TypeError, "bytes are needed");
    PyBytes_AS_STRING(arg)[0] ^= 1; /* MARK writes_bytes */
    return Py_NewRef(Py_None);
}
static PyObject *clean_writes_bytes(PyObject *self, PyObject *arg) {
    PyObject *copy = PyBytes_FromStringAndSize(PyBytes_AsString(arg), PyBytes_Size(arg));
    if (copy) PyBytes_AS_STRING(copy)[0] ^= 1;
    return copy;
}

static PyObject *buffer_kept(PyObject *self, PyObject *arg) {
    Py_buffer view;
    if (PyObject_GetBuffer(arg, &view, PyBUF_SIMPLE) < 0) return NULL; /* MARK buffer_kept */
    return PyLong_FromSsize_t(view.len);
}
static PyObject *clean_buffer_kept(PyObject *self, PyObject *arg) {
    Py_buffer view;
    if (PyObject_GetBuffer(arg, &view, PyBUF_SIMPLE) < 0) return NULL;
    PyObject *size = PyLong_FromSsize_t(view.len);
    PyBuffer_Release(&view);
    return size;
}

static PyObject *fill(PyObject *arg, Py_ssize_t extra) {
    Py_buffer view;
    if (PyObject_GetBuffer(arg, &view, PyBUF_WRITABLE | PyBUF_FORMAT | PyBUF_ND) < 0) return NULL;
    volatile double *p = view.buf;
    for (Py_ssize_t i = 0; i < view.shape[0] + extra; i++) p[i] = 1.0; /* MARK past_the_end */
    PyBuffer_Release(&view);
    Py_RETURN_NONE;
}
static PyObject *past_the_end(PyObject *self, PyObject *arg) { return fill(arg, 1); }
static PyObject *clean_past_the_end(PyObject *self, PyObject *arg) { return fill(arg, 0); }

/* ---- the GIL ---- */

static double work(double milliseconds) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double end = now.tv_sec * 1e3 + now.tv_nsec * 1e-6 + milliseconds, x = 0;
    do {
        for (int i = 0; i < 1000; i++) x += i * 1e-3;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec * 1e3 + now.tv_nsec * 1e-6 < end);
    return x;
}
static PyObject *gil_held(PyObject *self, PyObject *arg) {
    double milliseconds = PyFloat_AsDouble(arg);
    return PyFloat_FromDouble(work(milliseconds));
}
static PyObject *clean_gil_held(PyObject *self, PyObject *arg) {
    double milliseconds = PyFloat_AsDouble(arg), x;
    Py_BEGIN_ALLOW_THREADS x = work(milliseconds);
    Py_END_ALLOW_THREADS return PyFloat_FromDouble(x);
}
/* Lets go of the GIL, and takes it back for the work; the other one for the sum of what the work gave. */
static PyObject *gil_ensured(PyObject *self, PyObject *arg) {
    double milliseconds = PyFloat_AsDouble(arg), x;
    Py_BEGIN_ALLOW_THREADS PyGILState_STATE state = PyGILState_Ensure();
    x = work(milliseconds);
    PyGILState_Release(state);
    Py_END_ALLOW_THREADS return PyFloat_FromDouble(x);
}
static PyObject *clean_gil_ensured(PyObject *self, PyObject *arg) {
    double milliseconds = PyFloat_AsDouble(arg), x;
    PyObject *sum = NULL;
    Py_BEGIN_ALLOW_THREADS x = work(milliseconds / 2);
    PyGILState_STATE state = PyGILState_Ensure();
    sum = PyFloat_FromDouble(x);
    PyGILState_Release(state);
    work(milliseconds / 2);
    Py_END_ALLOW_THREADS return sum;
}

static PyObject *gil_missing(PyObject *self, PyObject *arg) {
    PyObject *out = PyList_New(0);
    if (!out) return NULL;
    Py_BEGIN_ALLOW_THREADS
    PyList_Append(out, arg); /* MARK gil_missing */
    Py_END_ALLOW_THREADS
    return out;
}
static PyObject *clean_gil_missing(PyObject *self, PyObject *arg) {
    PyObject *out = PyList_New(0);
    if (!out) return NULL;
    Py_BEGIN_ALLOW_THREADS
    work(0.01);
    Py_END_ALLOW_THREADS
    if (PyList_Append(out, arg) < 0) Py_CLEAR(out);
    return out;
}

/* ---- errors ---- */

static PyObject *text_leak(PyObject *self, PyObject *arg) {
    PyObject *text = PyUnicode_FromString("short"); /* MARK text_leak */
    return PyUnicode_CheckExact(text) ? PyLong_FromLong(1000) : NULL;
}
static PyObject *clean_text_leak(PyObject *self, PyObject *arg) { /* the cache of types keeps the name */
    PyObject *name = PyUnicode_FromString("__class__");
    PyObject *type = name ? PyObject_GetAttr(arg, name) : NULL;
    Py_XDECREF(name);
    Py_XDECREF(type);
    return type ? PyObject_GetAttrString(arg, "__doc__") : NULL;
}

static PyObject *null_without_exception(PyObject *self, PyObject *arg) { return NULL; }
static PyObject *clean_null_without_exception(PyObject *self, PyObject *arg) { return PyErr_Format(PyExc_ValueError, "as asked"); }

static PyObject *null_with_traceback(PyObject *self, PyObject *arg) { /* what Cython does on every error */
    PyTraceBack_Here(PyEval_GetFrame()); /* MARK null_with_traceback */
    return NULL;
}
static PyObject *clean_null_with_traceback(PyObject *self, PyObject *arg) {
    PyErr_SetString(PyExc_ValueError, "as asked");
    PyTraceBack_Here(PyEval_GetFrame());
    return NULL;
}

static PyObject *result_with_exception(PyObject *self, PyObject *arg) {
    long value = PyLong_AsLong(arg);
    return PyLong_FromLong(value * 2 + 1000);
}
static PyObject *clean_result_with_exception(PyObject *self, PyObject *arg) {
    long value = PyLong_AsLong(arg);
    if (value == -1 && PyErr_Occurred()) return NULL;
    return PyLong_FromLong(value * 2 + 1000);
}

static PyObject *unchecked(PyObject *self, PyObject *arg) { /* crashes when the list can't be made */
    PyObject *out = PyList_New(1);
    PyList_SET_ITEM(out, 0, Py_NewRef(arg)); /* MARK unchecked */
    return out;
}
static PyObject *clean_unchecked(PyObject *self, PyObject *arg) {
    PyObject *out = PyList_New(1);
    if (out) PyList_SET_ITEM(out, 0, Py_NewRef(arg));
    return out;
}

static PyObject *error_path_leak(PyObject *self, PyObject *arg) { /* right, but for the day PyObject_Str fails */
    PyObject *out = PyList_New(0); /* MARK error_path_leak */
    if (!out) return NULL;
    PyObject *text = PyObject_Str(arg);
    if (!text) return NULL;
    int status = PyList_Append(out, text);
    Py_DECREF(text);
    if (status < 0) Py_CLEAR(out);
    return out;
}
static PyObject *clean_error_path_leak(PyObject *self, PyObject *arg) {
    PyObject *out = PyList_New(0);
    PyObject *text = out ? PyObject_Str(arg) : NULL;
    if (!text || PyList_Append(out, text) < 0) Py_CLEAR(out);
    Py_XDECREF(text);
    return out;
}

/* ---- types ---- */

typedef struct {
    PyObject_HEAD
    PyObject *item;
} Box;

static int box_init(PyObject *self, PyObject *args, PyObject *keywords) {
    PyObject *item = NULL;
    if (!PyArg_ParseTuple(args, "|O", &item)) return -1;
    Py_XSETREF(((Box *)self)->item, Py_XNewRef(item));
    return 0;
}
static PyMemberDef box_members[] = {{"item", T_OBJECT_EX, offsetof(Box, item), 0, NULL}, {NULL, 0, 0, 0, NULL}};

static void free_box(PyObject *self, int untrack, int release_item, int release_type) {
    PyTypeObject *type = Py_TYPE(self);
    if (untrack) PyObject_GC_UnTrack(self);
    if (release_item) Py_CLEAR(((Box *)self)->item);
    type->tp_free(self);
    if (release_type) Py_DECREF(type);
}
static void dealloc_good(PyObject *self) { free_box(self, 1, 1, 1); }
static void dealloc_plain(PyObject *self) { free_box(self, 0, 1, 1); }
static void dealloc_keeps_type(PyObject *self) { free_box(self, 1, 1, 0); }
static void dealloc_keeps_item(PyObject *self) { free_box(self, 1, 0, 1); }
static int visit_all(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Box *)self)->item);
    return 0;
}
static int visit_type_only(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    return 0;
}
static int visit_item_only(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((Box *)self)->item);
    return 0;
}
static int clear_item(PyObject *self) {
    Py_CLEAR(((Box *)self)->item);
    return 0;
}
static int clear_nothing(PyObject *self) { return 0; }
static PyObject *negative_mute(PyObject *self) { return NULL; }
static PyObject *negative_raises(PyObject *self) { return PyErr_Format(PyExc_TypeError, "as asked"); }

#define BOX(name, flags, ...) \
    static PyType_Slot name##_slots[] = {{Py_tp_init, box_init}, {Py_tp_new, PyType_GenericNew}, \
                                         {Py_tp_members, box_members}, __VA_ARGS__, {0, NULL}}; \
    static PyType_Spec name##_spec = {"defects." #name, sizeof(Box), 0, Py_TPFLAGS_DEFAULT | flags, name##_slots};
#define GC(traverse, clear) {Py_tp_traverse, traverse}, {Py_tp_clear, clear}

BOX(Good, Py_TPFLAGS_HAVE_GC, GC(visit_all, clear_item), {Py_tp_dealloc, dealloc_good},
    {Py_nb_negative, negative_raises})
BOX(MuteSlot, Py_TPFLAGS_HAVE_GC, GC(visit_all, clear_item), {Py_tp_dealloc, dealloc_good},
    {Py_nb_negative, negative_mute})
BOX(KeepsType, Py_TPFLAGS_HAVE_GC, GC(visit_all, clear_item), {Py_tp_dealloc, dealloc_keeps_type})
BOX(KeepsItem, Py_TPFLAGS_HAVE_GC, GC(visit_all, clear_item), {Py_tp_dealloc, dealloc_keeps_item})
BOX(NoGC, 0, {Py_tp_dealloc, dealloc_plain})
BOX(NoVisit, Py_TPFLAGS_HAVE_GC, GC(visit_type_only, clear_item), {Py_tp_dealloc, dealloc_good})
BOX(NoTypeVisit, Py_TPFLAGS_HAVE_GC, GC(visit_item_only, clear_item), {Py_tp_dealloc, dealloc_good})
BOX(NoClear, Py_TPFLAGS_HAVE_GC, GC(visit_all, clear_nothing), {Py_tp_dealloc, dealloc_good})
BOX(NoUntrack, Py_TPFLAGS_HAVE_GC, GC(visit_all, clear_item), {Py_tp_dealloc, dealloc_plain})

/* ---- the module ---- */

#define BOTH(name) {#name, name, METH_O, NULL}, {"clean_" #name, clean_##name, METH_O, NULL}
static PyMethodDef methods[] = {
    BOTH(append_leak), BOTH(new_leak), BOTH(text_leak), BOTH(argument_leak), BOTH(error_leak), BOTH(over_release),
    BOTH(borrowed_result), BOTH(borrowed_item), BOTH(used_after_free), BOTH(borrow_across_change), BOTH(malloc_leak), BOTH(small_leak),
    BOTH(pymem_leak), BOTH(past_a_block), BOTH(past_a_pymem_block), BOTH(past_an_object),
    {"past_into_the_next", past_into_the_next, METH_O, NULL}, {"clean_borrowed_allocators", clean_borrowed_allocators, METH_O, NULL}, BOTH(buffer_kept), BOTH(past_the_end), BOTH(gil_held), BOTH(gil_ensured), BOTH(gil_missing),
    BOTH(null_without_exception), BOTH(null_with_traceback), BOTH(result_with_exception), BOTH(unchecked),
    BOTH(error_path_leak),
    {"clean_lazy_cache", clean_lazy_cache, METH_O, NULL}, {"made_once_leak", made_once_leak, METH_O, NULL}, BOTH(writes_bytes), {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "defects", NULL, -1, methods};

PyMODINIT_FUNC PyInit_defects(void) {
#ifdef MUTE
    return NULL;
#endif
    PyType_Spec *specs[] = {&Good_spec,  &KeepsType_spec,   &KeepsItem_spec, &NoGC_spec,
                            &NoVisit_spec, &NoTypeVisit_spec, &NoClear_spec,   &NoUntrack_spec,
                            &MuteSlot_spec};
    PyObject *made = PyModule_Create(&module);
    for (size_t i = 0; made && i < sizeof specs / sizeof *specs; i++) {
        PyObject *type = PyType_FromSpec(specs[i]);
        if (!type || PyModule_AddType(made, (PyTypeObject *)type) < 0) Py_CLEAR(made);
        Py_XDECREF(type);
    }
    return made;
}
