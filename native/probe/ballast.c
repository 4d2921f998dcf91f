#define PY_SSIZE_T_CLEAN
#include "ballast.h"

#include <string.h>

#include "heap.h"
#include "left.h"
#include "objects.h"
#include "table.h"

#define BALLAST ((Py_ssize_t)1 << 20)
#define MAX_FRESH 4096

static Watched watched[MAX_WATCHED];
static Py_ssize_t n_watched;
static Table places; /* object -> index into watched */

static int is_program(PyObject *o) {
    return PyType_Check(o) || PyModule_Check(o) || PyFunction_Check(o) || PyCode_Check(o) || PyCFunction_Check(o);
}

static void traverse(PyObject *object, visitproc visit) {
    traverseproc how = Py_TYPE(object)->tp_traverse;
    if (how && !is_program(object) && PyObject_IS_GC(object)) how(object, visit, NULL);
}

static int count_visible(PyObject *object, void *unused) {
    int32_t *index = table_find(&places, object);
    (void)unused;
    if (index) watched[*index].visible++;
    return 0;
}

static void count_of_left(PyObject *object) {
    if (!table_find(&places, object)) traverse(object, count_visible);
}

static void recount(void) {
    for (Py_ssize_t i = 0; i < n_watched; i++) watched[i].visible = 0;
    for (Py_ssize_t i = 0; i < n_watched; i++) traverse(watched[i].object, count_visible);
    left_each(count_of_left);
}

static Py_ssize_t outside(const Watched *w) {
    return Py_REFCNT(w->object) - w->visible;
}

int ballast_watch(PyObject *objects) {
    n_watched = 0;
    left_clear();
    table_clear(&places);
    memset(watched, 0, sizeof(Watched) * (size_t)Py_MIN(PyList_GET_SIZE(objects), MAX_WATCHED));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(objects) && n_watched < MAX_WATCHED; i++) {
        PyObject *object = PyList_GET_ITEM(objects, i);
        if (table_put(&places, object, (int32_t)n_watched) != 0) return PyErr_NoMemory(), -1;
        watched[n_watched++].object = object;
        if (!objects_immortal(object)) Py_SET_REFCNT(object, Py_REFCNT(object) + BALLAST);
    }
    recount();
    for (Py_ssize_t i = 0; i < n_watched; i++) watched[i].outside = outside(&watched[i]);
    return 0;
}

/* ---- rounds ---- */

#define MAX_GAINERS 8192

typedef struct {
    PyObject *object;
    Py_ssize_t before; /* references from nowhere visible, when it was first seen */
    Py_ssize_t left;   /* references of what was let go and the collector does not track */
    int row;
} Gainer;

static Gainer gainers[MAX_GAINERS]; /* each is held by one reference of ours */
static int n_gainers, explaining;

static void note_gainer(PyObject *object, int row, Py_ssize_t before) {
    for (int i = 0; i < n_gainers; i++)
        if (gainers[i].object == object) return;
    if (n_gainers < MAX_GAINERS) gainers[n_gainers++] = (Gainer){Py_NewRef(object), before, 0, row};
}

/* Objects that are there from the first round on may have holders that the collector does not see. */
static int note_lasting(PyObject *objects) {
    Py_ssize_t n = Py_MIN(PyList_GET_SIZE(objects), MAX_WATCHED);
    PyObject **items = PySequence_Fast_ITEMS(objects);
    static Py_ssize_t visible[MAX_WATCHED];
    n_gainers = 0;
    /* Its first pass over them takes what holds only texts and numbers off the collector's lists (co_consts of code). */
    PyGC_Collect();
    if (heap_count(items, n, visible) != 0) return -1;
    for (Py_ssize_t i = 0; i < n; i++)
        if (!objects_immortal(items[i])) note_gainer(items[i], (int)i, Py_REFCNT(items[i]) - visible[i]);
    return 0;
}

