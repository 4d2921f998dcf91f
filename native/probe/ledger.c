#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "ledger.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "fence.h"
#include "table.h"

#define MAX_ROWS (1 << 16)
#define MAX_UNWOUND 20000

static LedgerRow rows[MAX_ROWS];
static size_t n_rows;
static int32_t spare[MAX_ROWS]; /* places of blocks that were freed */
static size_t n_spare;
static Table places; /* block -> index into rows, -1 when it was freed */
static int keeping;
static uint32_t current;
static int unwound; /* how often the stack was walked: a library that allocates all the time must not take too long */
static char busy;   /* threads of the learner allocate without the GIL */

static void lock(void) {
    while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) __builtin_ia32_pause();
}

static void unlock(void) {
    __atomic_clear(&busy, __ATOMIC_RELEASE);
}

/* The row of a block is free again. */
static void strike(void *block) {
    int32_t *index = table_find(&places, block);
    if (!index || *index < 0) return;
    rows[*index].block = NULL;
    spare[n_spare++] = *index;
    *index = -1;
}

/* What is asked for in place of n items of `size` bytes: room for a fence too, or 0 when there is to be none. */
static size_t room_for(size_t n, size_t size) {
    return keeping ? fence_room(n, size, LONG_FENCE) : 0;
}

/* usable: what malloc says of the block's size, 0 where it can't be asked. */
static void *took(void *block, size_t bytes, size_t room, size_t usable, void *back) {
    if (!keeping || !block) return block;
    if (room) fence_put(block, bytes, LONG_FENCE);
    Site site = frames_at((uintptr_t)back - 1);
    Site module = unwound < MAX_UNWOUND ? frames_module(site) : site;
    if (module != site) {
        __atomic_add_fetch(&unwound, 1, __ATOMIC_RELAXED);
        site = module;
    }
    lock();
    strike(block); /* it was given back where nobody looked, or malloc would not hand it out again */
    if (n_rows < MAX_ROWS || n_spare) {
        int32_t at = n_spare ? spare[--n_spare] : (int32_t)n_rows++;
        rows[at] = (LedgerRow){block, bytes, site, current, usable, room > 0};
        if (table_put(&places, block, at) != 0) rows[at].block = NULL;
    }
    unlock();
    return block;
}

/* A block that goes. One that was freed where nobody looked may be another one by now, at the same address: then its
 * size is another, or the far end of the fence is gone. */
static void inspect(const LedgerRow *row) {
    if (!row->fenced || (row->usable && malloc_usable_size(row->block) != row->usable)) return;
    size_t past = fence_past_surely(row->block, row->bytes, LONG_FENCE);
    if (past) fence_note((Overrun){.bytes = row->bytes, .past = past, .taken = row->site});
}

static void gave(void *block) {
    if (!keeping || !block) return;
    lock();
    int32_t *index = table_find(&places, block);
    if (index && *index >= 0) inspect(&rows[*index]);
    strike(block);
    unlock();
}

/* took() of a block that malloc itself gave: malloc knows its size. */
static void *took_of_malloc(void *block, size_t bytes, size_t room, void *back) {
    return took(block, bytes, room, room ? malloc_usable_size(block) : 0, back);
}

#define BACK __builtin_return_address(0)

static void *my_malloc(size_t n) {
    size_t room = room_for(n, 1);
    void *block = malloc(room ? room : n);
    return took_of_malloc(block, n, room, BACK);
}

static void *my_calloc(size_t n, size_t size) {
    size_t room = room_for(n, size);
    void *block = room ? calloc(1, room) : calloc(n, size);
    return took_of_malloc(block, n * size, room, BACK);
}

static void *my_aligned_alloc(size_t to, size_t n) {
    size_t room = room_for(n, 1);
    void *block = aligned_alloc(to, room ? room : n);
    return took_of_malloc(block, n, room, BACK);
}

static char *my_strdup(const char *text) {
    size_t n = strlen(text) + 1, room = room_for(n, 1);
    char *block = malloc(room ? room : n);
    if (block) memcpy(block, text, n);
    return took_of_malloc(block, n, room, BACK);
}

static void *my_raw_malloc(size_t n) {
    size_t room = room_for(n, 1);
    return took(PyMem_RawMalloc(room ? room : n), n, room, 0, BACK);
}

static void *my_raw_calloc(size_t n, size_t size) {
    size_t room = room_for(n, size);
    return took(room ? PyMem_RawCalloc(1, room) : PyMem_RawCalloc(n, size), n * size, room, 0, BACK);
}

/* A block that could not grow stays as it is, but its fence has been struck from the books. */
static void *my_realloc(void *block, size_t n) {
    gave(block);
    size_t room = n || !block ? room_for(n, 1) : 0; /* realloc(block, 0) frees */
    void *moved = realloc(block, room ? room : n);
    if (moved) return took_of_malloc(moved, n, room, BACK);
    if (n) took(block, n, 0, 0, BACK);
    return NULL;
}

