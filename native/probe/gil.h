/* When a target lets go of the GIL and takes it back, and what it does in between that needs it. */
#ifndef MLTUTOR_GIL_H
#define MLTUTOR_GIL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#include "frames.h"

/* Releases of one call that are kept: what a timeline can show; later ones only count in the sums. */
#define GIL_SPANS 512

typedef struct {
    uint64_t total_ns, released_ns;
    uint64_t longest_held_ns; /* the longest stretch without a release */
    uint64_t releases;
} GilTimes;

/* What stands in for the functions that let go of the GIL or take it; NULL for other names. */
void *gil_wrapper(const char *name);

/* Nanoseconds of the monotonic clock. */
uint64_t gil_clock(void);

/* Starts and ends the measurement of one call in the calling thread. */
void gil_begin(void);
GilTimes gil_end(void);

/* New dict of the sums, and of the last measured call, waiting for the GIL left out: `last_ns`, its length, and `spans`,
 * (from, to) in nanoseconds since its begin for each of its first GIL_SPANS releases. NULL with an exception. */
PyObject *gil_report(GilTimes sum);

/* Takes the GIL that this thread has let go, for a call that must not run without it: 1, or 0 when the thread never
 * had it. The thread's own PyEval_RestoreThread then finds it taken. */
int gil_take_back(void);

#endif
