/* The malloc and operator new of the targets: what they took and did not give back. */
#ifndef MLTUTOR_LEDGER_H
#define MLTUTOR_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "frames.h"

typedef struct {
    void *block;
    size_t bytes;
    Site site;
    uint32_t call; /* number of the learner's call in which it was taken */
    size_t usable; /* bytes, by malloc; 0: not asked */
    int fenced;    /* see fence.h */
} LedgerRow;

/* What stands in for a function of the malloc family; NULL for other names. `handle` is the target's, to find the
 * operators of the C++ library that it uses. */
void *ledger_wrapper(const char *name, void *handle);

/* Empties the books and starts to keep them; 0 stops. */
void ledger_keep(int on);
/* The following blocks are taken in this call of the learner's function. */
void ledger_call(uint32_t number);

/* The blocks that are still out; the array is valid until the next ledger_keep(1). */
const LedgerRow *ledger_rows(size_t *count);

#endif
