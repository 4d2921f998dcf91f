/* Bytes behind each block that a target takes. Whoever writes past the end of the block changes them, and is found out
 * when the block is given back. */
#ifndef MLTUTOR_FENCE_H
#define MLTUTOR_FENCE_H

#include <stddef.h>

#include "frames.h"

/* Long where a block's end may be unsure (see fence_past_surely), short where an interpreter takes a thousand a call. */
#define FENCE 64
#define LONG_FENCE 256
#define FENCE_TYPE 64
#define MAX_OVERRUNS 64

typedef struct {
    size_t bytes; /* of the block */
    size_t past;  /* bytes behind its end, up to the last that was written */
    Site taken;
    char type[FENCE_TYPE]; /* of the object in it; empty for bare memory */
} Overrun;

/* Bytes to ask for so that a fence fits behind n items of `size` bytes; 0 when they are too many. */
size_t fence_room(size_t n, size_t size, size_t fence);
/* Puts a fence of that length behind the first `bytes` bytes of a block. */
void fence_put(void *block, size_t bytes, size_t fence);

/* Bytes behind the end of the block, up to the last that changed: 0 when none did. */
size_t fence_past(const void *block, size_t bytes, size_t fence);
/* The same; also 0 when the fence's far end has changed. Where a block may have been freed and taken again without our
 * knowledge its fence is gone, and only what stops inside the fence proves that it is the same block. */
size_t fence_past_surely(const void *block, size_t bytes, size_t fence);

/* Notes an overrun, once for each place at which the block was taken; the n noted since fence_forget(). */
void fence_note(Overrun overrun);
void fence_forget(void);
const Overrun *fence_overruns(size_t *n);

#endif
