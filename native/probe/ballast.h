/* The reference counts of the arguments and what they hold, call by call. Each is given a million references first, so
 * that one that is given back too often shows as a number and not as a crash. */
#ifndef MLTUTOR_BALLAST_H
#define MLTUTOR_BALLAST_H

#include <Python.h>

#include "frames.h"

#define MAX_WATCHED 4096
#define MAX_SERIES 64

typedef struct {
    PyObject *object;
    Py_ssize_t outside; /* references that no other watched object holds, at the start */
    Py_ssize_t visible; /* those that others hold, now */
    Py_ssize_t gained;  /* outside now, less outside at the start; over all rounds */
    Py_ssize_t earlier; /* of it, in earlier rounds */
    Py_ssize_t base;    /* outside, without extra references, in the first round */
    int extra;          /* extra references that were not given back, in units of them */
    Py_ssize_t kept;    /* of it, what is held by nothing that the collector sees; -1: not looked at */
    Py_ssize_t owed;    /* places in results that had no reference of their own, over all calls */
    Py_ssize_t held;    /* places in the last result */
    Py_ssize_t holders; /* references of what the collector sees, other watched objects left out, before the call */
    Py_ssize_t dropped; /* those that the calls took away: such a reference is no loss */
    Py_ssize_t yielded; /* the same while the results were there: a reference may have moved into one */
    Py_ssize_t leaked;  /* references from objects that were leaked */
    Py_ssize_t buffers; /* PyObject_GetBuffer less PyBuffer_Release */
    Py_ssize_t series[MAX_SERIES];
    Site last_use, buffer_site;
    int last_call;
} Watched;

/* Watches these objects (a list; at most MAX_WATCHED of them count). 0, or -1 with an exception set. */
int ballast_watch(PyObject *objects);
/* The same, call by call, for arguments that are made anew for each: the n-th object of every round adds to the n-th row.
 * An object that is there in every round is counted again when the arguments of the round before are gone: what they
 * held of it is no gain. ballast_close() gives the extra references back, unless the object had lost some. */
int ballast_open(PyObject *objects, int number, int explain);
void ballast_close(void);
/* With `explain` gained objects are kept until this: it fills `kept` of the rows. 0, or -1 with an exception. */
int ballast_explain(void);
/* Looks at a result that is about to be released, then, once it is, at all counts. number: of the call. */
void ballast_result(PyObject *result);
void ballast_count(int number);
/* Who holds the watched objects: before a call, with its result there, and when that is gone. 0, or -1 with an exception. */
typedef enum { HOLDERS_BEFORE, HOLDERS_WITH_RESULT, HOLDERS_AFTER } HoldersAt;
int ballast_holders(HoldersAt at);
/* A reference that a leaked object holds. */
int ballast_leaked_visit(PyObject *object, void *unused);

void ballast_touch(void *object, int call, Site site);
void ballast_buffer(PyObject *object, int change, Site site);

Watched *ballast_rows(Py_ssize_t *count);

#endif
