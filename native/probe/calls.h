/* What happens when a target calls a function of the Python API: it is judged before it runs, and may be made to fail. */
#ifndef MLTUTOR_CALLS_H
#define MLTUTOR_CALLS_H

#include <Python.h>
#include <stdint.h>

#include "api.h"
#include "frames.h"

#define MAX_CALLS 2048
#define MAX_LOG 8192

typedef struct {
    const char *name;
    ApiFacts facts;
    uint64_t without_gil;
    Site first_without_gil;
} ApiCall;

/* One failable call in the order of the run. */
typedef struct {
    int call;
    Site site;
} LogEntry;

/* The one entry that all stubs jump to, with the number of the call in %r11. */
void calls_entry(void);

/* Takes up a function; its number, or -1 when there are MAX_CALLS. */
int calls_register(const char *name, void *function);

const ApiCall *calls_get(int index);
int calls_count(void);

/* Starts watching: counters and the log are empty, the `fail_at`-th failable call fails (-1: none does). */
void calls_begin(long fail_at);
/* Stops watching for a while, or goes on. */
void calls_watch(int on);
/* The same call of the API fails again in the next call of the learner's function. */
void calls_rewind(void);

/* The failable calls since calls_begin(), at most MAX_LOG. */
const LogEntry *calls_log(long *count);
/* The call that was made to fail; NULL when none was. */
const LogEntry *calls_failed(void);

#endif