static void settle(Watched *w, int lasting, int number) {
    const Py_ssize_t now = outside(w) - BALLAST * (1 + w->extra);
    w->outside = outside(w);
    if (!lasting) {
        w->extra = 0;
    } else if (number > 0 && !objects_immortal(w->object)) {
        w->gained = w->earlier = now - w->base;
        if (number <= MAX_SERIES) w->series[number - 1] = w->gained;
    } else {
        w->base = now;
    }
}

int ballast_open(PyObject *objects, int number, int explain) {
    Py_ssize_t n = Py_MIN(PyList_GET_SIZE(objects), MAX_WATCHED);
    static PyObject *before[MAX_WATCHED];
    if (number == 0) {
        memset(watched, 0, sizeof watched);
        n_watched = n;
        left_clear();
        explaining = explain;
        if (explain && note_lasting(objects) != 0) return -1;
    }
    n_watched = Py_MIN(n, n_watched);
    table_clear(&places);
    for (Py_ssize_t i = 0; i < n_watched; i++) {
        PyObject *object = PyList_GET_ITEM(objects, i);
        if (table_put(&places, object, (int32_t)i) != 0) return PyErr_NoMemory(), -1;
        before[i] = number == 0 ? object : watched[i].object;
        watched[i].object = object;
        watched[i].earlier = watched[i].gained;
        watched[i].kept = -1;
        if (!objects_immortal(object)) Py_SET_REFCNT(object, Py_REFCNT(object) + BALLAST);
    }
    recount();
    for (Py_ssize_t i = 0; i < n_watched; i++) settle(&watched[i], before[i] == watched[i].object, number);
    return 0;
}

static void count_inside(PyObject *object) {
    traverse(object, count_visible);
}

/* What was let go takes with it whatever only it holds. Before the extra references are given back. */
static void find_left(void) {
    int more = 0;
    for (Py_ssize_t i = 0; i < n_watched; i++)
        if (watched[i].gained < watched[i].earlier) more |= left_add(watched[i].object);
    while (more) {
        more = 0;
        for (Py_ssize_t i = 0; i < n_watched; i++) watched[i].visible = 0;
        left_each(count_inside);
        for (Py_ssize_t i = 0; i < n_watched; i++) {
            const Watched *w = &watched[i];
            const Py_ssize_t real = Py_REFCNT(w->object) - BALLAST * (1 + w->extra);
            if (w->visible && w->visible >= real && !objects_immortal(w->object)) more |= left_add(w->object);
        }
    }
}

void ballast_close(void) {
    find_left();
    for (Py_ssize_t i = 0; i < n_watched; i++) {
        Watched *w = &watched[i];
        if (objects_immortal(w->object)) continue;
        Py_ssize_t gained = w->gained - w->earlier;
        if (gained > 0 && explaining) note_gainer(w->object, (int)i, 0);
        /* What others still count on must not be freed, and an extra reference does no harm in a process that ends. */
        if (gained < 0 || left_has(w->object))
            w->extra++;
        else
            Py_SET_REFCNT(w->object, Py_REFCNT(w->object) - BALLAST);
    }
    table_clear(&places);
}

static int visit_gainer(PyObject *object, void *unused) {
    int32_t *index = table_find(&places, object);
    (void)unused;
    if (index) gainers[*index].left++;
    return 0;
}

/* The collector does not see what it does not track. */
static void count_unseen(PyObject *object) {
    if (!PyObject_GC_IsTracked(object)) traverse(object, visit_gainer);
}

static void count_left(void) {
    table_clear(&places);
    for (int i = 0; i < n_gainers; i++) table_put(&places, gainers[i].object, i);
    left_each(count_unseen);
    table_clear(&places);
}

int ballast_explain(void) {
    static PyObject *objects[MAX_GAINERS];
    static Py_ssize_t visible[MAX_GAINERS];
    for (int i = 0; i < n_gainers; i++) objects[i] = gainers[i].object;
    if (heap_count(objects, n_gainers, visible) != 0) return -1;
    for (Py_ssize_t i = 0; i < n_watched; i++) watched[i].kept = 0;
    count_left();
    for (int i = 0; i < n_gainers; i++) {
        Py_ssize_t kept = Py_REFCNT(objects[i]) - 1 - visible[i] - gainers[i].before - gainers[i].left;
        if (kept > 0 && kept < BALLAST / 2) watched[gainers[i].row].kept += kept;
    }
    return 0;
}

