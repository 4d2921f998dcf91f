#define PY_SSIZE_T_CLEAN
#include "report.h"

#include "allocator.h"
#include "ballast.h"
#include "calls.h"
#include "fence.h"
#include "heap.h"
#include "ledger.h"
#include "objects.h"
#include "table.h"
#include "zombie.h"

#define MAX_SURVIVORS 4096

void report_exception(char *text, size_t size) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (!text[0]) {
        PyObject *said = value ? PyObject_Str(value) : NULL;
        const char *words = said ? PyUnicode_AsUTF8(said) : NULL;
        PyOS_snprintf(text, size, "%s: %s", type ? ((PyTypeObject *)type)->tp_name : "NULL", words ? words : "");
        Py_XDECREF(said);
        PyErr_Clear();
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

static PyObject *site_tuple(Site site) {
    return Py_BuildValue("(iK)", site_target(site), (unsigned long long)site_offset(site));
}

static const char *name_of(int call) {
    return calls_get(call)->name;
}

/* Appends a new reference that may be NULL; it is released. 0, or -1 with an exception set. */
static int append(PyObject *list, PyObject *item) {
    int status = item ? PyList_Append(list, item) : -1;
    Py_XDECREF(item);
    return status;
}

/* ---- objects that were not freed ---- */

typedef struct {
    const Block *block;
    PyObject *object;
    Py_ssize_t held;    /* by other survivors */
    Py_ssize_t visible; /* all references that the collector sees, theirs included; -1: not looked at */
} Survivor;

static Survivor survivors[MAX_SURVIVORS];
static int n_survivors;
static Table places;

static void collect_survivors(int all) {
    size_t n;
    const Block *blocks = allocator_blocks(&n);
    n_survivors = 0;
    table_clear(&places);
    for (size_t i = 0; i < n && n_survivors < MAX_SURVIVORS; i++) {
        const Block *block = &blocks[i];
        if (!block->live || (!block->site && !all) || block->call < 1) continue;
        PyObject *object = block->domain == DOMAIN_OBJ ? objects_in(block->block, block->bytes) : NULL;
        /* A freed object on a freelist has count 0. */
        if (object && (Py_REFCNT(object) <= 0 || (all && objects_immortal(object)))) continue;
        if (!object && (!block->direct || !block->site)) continue;
        if (object && table_put(&places, object, n_survivors) != 0) continue;
        survivors[n_survivors++] = (Survivor){block, object, 0, -1};
    }
}

static int visit_survivor(PyObject *object, void *unused) {
    int32_t *index = table_find(&places, object);
    if (index) survivors[*index].held++;
    return ballast_leaked_visit(object, unused);
}

/* What a leaked list holds is leaked with it: only the list is worth a word. */
static void find_roots(void) {
    for (int i = 0; i < n_survivors; i++) {
        PyObject *object = survivors[i].object;
        if (object && PyObject_IS_GC(object) && Py_TYPE(object)->tp_traverse && !PyType_Check(object))
            Py_TYPE(object)->tp_traverse(object, visit_survivor, NULL);
    }
}

/* Whatever a container holds that somebody can reach is kept, not lost. */
static int count_visible(void) {
    static PyObject *objects[MAX_SURVIVORS];
    static Py_ssize_t visible[MAX_SURVIVORS];
    int n = 0;
    for (int i = 0; i < n_survivors; i++)
        if (survivors[i].object) objects[n++] = survivors[i].object;
    if (n == 0) return 0;
    if (heap_count(objects, n, visible) != 0) return -1;
    for (int i = n_survivors - 1; i >= 0; i--)
        if (survivors[i].object) survivors[i].visible = visible[--n];
    return 0;
}

static PyObject *survivor_row(const Survivor *s) {
    const Block *b = s->block;
    return Py_BuildValue("(snNNsIi)", s->object ? Py_TYPE(s->object)->tp_name : "", (Py_ssize_t)b->bytes,
                         site_tuple(b->site), site_tuple(b->last_use), b->last_use ? name_of(b->last_call) : "",
                         b->call, (int)b->domain);
}

static PyObject *survivor_rows(void) {
    PyObject *rows = PyList_New(0);
    for (int i = 0; rows && i < n_survivors; i++) {
        const Survivor *s = &survivors[i];
        if (s->object && Py_MAX(s->held, s->visible) >= Py_REFCNT(s->object)) continue;
        if (append(rows, survivor_row(s)) != 0) Py_CLEAR(rows);
    }
    return rows;
}

/* ---- the other parts ---- */

static PyObject *series_of(const Watched *w, int calls) {
    int n = calls < MAX_SERIES ? calls : MAX_SERIES;
    PyObject *series = PyList_New(n);
    for (int i = 0; series && i < n; i++) PyList_SET_ITEM(series, i, PyLong_FromSsize_t(w->series[i]));
    return series;
}

/* (index, series, owed, leaked, buffers, site of the buffer, last use, its name, kept, dropped,
 * yielded) of each object that changed. */
static PyObject *watched_rows(int calls) {
    Py_ssize_t n;
    const Watched *watched = ballast_rows(&n);
    PyObject *rows = PyList_New(0);
    for (Py_ssize_t i = 0; rows && i < n; i++) {
        const Watched *w = &watched[i];
        if (!w->gained && !w->owed && !w->buffers && i >= 8) continue;
        PyObject *row = Py_BuildValue("(nNnnnNNsnnn)", i, series_of(w, calls), w->owed, w->leaked, w->buffers,
                                      site_tuple(w->buffer_site), site_tuple(w->last_use),
                                      w->last_use ? name_of(w->last_call) : "", w->kept, w->dropped, w->yielded);
        if (append(rows, row) != 0) Py_CLEAR(rows);
    }
    return rows;
}

static PyObject *ledger_list(void) {
    size_t n;
    const LedgerRow *ledger = ledger_rows(&n);
    PyObject *rows = PyList_New(0);
    for (size_t i = 0; rows && i < n; i++) {
        if (!ledger[i].block || ledger[i].call < 1 || !ledger[i].site) continue;
        PyObject *row = Py_BuildValue("(nNI)", (Py_ssize_t)ledger[i].bytes, site_tuple(ledger[i].site), ledger[i].call);
        if (append(rows, row) != 0) Py_CLEAR(rows);
    }
    return rows;
}

static PyObject *overrun_rows(void) {
    size_t n;
    const Overrun *overruns = fence_overruns(&n);
    PyObject *rows = PyList_New(0);
    for (size_t i = 0; rows && i < n; i++) {
        const Overrun *o = &overruns[i];
        PyObject *row =
            Py_BuildValue("(snnN)", o->type, (Py_ssize_t)o->bytes, (Py_ssize_t)o->past, site_tuple(o->taken));
        if (append(rows, row) != 0) Py_CLEAR(rows);
    }
    return rows;
}

static PyObject *without_gil_rows(void) {
    PyObject *rows = PyList_New(0);
    for (int i = 0; rows && i < calls_count(); i++) {
        const ApiCall *call = calls_get(i);
        if (!call->without_gil) continue;
        PyObject *row = Py_BuildValue("(sKN)", call->name, call->without_gil, site_tuple(call->first_without_gil));
        if (append(rows, row) != 0) Py_CLEAR(rows);
    }
    return rows;
}

static PyObject *log_rows(void) {
    long n;
    const LogEntry *log = calls_log(&n);
    PyObject *rows = PyList_New(0);
    for (long i = 0; rows && i < n; i++)
        if (append(rows, Py_BuildValue("(sN)", name_of(log[i].call), site_tuple(log[i].site))) != 0) Py_CLEAR(rows);
    return rows;
}

static PyObject *failed_tuple(void) {
    const LogEntry *failed = calls_failed();
    if (!failed) Py_RETURN_NONE;
    return Py_BuildValue("(sN)", name_of(failed->call), site_tuple(failed->site));
}

PyObject *report_survey(const Survey *survey, Survivors which) {
    allocator_inspect();
    collect_survivors(which != SURVIVORS_OURS);
    find_roots();
    if (which == SURVIVORS_UNSEEN && count_visible() != 0) return NULL;
    return Py_BuildValue("{s:i,s:l,s:s,s:n,s:N,s:N,s:N,s:N,s:N,s:N,s:N}", "calls", survey->calls, "raised",
                         survey->raised, "exception", survey->exception, "grown", survey->grown, "watched",
                         watched_rows(survey->calls), "survivors", survivor_rows(), "ledger", ledger_list(),
                         "without_gil", without_gil_rows(), "log", log_rows(), "failed", failed_tuple(), "overruns",
                         overrun_rows());
}

PyObject *report_freed(const char *exception) {
    const ZombieUse *use = zombie_use();
    PyObject *without = without_gil_rows();
    if (!use->found)
        return Py_BuildValue("{s:s,s:N,s:O}", "exception", exception, "without_gil", without, "use", Py_None);
    return Py_BuildValue("{s:s,s:N,s:(ssNNN)}", "exception", exception, "without_gil", without, "use", use->type,
                         use->how, site_tuple(use->taken), site_tuple(use->freed), site_tuple(use->used));
}
