#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "gil.h"

#include <string.h>
#include <time.h>

static __thread PyThreadState *saved;
static __thread int taken_back;
static __thread int measuring;
static __thread uint64_t begun, held_since, released_since;
static __thread GilTimes times;
static __thread uint64_t waited; /* by this call, for the GIL */
static __thread uint64_t spans[GIL_SPANS][2];
static __thread int span_count;

uint64_t gil_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void note_held(uint64_t now) {
    uint64_t held = now - held_since;
    if (held > times.longest_held_ns) times.longest_held_ns = held;
}

static void note_released(void) {
    if (!measuring) return;
    released_since = gil_clock();
    note_held(released_since);
    times.releases++;
}

/* Until the GIL is asked for, not until it is there: waiting for others is no holding. */
static void note_back(uint64_t asked) {
    if (!measuring || !released_since) return;
    times.released_ns += asked - released_since;
    if (span_count < GIL_SPANS) {
        spans[span_count][0] = released_since - begun - waited;
        spans[span_count++][1] = asked - begun - waited;
    }
    released_since = 0;
    held_since = gil_clock();
    waited += held_since - asked;
}

static PyThreadState *save_thread(void) {
    note_released();
    taken_back = 0;
    return saved = PyEval_SaveThread();
}

static void restore_thread(PyThreadState *state) {
    uint64_t asked = measuring ? gil_clock() : 0;
    saved = NULL;
    if (!taken_back) PyEval_RestoreThread(state);
    taken_back = 0;
    note_back(asked);
}

/* `with gil:` of Cython, inside a block without it, and what C libraries use in their callbacks. */
static PyGILState_STATE ensure(void) {
    uint64_t asked = measuring ? gil_clock() : 0;
    PyGILState_STATE state = PyGILState_Ensure();
    note_back(asked);
    return state;
}

static void release(PyGILState_STATE state) {
    if (state == PyGILState_UNLOCKED) note_released();
    PyGILState_Release(state);
}

/* py::gil_scoped_acquire; it lets go with PyEval_SaveThread. */
static void acquire_thread(PyThreadState *state) {
    uint64_t asked = measuring ? gil_clock() : 0;
    PyEval_AcquireThread(state);
    note_back(asked);
}

int gil_take_back(void) {
    if (!saved || taken_back) return taken_back;
    taken_back = 1;
    PyEval_RestoreThread(saved);
    return 1;
}

void *gil_wrapper(const char *name) {
    if (strcmp(name, "PyEval_SaveThread") == 0) return (void *)save_thread;
    if (strcmp(name, "PyEval_RestoreThread") == 0) return (void *)restore_thread;
    if (strcmp(name, "PyGILState_Ensure") == 0) return (void *)ensure;
    if (strcmp(name, "PyGILState_Release") == 0) return (void *)release;
    if (strcmp(name, "PyEval_AcquireThread") == 0) return (void *)acquire_thread;
    return NULL;
}

void gil_begin(void) {
    memset(&times, 0, sizeof times);
    released_since = waited = 0;
    span_count = 0;
    measuring = 1;
    begun = held_since = gil_clock();
}

GilTimes gil_end(void) {
    uint64_t now = gil_clock();
    note_held(now);
    measuring = 0;
    times.total_ns = now - begun - waited;
    return times;
}

PyObject *gil_report(GilTimes sum) {
    PyObject *list = PyList_New(span_count);
    for (int i = 0; list && i < span_count; i++) {
        PyObject *span = Py_BuildValue("(KK)", spans[i][0], spans[i][1]);
        if (!span)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, span);
    }
    if (!list) return NULL;
    return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K,s:N}", "total_ns", sum.total_ns, "released_ns", sum.released_ns,
                         "releases", sum.releases, "longest_held_ns", sum.longest_held_ns, "last_ns", times.total_ns,
                         "spans", list);
}
