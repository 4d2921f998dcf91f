#define _GNU_SOURCE
#include "table.h"

#include <sys/mman.h>

#define FIRST_CAPACITY 4096

static size_t mix(const void *key) {
    uint64_t x = (uint64_t)(uintptr_t)key;
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    return (size_t)x;
}

static Slot *probe(const Table *table, const void *key) {
    size_t i = mix(key) & (table->capacity - 1);
    while (table->slots[i].key && table->slots[i].key != key) i = (i + 1) & (table->capacity - 1);
    return &table->slots[i];
}

static int grow(Table *table) {
    Table bigger = {NULL, table->capacity ? table->capacity * 2 : FIRST_CAPACITY, table->used};
    size_t bytes = bigger.capacity * sizeof(Slot);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return -1;
    bigger.slots = memory;
    for (size_t i = 0; i < table->capacity; i++)
        if (table->slots[i].key) *probe(&bigger, table->slots[i].key) = table->slots[i];
    if (table->slots) munmap(table->slots, table->capacity * sizeof(Slot));
    *table = bigger;
    return 0;
}

int32_t *table_find(const Table *table, const void *key) {
    if (!table->capacity || !key) return NULL;
    Slot *slot = probe(table, key);
    return slot->key ? &slot->value : NULL;
}

int table_put(Table *table, const void *key, int32_t value) {
    if (table->used * 2 >= table->capacity && grow(table) != 0) return -1;
    Slot *slot = probe(table, key);
    if (!slot->key) table->used++;
    slot->key = key;
    slot->value = value;
    return 0;
}

void table_clear(Table *table) {
    /* The kernel gives fresh zero pages: cheaper than to write zeros over a large table. */
    if (table->slots) madvise(table->slots, table->capacity * sizeof(Slot), MADV_DONTNEED);
    table->used = 0;
}
