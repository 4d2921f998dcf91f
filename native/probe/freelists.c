#define PY_SSIZE_T_CLEAN
#define Py_BUILD_CORE 1
#include <Python.h>

#include "freelists.h"

/* The one file that knows the inside of an interpreter. The layouts are those of the headers it is compiled with, and
 * the probe is compiled for the interpreter it runs in. */
#if PY_VERSION_HEX >= 0x030d0000 && PY_VERSION_HEX < 0x030e0000 && !defined(Py_GIL_DISABLED)
#include "internal/pycore_freelist.h"
#include "internal/pycore_interp.h"

void freelists_shut(void) {
    struct _Py_object_freelists *lists = &PyInterpreterState_Get()->object_state.freelists;
    /* A negative count is a list that neither takes nor gives. */
    lists->floats.items = NULL;
    lists->floats.numfree = -1;
    lists->lists.numfree = -1;
    lists->dicts.numfree = -1;
    lists->dictkeys.numfree = -1;
    lists->slices.slice_cache = NULL;
    for (int i = 0; i < PyTuple_MAXSAVESIZE; i++) {
        lists->tuples.items[i] = NULL;
        lists->tuples.numfree[i] = -1;
    }
}

#elif PY_VERSION_HEX >= 0x030b0000 && PY_VERSION_HEX < 0x030d0000
#include "internal/pycore_interp.h"

#define FULL 1000000 /* more than any list holds: nothing is put on it */

void freelists_shut(void) {
    PyInterpreterState *state = PyInterpreterState_Get();
    state->float_state.free_list = NULL;
    state->float_state.numfree = FULL;
    for (int i = 1; i < PyTuple_NFREELISTS; i++) {
        state->tuple.free_list[i] = NULL;
        state->tuple.numfree[i] = FULL;
    }
    /* These hand out what they count, so they can only be emptied. */
    state->list.numfree = 0;
    state->dict_state.numfree = 0;
    state->dict_state.keys_numfree = 0;
}

#else
void freelists_shut(void) {}
#endif