static void *my_raw_realloc(void *block, size_t n) {
    gave(block);
    size_t room = room_for(n, 1);
    void *moved = PyMem_RawRealloc(block, room ? room : n);
    if (moved) return took(moved, n, room, 0, BACK);
    took(block, n, 0, 0, BACK);
    return NULL;
}

static int my_posix_memalign(void **result, size_t to, size_t n) {
    size_t room = room_for(n, 1);
    int status = posix_memalign(result, to, room ? room : n);
    if (status == 0) took_of_malloc(*result, n, room, BACK);
    return status;
}

static void my_free(void *block) {
    gave(block);
    free(block);
}

static void my_raw_free(void *block) {
    gave(block);
    PyMem_RawFree(block);
}

/* All that malloc gave may be used, and who asks will use it; the fence may not. */
static size_t my_usable_size(void *block) {
    lock();
    int32_t *index = block ? table_find(&places, block) : NULL;
    int fenced = index && *index >= 0 && rows[*index].fenced;
    size_t bytes = fenced ? rows[*index].bytes : 0;
    unlock();
    return fenced ? bytes : malloc_usable_size(block);
}

/* The functions of C++ are called under their mangled names: this is C, and libstdc++ may not be loaded. */
typedef void *New(size_t);
typedef void *AlignedNew(size_t, size_t);
typedef void Delete(void *);
static New *real_new, *real_new_array;
static AlignedNew *real_aligned_new;
static Delete *real_delete, *real_delete_array;
static void (*real_aligned_delete)(void *, size_t);
static void (*real_sized_aligned_delete)(void *, size_t, size_t);

static void *my_new(size_t n) {
    size_t room = room_for(n, 1);
    return took(real_new(room ? room : n), n, room, 0, BACK);
}
static void *my_new_array(size_t n) {
    size_t room = room_for(n, 1);
    return took(real_new_array(room ? room : n), n, room, 0, BACK);
}
static void *my_aligned_new(size_t n, size_t to) {
    size_t room = room_for(n, 1);
    return took(real_aligned_new(room ? room : n, to), n, room, 0, BACK);
}
static void my_delete(void *block) {
    gave(block), real_delete(block);
}
static void my_delete_array(void *block) {
    gave(block), real_delete_array(block);
}
static void my_aligned_delete(void *block, size_t to) {
    gave(block), real_aligned_delete(block, to);
}
static void my_sized_aligned_delete(void *block, size_t n, size_t to) {
    gave(block), real_sized_aligned_delete(block, n, to);
}

typedef struct {
    const char *name;
    void *mine;
    void **real; /* where its real address goes; NULL when it is linked */
    /* What is called in its place. Older compilers put the sized forms into the module itself, and these call the plain
     * one, which is ours by then: they would go round in circles. */
    const char *instead;
} Wrapper;

static const Wrapper WRAPPERS[] = {
    {"malloc", my_malloc, NULL},
    {"calloc", my_calloc, NULL},
    {"realloc", my_realloc, NULL},
    {"free", my_free, NULL},
    {"strdup", my_strdup, NULL},
    {"aligned_alloc", my_aligned_alloc, NULL},
    {"posix_memalign", my_posix_memalign, NULL},
    {"malloc_usable_size", my_usable_size, NULL},
    {"PyMem_RawMalloc", my_raw_malloc, NULL},
    {"PyMem_RawCalloc", my_raw_calloc, NULL},
    {"PyMem_RawRealloc", my_raw_realloc, NULL},
    {"PyMem_RawFree", my_raw_free, NULL},
    {"_Znwm", my_new, (void **)&real_new},
    {"_Znam", my_new_array, (void **)&real_new_array},
    {"_ZnwmSt11align_val_t", my_aligned_new, (void **)&real_aligned_new},
    {"_ZdlPv", my_delete, (void **)&real_delete},
    {"_ZdlPvm", my_delete, (void **)&real_delete, "_ZdlPv"},
    {"_ZdaPv", my_delete_array, (void **)&real_delete_array},
    {"_ZdaPvm", my_delete_array, (void **)&real_delete_array, "_ZdaPv"},
    {"_ZdlPvSt11align_val_t", my_aligned_delete, (void **)&real_aligned_delete},
    {"_ZdlPvmSt11align_val_t", my_sized_aligned_delete, (void **)&real_sized_aligned_delete},
};

void *ledger_wrapper(const char *name, void *handle) {
    for (size_t i = 0; i < sizeof WRAPPERS / sizeof *WRAPPERS; i++) {
        const Wrapper *wrapper = &WRAPPERS[i];
        if (strcmp(wrapper->name, name) != 0) continue;
        if (wrapper->real && !*wrapper->real)
            *wrapper->real = dlsym(handle, wrapper->instead ? wrapper->instead : name);
        return wrapper->real && !*wrapper->real ? NULL : wrapper->mine;
    }
    return NULL;
}

void ledger_keep(int on) {
    if (on) {
        n_rows = n_spare = 0;
        unwound = 0;
        table_clear(&places);
    }
    keeping = on;
}

void ledger_call(uint32_t number) {
    current = number;
}

const LedgerRow *ledger_rows(size_t *count) {
    *count = n_rows;
    return rows;
}