static int count_threads(void) {
    int n = 0;
    for (PyThreadState *t = PyInterpreterState_ThreadHead(PyInterpreterState_Get()); t; t = PyThreadState_Next(t)) n++;
    return n;
}

int ballast_holders(HoldersAt at) {
    static int threads;
    static PyObject *objects[MAX_WATCHED];
    static Py_ssize_t visible[MAX_WATCHED];
    for (Py_ssize_t i = 0; i < n_watched; i++) objects[i] = watched[i].object;
    if (heap_count(objects, n_watched, visible) != 0) return -1;
    recount();
    if (at == HOLDERS_BEFORE) threads = count_threads();
    /* What the frames of a thread held is not seen, and goes with it. */
    const Py_ssize_t unseen = count_threads() < threads ? BALLAST : 0;
    for (Py_ssize_t i = 0; i < n_watched; i++) {
        Watched *w = &watched[i];
        const Py_ssize_t now = visible[i] - w->visible - unseen;
        if (at == HOLDERS_BEFORE) w->holders = now;
        if (at == HOLDERS_WITH_RESULT) w->yielded += w->holders - now;
        if (at == HOLDERS_AFTER) w->dropped += w->holders - now;
    }
    return 0;
}

/* ---- what a result holds ---- */

static PyObject *fresh[MAX_FRESH]; /* objects of the result that are not the arguments' */
static Py_ssize_t n_fresh;
static Table seen;

static int walk_result(PyObject *object, void *unused) {
    int32_t *index = table_find(&places, object);
    (void)unused;
    if (index) {
        watched[*index].held++;
    } else if (object && !table_find(&seen, object) && n_fresh < MAX_FRESH && Py_REFCNT(object) == 1 &&
               (PyList_CheckExact(object) || PyTuple_CheckExact(object) || PyDict_CheckExact(object))) {
        /* Only plain containers that nobody else holds: others may lead to anything, also back to the caller, and what
         * they keep from earlier calls has its references from there. */
        if (table_put(&seen, object, 1) == 0) fresh[n_fresh++] = object;
    }
    return 0;
}

void ballast_result(PyObject *result) {
    for (Py_ssize_t i = 0; i < n_watched; i++) watched[i].held = 0;
    n_fresh = 0;
    table_clear(&seen);
    if (!result) return;
    walk_result(result, NULL);
    for (Py_ssize_t i = 0; i < n_fresh; i++) traverse(fresh[i], walk_result);
    recount();
    for (Py_ssize_t i = 0; i < n_watched; i++) {
        Watched *w = &watched[i];
        Py_ssize_t gained = outside(w) - w->outside - (w->gained - w->earlier);
        if (w->held > 0 && gained < w->held && !objects_immortal(w->object)) w->owed += w->held - Py_MAX(gained, 0);
    }
}

void ballast_count(int number) {
    recount();
    for (Py_ssize_t i = 0; i < n_watched; i++) {
        Watched *w = &watched[i];
        if (!objects_immortal(w->object)) w->gained = w->earlier + outside(w) - w->outside;
        if (number < MAX_SERIES) w->series[number] = w->gained;
    }
}

int ballast_leaked_visit(PyObject *object, void *unused) {
    int32_t *index = table_find(&places, object);
    (void)unused;
    if (index) watched[*index].leaked++;
    return 0;
}

void ballast_touch(void *object, int call, Site site) {
    int32_t *index = table_find(&places, object);
    if (!index) return;
    watched[*index].last_use = site;
    watched[*index].last_call = call;
}

void ballast_buffer(PyObject *object, int change, Site site) {
    int32_t *index = table_find(&places, object);
    if (!index) return;
    watched[*index].buffers += change;
    if (change > 0) watched[*index].buffer_site = site;
}

Watched *ballast_rows(Py_ssize_t *count) {
    *count = n_watched;
    return watched;
}
