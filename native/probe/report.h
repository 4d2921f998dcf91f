/* What was seen, as Python values: plain tuples, lists and dicts that another process can be sent. */
#ifndef MLTUTOR_REPORT_H
#define MLTUTOR_REPORT_H

#include <Python.h>

#define REPORT_TEXT 256

typedef struct {
    int calls;
    long raised;
    Py_ssize_t grown; /* bytes by malloc's books, from the second call on */
    char exception[REPORT_TEXT];
} Survey;

/* Takes the exception that is set; its text goes into `text` unless there is one already. */
void report_exception(char *text, size_t size);
/* Which blocks that are still there are told: those that were taken under a target's code, or all, or of these only
 * those that hold no object which a container holds that the collector sees. */
typedef enum { SURVIVORS_OURS, SURVIVORS_ALL, SURVIVORS_UNSEEN } Survivors;

/* The dict that survey() returns. */
PyObject *report_survey(const Survey *survey, Survivors which);
/* The dict that exhume() returns. */
PyObject *report_freed(const char *exception);

#endif
