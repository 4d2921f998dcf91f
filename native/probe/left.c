#define PY_SSIZE_T_CLEAN
#include "left.h"

#include "table.h"

#define MAX_LEFT 8192

static PyObject *left[MAX_LEFT];
static int n_left;
static Table known;

void left_clear(void) {
    n_left = 0;
    table_clear(&known);
}

int left_add(PyObject *object) {
    if (n_left == MAX_LEFT || left_has(object) || table_put(&known, object, 1) != 0) return 0;
    left[n_left++] = object;
    return 1;
}

int left_has(const PyObject *object) {
    return table_find(&known, object) != NULL;
}

void left_each(void (*visit)(PyObject *object)) {
    for (int i = 0; i < n_left; i++) visit(left[i]);
}
