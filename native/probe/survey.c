#define PY_SSIZE_T_CLEAN
#include "survey.h"

#include <malloc.h>
#include <string.h>

#include "allocator.h"
#include "ballast.h"
#include "calls.h"
#include "freelists.h"
#include "gil.h"
#include "ledger.h"
#include "report.h"
#include "zombie.h"

static int any_left(void) {
    size_t n;
    const Block *blocks = allocator_blocks(&n);
    for (size_t i = 0; i < n; i++)
        if (blocks[i].live && blocks[i].site) return 1;
    return 0;
}

static size_t malloced(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static PyObject *call(PyObject *function, PyObject *args) {
    return PyObject_Vectorcall(function, &PyTuple_GET_ITEM(args, 0), (size_t)PyTuple_GET_SIZE(args), NULL);
}

static void watch(int on) {
    allocator_track(on);
    calls_watch(on);
}

/* ---- survey ---- */

static void one_call(PyObject *function, PyObject *args, int number, Survey *seen) {
    freelists_shut();
    allocator_call((uint32_t)number);
    ledger_call((uint32_t)number);
    calls_rewind();
    watch(1);
    PyObject *result = call(function, args);
    watch(0);
    if (!result) {
        seen->raised++;
        report_exception(seen->exception, sizeof seen->exception);
    }
    ballast_result(result);
    Py_XDECREF(result);
    ballast_count(number);
}

PyObject *survey_calls(PyObject *module, PyObject *arguments) {
    PyObject *function, *args, *objects;
    int calls = 6;
    long fail_at = -1;
    static Survey seen;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OO!O!|il", &function, &PyTuple_Type, &args, &PyList_Type, &objects, &calls,
                          &fail_at))
        return NULL;
    memset(&seen, 0, sizeof seen);
    seen.calls = calls;
    allocator_install();
    allocator_clear();
    if (ballast_watch(objects) != 0) return NULL;
    ledger_keep(1);
    calls_begin(fail_at);
    calls_watch(0);
    size_t before = 0;
    for (int i = 0; i < calls; i++) {
        if (i == 1) before = malloced();
        one_call(function, args, i, &seen);
    }
    seen.grown = calls > 1 ? (Py_ssize_t)(malloced() - before) : 0;
    ledger_keep(0);
    if (any_left()) PyType_ClearCache(); /* it holds the names that were looked up last */
    PyGC_Collect();
    return report_survey(&seen, SURVIVORS_OURS);
}

/* ---- exhume ---- */

PyObject *survey_freed(PyObject *module, PyObject *arguments) {
    PyObject *function, *args;
    int calls = 1;
    char exception[REPORT_TEXT] = "";
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OO!|i", &function, &PyTuple_Type, &args, &calls)) return NULL;
    allocator_install();
    allocator_clear();
    ledger_keep(1); /* for its fences: memory that is broken breaks the pass */
    calls_begin(-1);
    calls_watch(0);
    zombie_keep(1);
    for (int i = 0; i < calls && !zombie_use()->found; i++) {
        freelists_shut();
        allocator_call((uint32_t)i);
        watch(1);
        PyObject *result = call(function, args);
        watch(0);
        if (!result) report_exception(exception, sizeof exception);
        zombie_inspect(result);
        if (!zombie_use()->found) Py_XDECREF(result);
    }
    zombie_keep(0);
    ledger_keep(0);
    return report_freed(exception);
}

/* ---- intervals ---- */

PyObject *survey_gil(PyObject *module, PyObject *arguments) {
    PyObject *function, *args;
    int calls = 1;
    GilTimes sum = {0, 0, 0, 0};
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OO!|i", &function, &PyTuple_Type, &args, &calls)) return NULL;
    calls_watch(0);
    for (int i = 0; i < calls; i++) {
        gil_begin();
        PyObject *result = call(function, args);
        GilTimes times = gil_end();
        if (!result) return NULL;
        Py_DECREF(result);
        sum.total_ns += times.total_ns;
        sum.released_ns += times.released_ns;
        sum.releases += times.releases;
        if (times.longest_held_ns > sum.longest_held_ns) sum.longest_held_ns = times.longest_held_ns;
    }
    return gil_report(sum);
}
