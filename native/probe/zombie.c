#define PY_SSIZE_T_CLEAN
#include "zombie.h"

#include <string.h>

#include "allocator.h"
#include "objects.h"
#include "table.h"

#define MAX_ZOMBIES 20000
#define LEFT_COUNT ((Py_ssize_t)0x00fedcba) /* far from 0 and from an immortal's count */
#define FILL 0x5d

typedef struct {
    PyObject *object;
    char type[ZOMBIE_NAME];
    Site taken, freed;
} Zombie;

static Zombie zombies[MAX_ZOMBIES];
static int n_zombies, keeping;
static Table places; /* object -> index into zombies */
static ZombieUse first_use;
static PyTypeObject trap;

static void note(PyObject *object, const char *how, Site used) {
    int32_t *index = table_find(&places, object);
    if (!index || first_use.found) return;
    const Zombie *zombie = &zombies[*index];
    first_use = (ZombieUse){.taken = zombie->taken, .freed = zombie->freed, .used = used, .found = 1};
    memcpy(first_use.type, zombie->type, ZOMBIE_NAME);
    strncpy(first_use.how, how, ZOMBIE_NAME - 1);
}

/* ---- the trap type ---- */

static void *caught(PyObject *object, const char *how) {
    note(object, how, frames_innermost());
    PyErr_SetString(PyExc_RuntimeError, "an object is used after it was freed");
    return NULL;
}

static PyObject *trap_one(PyObject *o) {
    return caught(o, "converted or read");
}
static PyObject *trap_two(PyObject *a, PyObject *b) {
    return caught(Py_TYPE(a) == &trap ? a : b, "an operand");
}
static PyObject *trap_attribute(PyObject *o, PyObject *name) {
    return (void)name, caught(o, "asked for an attribute");
}
static PyObject *trap_call(PyObject *o, PyObject *a, PyObject *k) {
    return (void)a, (void)k, caught(o, "called");
}
static PyObject *trap_item(PyObject *o, Py_ssize_t i) {
    return (void)i, caught(o, "indexed");
}
static PyObject *trap_compare(PyObject *a, PyObject *b, int op) {
    return (void)op, trap_two(a, b);
}
static Py_hash_t trap_hash(PyObject *o) {
    return caught(o, "hashed"), -1;
}
static Py_ssize_t trap_length(PyObject *o) {
    return caught(o, "measured"), -1;
}
static int trap_bool(PyObject *o) {
    return caught(o, "tested"), -1;
}

static void trap_dealloc(PyObject *o) {
    note(o, "released again", frames_innermost());
    Py_SET_REFCNT(o, LEFT_COUNT);
}

static PyNumberMethods trap_number = {
    .nb_add = trap_two,
    .nb_subtract = trap_two,
    .nb_multiply = trap_two,
    .nb_true_divide = trap_two,
    .nb_float = trap_one,
    .nb_int = trap_one,
    .nb_index = trap_one,
    .nb_bool = trap_bool,
    .nb_negative = trap_one,
};
static PySequenceMethods trap_sequence = {.sq_length = trap_length, .sq_item = trap_item};
static PyMappingMethods trap_mapping = {.mp_length = trap_length, .mp_subscript = trap_two};

static PyTypeObject trap = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "freed object",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_repr = trap_one,
    .tp_str = trap_one,
    .tp_iter = trap_one,
    .tp_iternext = trap_one,
    .tp_getattro = trap_attribute,
    .tp_call = trap_call,
    .tp_hash = trap_hash,
    .tp_richcompare = trap_compare,
    .tp_dealloc = trap_dealloc,
    .tp_as_number = &trap_number,
    .tp_as_sequence = &trap_sequence,
    .tp_as_mapping = &trap_mapping,
};

int zombie_ready(void) {
    return PyType_Ready(&trap);
}

/* ---- the quarantine ---- */

void zombie_keep(int on) {
    if (on) {
        n_zombies = 0;
        table_clear(&places);
        memset(&first_use, 0, sizeof first_use);
    }
    keeping = on;
}

int zombie_is(PyObject *object) {
    return Py_TYPE(object) == &trap;
}

int zombie_take(void *block) {
    if (!keeping || n_zombies == MAX_ZOMBIES) return 0;
    const Block *known = allocator_find(block);
    size_t bytes = known ? known->bytes : 0;
    PyObject *object = objects_in(block, bytes);
    if (!object || zombie_is(object) || table_put(&places, object, n_zombies) != 0) return 0;
    Zombie *zombie = &zombies[n_zombies++];
    *zombie = (Zombie){.object = object, .taken = known ? known->site : 0, .freed = frames_innermost()};
    strncpy(zombie->type, Py_TYPE(object)->tp_name, ZOMBIE_NAME - 1);
    size_t header = (size_t)((char *)object - (char *)block) + sizeof(PyObject);
    if (bytes > header) memset((char *)block + header, FILL, bytes - header);
    Py_SET_TYPE(object, &trap);
    Py_SET_REFCNT(object, LEFT_COUNT);
    return 1;
}

void zombie_check(void *object, const char *how, Site site) {
    if (n_zombies && table_find(&places, object)) note(object, how, site);
}

/* ---- after the call ---- */

static int visit(PyObject *object, void *unused) {
    (void)unused;
    if (object && zombie_is(object)) note(object, "in the result", 0);
    return 0;
}

static int visit_deeper(PyObject *object, void *unused) {
    if (!object || zombie_is(object)) return visit(object, unused);
    if (PyList_CheckExact(object) || PyTuple_CheckExact(object) || PyDict_CheckExact(object))
        Py_TYPE(object)->tp_traverse(object, visit, NULL);
    return 0;
}

static int visit_deepest(PyObject *object, void *unused) {
    if (!object || zombie_is(object)) return visit(object, unused);
    if (PyList_CheckExact(object) || PyTuple_CheckExact(object) || PyDict_CheckExact(object))
        Py_TYPE(object)->tp_traverse(object, visit_deeper, NULL);
    return 0;
}

void zombie_inspect(PyObject *result) {
    if (result) visit_deepest(result, NULL);
    for (int i = 0; i < n_zombies && !first_use.found; i++) {
        PyObject *object = zombies[i].object;
        if (!zombie_is(object) || Py_REFCNT(object) == LEFT_COUNT) continue;
        note(object, Py_REFCNT(object) < LEFT_COUNT ? "released again" : "kept", 0);
    }
}

const ZombieUse *zombie_use(void) {
    return &first_use;
}
