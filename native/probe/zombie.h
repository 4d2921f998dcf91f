/* Freed objects are kept and given a type whose every slot is a trap: whatever uses one says so instead of crashing. */
#ifndef MLTUTOR_ZOMBIE_H
#define MLTUTOR_ZOMBIE_H

#include <Python.h>

#include "frames.h"

#define ZOMBIE_NAME 64

/* The first use of a freed object. */
typedef struct {
    char type[ZOMBIE_NAME]; /* what it was */
    char how[ZOMBIE_NAME];  /* what was done with it */
    Site taken, freed, used;
    int found;
} ZombieUse;

/* Readies the trap type. 0, or -1 with an exception set. */
int zombie_ready(void);
/* Freed objects are kept from now on (1) or freed as ever (0). */
void zombie_keep(int on);

/* Called for each freed block: 1 when it was an object and is kept. */
int zombie_take(void *block);
/* An object was given to a function of the API. */
void zombie_check(void *object, const char *how, Site site);
/* True for a freed object. */
int zombie_is(PyObject *object);

/* Looks for a freed object in what a call returned, and for counts that changed after the end. Before anything that
 * was returned is released. */
void zombie_inspect(PyObject *result);
const ZombieUse *zombie_use(void);

#endif
