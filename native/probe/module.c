#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "attach.h"
#include "bindings.h"
#include "calls.h"
#include "guardbuffer.h"
#include "heap.h"
#include "names.h"
#include "objects.h"
#include "rounds.h"
#include "survey.h"
#include "zombie.h"

/* Everything here is state of the process, for processes that are forked to be probed and then thrown away. */

static PyObject *supported(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(attach_supported());
}

static PyObject *attach(PyObject *module, PyObject *args, PyObject *keywords) {
    static char *names[] = {"path", "only_gil", "bundled", NULL};
    const char *path;
    int only_gil = 0, bundled = 0, target = -1;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "s|pp", names, &path, &only_gil, &bundled)) return NULL;
    int patched = attach_library(path, only_gil, bundled, &target);
    return patched < 0 ? NULL : Py_BuildValue("(ii)", target, patched);
}

static PyObject *learn_types(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    Py_ssize_t n = objects_learn_types();
    return n < 0 ? NULL : PyLong_FromSsize_t(n);
}

/* Of an object that is being freed: no reference may be taken to it. */
static PyObject *is_tracked(PyObject *module, PyObject *address) {
    (void)module;
    void *object = PyLong_AsVoidPtr(address);
    if (!object) return PyErr_Occurred() ? NULL : Py_NewRef(Py_False);
    return PyBool_FromLong(PyObject_IS_GC((PyObject *)object) && PyObject_GC_IsTracked(object));
}

/* What the collector does to an object of a cycle. */
static PyObject *clear(PyObject *module, PyObject *object) {
    (void)module;
    inquiry how = Py_TYPE(object)->tp_clear;
    if (how && how(object) != 0 && PyErr_Occurred()) return NULL;
    return PyBool_FromLong(how != NULL);
}

static PyMethodDef methods[] = {
    {"supported", supported, METH_NOARGS, "supported() -> bool: whether attach() works here."},
    {"attach", (PyCFunction)(void (*)(void))attach, METH_VARARGS | METH_KEYWORDS,
     "attach(path, only_gil=False, bundled=False) -> (number of the target, imports that were patched)"},
    {"learn_types", learn_types, METH_NOARGS,
     "learn_types() -> number of types known now: call it once before survey and exhume."},
    {"survey", survey_calls, METH_VARARGS,
     "survey(function, args, objects, calls=6, fail_at=-1) -> dict. Sites are (target, offset), "
     "(-1, 0) for none.\n"
     "watched: (index, series, owed, leaked, buffers, buffer site, last use, its name) of objects "
     "that changed;\n"
     "survivors: (type, bytes, site, last use, its name, call, domain); ledger: (bytes, site, "
     "call);\n"
     "overruns: (type, bytes, bytes behind the end, site) of blocks that were written past their end;\n"
     "without_gil: (name, times, site); log: (name, site) of calls that can fail; failed: the one "
     "that did."},
    {"exhume", survey_freed, METH_VARARGS,
     "exhume(function, args, calls=1) -> dict; use: (type, how, site taken, site freed, site used) "
     "or None."},
    {"intervals", survey_gil, METH_VARARGS,
     "intervals(function, args, calls=1) -> dict of total_ns, released_ns, releases, "
     "longest_held_ns,\n"
     "and of the last call its length, last_ns, and spans: (from, to) without the GIL."},
    {"rounds", rounds_survey, METH_VARARGS,
     "rounds(prepare, calls, fail_at, end, holders=False) -> dict as of survey(). prepare() -> "
     "(function, args, keywords,\n"
     "objects) is asked before each call, end() (or None) after the last; what is held then by "
     "anything that the collector\n"
     "sees is not reported. holders: who holds each object before and after each call is counted, too."},
    {"rounds_freed", rounds_freed, METH_VARARGS, "rounds_freed(prepare, calls) -> dict as of exhume()."},
    {"rounds_gil", rounds_gil, METH_VARARGS,
     "rounds_gil(prepare, calls) -> dict as of intervals(); longest_held_ns is that of the "
     "quickest call."},
    {"entered", rounds_entered, METH_O, "entered(prepare) -> numbers of the targets whose code one call runs through."},
    {"entries", names_entries, METH_O,
     "entries(object) -> [(name, address)] of the C functions behind a builtin, a method, a type."},
    {"locate", names_locate, METH_O, "locate(address) -> (path, offset) or None."},
    {"function_at", names_function_at, METH_VARARGS,
     "function_at(target, offset) -> (address of its begin, exported name); (0, \"\") if unknown."},
    {"refcounts", heap_refcounts, METH_VARARGS,
     "refcounts(objects, buffer) -> int: their counts as 8 bytes each, into a writable buffer."},
    {"is_tracked", is_tracked, METH_O, "is_tracked(address) -> bool: whether the collector tracks the object there."},
    {"clear", clear, METH_O, "clear(object) -> bool: run its tp_clear; False when its type has none."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_probe",   .m_doc = "Watches calls of one extension module.",
    .m_size = -1,          .m_methods = methods,
};

PyMODINIT_FUNC PyInit__probe(void) {
    if (zombie_ready() != 0) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module && (guardbuffer_ready(module) != 0 || bindings_ready(module) != 0)) Py_CLEAR(module);
    return module;
}
