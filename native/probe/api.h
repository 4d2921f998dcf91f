/* What the probe knows about functions of the Python C API: their objects, how they fail, whether they need the GIL. */
#ifndef MLTUTOR_API_H
#define MLTUTOR_API_H

typedef enum {
    FAILS_NEVER = 0,
    FAILS_NULL = 1,     /* NULL, with an exception */
    FAILS_MINUS = 2,    /* -1, with an exception */
    FAILS_SILENTLY = 3, /* NULL, without an exception: the memory functions */
} Failure;

typedef enum {
    PLAIN,
    GET_BUFFER,
    RELEASE_BUFFER,
    ALLOCATES,
    COUNTED,   /* the first argument says how many objects follow */
    ENDED,     /* objects up to NULL */
    FORMATTED, /* the first argument is a format of Py_BuildValue */
} Role;

typedef struct {
    int objects; /* so many of the first six arguments may be objects */
    Failure failure;
    Role role;
} ApiFacts;

/* Facts about a function by its name; for an unknown one: one object, never fails. */
ApiFacts api_facts(const char *name);

/* True for what may be called without the GIL. */
int api_needs_no_gil(const char *name);

#endif
