#define PY_SSIZE_T_CLEAN
#include "rounds.h"

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

/* One call to come: what prepare() returned, and its parts, borrowed. */
typedef struct {
    PyObject *all, *function, *args, *keywords, *objects;
} Round;

static int open_round(PyObject *prepare, Round *round) {
    memset(round, 0, sizeof *round);
    round->all = PyObject_CallNoArgs(prepare);
    if (!round->all) return -1;
    if (!PyArg_ParseTuple(round->all, "OO!O!O!", &round->function, &PyTuple_Type, &round->args, &PyDict_Type,
                          &round->keywords, &PyList_Type, &round->objects)) {
        Py_CLEAR(round->all);
        return -1;
    }
    return 0;
}

static PyObject *call(const Round *round) {
    return PyObject_VectorcallDict(round->function, &PyTuple_GET_ITEM(round->args, 0),
                                   (size_t)PyTuple_GET_SIZE(round->args),
                                   PyDict_GET_SIZE(round->keywords) ? round->keywords : NULL);
}

static size_t malloced(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void watch(int on) {
    allocator_track(on);
    calls_watch(on);
}

/* ---- survey ---- */

/* explain: for ballast_open(); holders: who holds the objects before and after is looked at, too. */
typedef struct {
    int explain, holders;
} Depth;

static int one_round(PyObject *prepare, int number, Depth depth, Survey *seen) {
    Round round;
    /* What is taken between the calls counts for the first, and so for none. */
    allocator_call(0);
    ledger_call(0);
    if (open_round(prepare, &round) != 0) return -1;
    if (ballast_open(round.objects, number, depth.explain) != 0 ||
        (depth.holders && ballast_holders(HOLDERS_BEFORE) != 0)) {
        Py_DECREF(round.all);
        return -1;
    }
    freelists_shut();
    allocator_call((uint32_t)number);
    ledger_call((uint32_t)number);
    calls_rewind();
    watch(1);
    PyObject *result = call(&round);
    watch(0);
    if (!result) {
        seen->raised++;
        report_exception(seen->exception, sizeof seen->exception);
    }
    int status = depth.holders ? ballast_holders(HOLDERS_WITH_RESULT) : 0;
    ballast_result(result);
    Py_XDECREF(result);
    ballast_count(number);
    if (status == 0 && depth.holders) status = ballast_holders(HOLDERS_AFTER);
    ballast_close();
    Py_DECREF(round.all);
    return status;
}

/* No call: what the arguments of the others held is settled, also what went with them in a cycle. */
static int last_round(PyObject *prepare, int number, int explain) {
    Round round;
    allocator_call(0);
    ledger_call(0);
    PyType_ClearCache(); /* it holds the names that were looked up last */
    PyGC_Collect();
    if (open_round(prepare, &round) != 0) return -1;
    int status = ballast_open(round.objects, number, explain);
    ballast_close();
    Py_DECREF(round.all);
    return status;
}

PyObject *rounds_survey(PyObject *module, PyObject *arguments) {
    PyObject *prepare, *end;
    int calls, holders = 0;
    long fail_at;
    static Survey seen;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OilO|p", &prepare, &calls, &fail_at, &end, &holders)) return NULL;
    const int explain = end != Py_None;
    memset(&seen, 0, sizeof seen);
    seen.calls = calls;
    allocator_install();
    allocator_clear();
    ledger_keep(1);
    calls_begin(fail_at);
    calls_watch(0);
    size_t before = 0;
    for (int i = 0; i < calls; i++) {
        if (i == 1) before = malloced();
        if (one_round(prepare, i, (Depth){explain, holders}, &seen) != 0) return NULL;
    }
    if (last_round(prepare, calls, explain) != 0) return NULL;
    seen.grown = calls > 1 ? (Py_ssize_t)(malloced() - before) : 0;
    allocator_call(0);
    ledger_call(0);
    /* What the caller's own objects hold goes with them: what stays then is lost. */
    PyObject *ended = explain ? PyObject_CallNoArgs(end) : Py_NewRef(Py_None);
    if (!ended) return NULL;
    Py_DECREF(ended);
    PyGC_Collect();
    ledger_keep(0);
    if (explain && ballast_explain() != 0) return NULL;
    return report_survey(&seen, explain ? SURVIVORS_UNSEEN : SURVIVORS_ALL);
}

/* ---- freed objects ---- */

PyObject *rounds_freed(PyObject *module, PyObject *arguments) {
    PyObject *prepare;
    int calls;
    Round round;
    char exception[REPORT_TEXT] = "";
    (void)module;
    if (!PyArg_ParseTuple(arguments, "Oi", &prepare, &calls)) return NULL;
    allocator_install();
    allocator_clear();
    ledger_keep(1); /* for its fences: memory that is broken breaks the pass */
    calls_begin(-1);
    calls_watch(0);
    for (int i = 0; i < calls && !zombie_use()->found; i++) {
        if (open_round(prepare, &round) != 0) return NULL;
        freelists_shut();
        if (i == 0) zombie_keep(1);
        watch(1);
        PyObject *result = call(&round);
        watch(0);
        if (!result) report_exception(exception, sizeof exception);
        zombie_inspect(result);
        /* An argument that was released too often is released once more here. */
        if (!zombie_use()->found) Py_XDECREF(result);
        if (!zombie_use()->found) Py_DECREF(round.all);
    }
    zombie_keep(0);
    ledger_keep(0);
    return report_freed(exception);
}

/* ---- the GIL ---- */

PyObject *rounds_gil(PyObject *module, PyObject *arguments) {
    PyObject *prepare;
    int calls;
    Round round;
    GilTimes sum = {0, 0, 0, 0};
    (void)module;
    if (!PyArg_ParseTuple(arguments, "Oi", &prepare, &calls)) return NULL;
    calls_watch(0);
    for (int i = 0; i < calls; i++) {
        if (open_round(prepare, &round) != 0) return NULL;
        gil_begin();
        PyObject *result = call(&round);
        GilTimes times = gil_end();
        if (!result) PyErr_Clear();
        Py_XDECREF(result);
        Py_DECREF(round.all);
        sum.total_ns += times.total_ns;
        sum.released_ns += times.released_ns;
        sum.releases += times.releases;
        if (i == 0 || times.longest_held_ns < sum.longest_held_ns) sum.longest_held_ns = times.longest_held_ns;
    }
    return gil_report(sum);
}

/* ---- which libraries ---- */

PyObject *rounds_entered(PyObject *module, PyObject *prepare) {
    Round round;
    (void)module;
    if (open_round(prepare, &round) != 0) return NULL;
    ledger_keep(1);
    calls_begin(-1);
    frames_forget();
    PyObject *result = call(&round);
    calls_watch(0);
    if (!result) PyErr_Clear();
    Py_XDECREF(result);
    PyObject *numbers = PyList_New(0);
    for (int i = 0; numbers && i < MAX_TARGETS; i++) {
        if (!frames_entered(i)) continue;
        PyObject *number = PyLong_FromLong(i);
        if (!number || PyList_Append(numbers, number) != 0) Py_CLEAR(numbers);
        Py_XDECREF(number);
    }
    ledger_keep(0);
    Py_DECREF(round.all);
    return numbers;
}
