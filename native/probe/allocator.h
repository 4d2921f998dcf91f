/* Every block that Python's allocator hands out while a target is on the stack: where from, and whether it came back. */
#ifndef MLTUTOR_ALLOCATOR_H
#define MLTUTOR_ALLOCATOR_H

#include <Python.h>
#include <stddef.h>
#include <stdint.h>

#include "frames.h"

typedef enum { DOMAIN_MEM = 1, DOMAIN_OBJ = 2 } BlockDomain;

typedef struct {
    void *block;
    size_t bytes;
    Site site;     /* of the learner's line that made the allocation */
    Site last_use; /* of the last call of the API that got the object; 0: none */
    int last_call; /* which function that was */
    uint32_t call; /* number of the learner's call */
    uint8_t domain;
    uint8_t live;
    uint8_t direct; /* asked for by the target itself (PyMem_Malloc), not by an object that it made */
    uint8_t fenced; /* see fence.h */
} Block;

/* Hooks the object and memory domains. Frees are followed from now on, allocations while tracking. */
void allocator_install(void);
/* Forgets all blocks. */
void allocator_clear(void);
void allocator_track(int on);
/* The following blocks are taken in this call of the learner's function. */
void allocator_call(uint32_t number);
/* The next allocation is the target's own. */
void allocator_expect_direct(void);
/* An object was given to a function of the API. */
void allocator_touch(void *object, int call, Site site);

/* Looks for overruns of the blocks that are still there. */
void allocator_inspect(void);

/* What is known of a block; NULL when it is not known. */
const Block *allocator_find(const void *block);
/* All blocks since allocator_clear(), freed ones too. */
const Block *allocator_blocks(size_t *count);

#endif
