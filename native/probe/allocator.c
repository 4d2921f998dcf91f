#define PY_SSIZE_T_CLEAN
#include "allocator.h"

#include <string.h>

#include "fence.h"
#include "objects.h"
#include "table.h"
#include "zombie.h"

#define MAX_BLOCKS (1 << 17)

static Block blocks[MAX_BLOCKS];
static size_t n_blocks;
static int32_t spare[MAX_BLOCKS]; /* places of blocks that were freed */
static size_t n_spare;
static Table places; /* block -> index into blocks, -1 when it was freed */
static PyMemAllocatorEx original[3];
static int installed, tracking;
static uint32_t current;
static __thread int inside; /* what the hooks do themselves is not theirs to follow */
static __thread int expect_direct;

void allocator_track(int on) {
    tracking = on;
}
void allocator_call(uint32_t number) {
    current = number;
}
void allocator_expect_direct(void) {
    expect_direct = 1;
}

void allocator_clear(void) {
    n_blocks = n_spare = 0;
    table_clear(&places);
    fence_forget();
}

static Block *find(const void *block) {
    int32_t *index = table_find(&places, block);
    return index && *index >= 0 ? &blocks[*index] : NULL;
}

const Block *allocator_find(const void *block) {
    return find(block);
}

const Block *allocator_blocks(size_t *count) {
    *count = n_blocks;
    return blocks;
}

/* Of each block as it goes, and of those that stayed at the end: was something written past its end? */
static void inspect(const Block *block) {
    size_t past = block->fenced ? fence_past(block->block, block->bytes, FENCE) : 0;
    if (!past) return;
    Overrun overrun = {.bytes = block->bytes, .past = past, .taken = block->site};
    PyObject *object = block->domain == DOMAIN_OBJ ? objects_in(block->block, block->bytes) : NULL;
    if (object) strncpy(overrun.type, Py_TYPE(object)->tp_name, FENCE_TYPE - 1);
    fence_note(overrun);
}

void allocator_inspect(void) {
    for (size_t i = 0; i < n_blocks; i++)
        if (blocks[i].live) inspect(&blocks[i]);
}

static void note_taken(void *block, size_t bytes, BlockDomain domain, size_t room) {
    int direct = expect_direct;
    expect_direct = 0;
    if (!block || (n_blocks == MAX_BLOCKS && !n_spare)) return;
    inside = 1;
    if (room) fence_put(block, bytes, FENCE);
    int32_t at = n_spare ? spare[--n_spare] : (int32_t)n_blocks++;
    blocks[at].live = 0;
    /* All are noted, also those without a target on the stack: an address that is used again must not keep its past. */
    if (table_put(&places, block, at) == 0)
        blocks[at] = (Block){.block = block,
                             .bytes = bytes,
                             .site = frames_innermost(),
                             .call = current,
                             .domain = domain,
                             .live = 1,
                             .direct = (uint8_t)direct,
                             .fenced = room > 0};
    inside = 0;
}

static void note_given(void *block) {
    int32_t *index = table_find(&places, block);
    if (!index || *index < 0) return;
    inspect(&blocks[*index]);
    blocks[*index].live = 0;
    spare[n_spare++] = *index;
    *index = -1;
}

/* What is asked for in place of n items of `size` bytes: room for a fence too, or 0 when there is to be none. */
static size_t room_for(size_t n, size_t size) {
    return tracking && !inside ? fence_room(n, size, FENCE) : 0;
}

static void *hook_malloc(void *context, size_t n) {
    PyMemAllocatorEx *real = context;
    size_t room = room_for(n, 1);
    void *block = real->malloc(real->ctx, room ? room : n);
    if (tracking && !inside) note_taken(block, n, (BlockDomain)(real - original), room);
    return block;
}

static void *hook_calloc(void *context, size_t n, size_t size) {
    PyMemAllocatorEx *real = context;
    size_t room = room_for(n, size);
    void *block = room ? real->calloc(real->ctx, 1, room) : real->calloc(real->ctx, n, size);
    if (tracking && !inside) note_taken(block, n * size, (BlockDomain)(real - original), room);
    return block;
}

static void *hook_realloc(void *context, void *old, size_t n) {
    PyMemAllocatorEx *real = context;
    Block *known = old ? find(old) : NULL;
    Block before = known ? *known : (Block){0};
    size_t room = room_for(n, 1);
    if (old && !inside) note_given(old);
    void *block = real->realloc(real->ctx, old, room ? room : n);
    if (block && !inside && (tracking || known)) {
        note_taken(block, n, (BlockDomain)(real - original), room);
        Block *moved = find(block);
        if (known && moved) moved->site = before.site, moved->direct = before.direct, moved->call = before.call;
    }
    return block;
}

static void hook_free(void *context, void *block) {
    PyMemAllocatorEx *real = context;
    if (block && !inside) {
        inside = 1;
        int kept = real - original == DOMAIN_OBJ && zombie_take(block);
        note_given(block);
        inside = 0;
        if (kept) return;
    }
    real->free(real->ctx, block);
}

void allocator_install(void) {
    static const PyMemAllocatorDomain DOMAINS[] = {PYMEM_DOMAIN_RAW, PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
    if (installed) return;
    installed = 1;
    for (int i = DOMAIN_MEM; i <= DOMAIN_OBJ; i++) {
        PyMem_GetAllocator(DOMAINS[i], &original[i]);
        PyMemAllocatorEx hooks = {&original[i], hook_malloc, hook_calloc, hook_realloc, hook_free};
        PyMem_SetAllocator(DOMAINS[i], &hooks);
    }
}

void allocator_touch(void *object, int call, Site site) {
    static const size_t HEADERS[] = {0, 16, 32};
    for (int i = 0; i < 3; i++) {
        Block *block = find((char *)object - HEADERS[i]);
        if (!block || !block->live || block->domain != DOMAIN_OBJ) continue;
        block->last_use = site;
        block->last_call = call;
        return;
    }
}
