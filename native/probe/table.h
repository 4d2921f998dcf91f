/* A map from addresses to small numbers, in memory of its own: what it needs never shows in malloc's books. */
#ifndef MLTUTOR_TABLE_H
#define MLTUTOR_TABLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const void *key;
    int32_t value;
} Slot;

typedef struct {
    Slot *slots;
    size_t capacity; /* a power of two, 0 before the first put */
    size_t used;
} Table;

/* The value of a key, to read or to change; NULL when it is not there. */
int32_t *table_find(const Table *table, const void *key);

/* Sets the value of a key (not NULL). 0, or -1 when there is no memory. */
int table_put(Table *table, const void *key, int32_t value);

/* Forgets all keys. */
void table_clear(Table *table);

#endif
