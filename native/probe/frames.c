#define _GNU_SOURCE
#include "frames.h"

#include <unwind.h>

#define MAX_DEPTH 40

typedef struct {
    uintptr_t base, low, high;
    int entered, bundled;
} Range;

static Range targets[MAX_TARGETS];
static int n_targets;

static int find_code(struct dl_phdr_info *info, size_t size, void *data) {
    Range *wanted = data;
    (void)size;
    if (info->dlpi_addr != wanted->base) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        uintptr_t start = info->dlpi_addr + part->p_vaddr;
        if (!wanted->low || start < wanted->low) wanted->low = start;
        if (start + part->p_memsz > wanted->high) wanted->high = start + part->p_memsz;
    }
    return 1;
}

int frames_add(const struct link_map *library, int bundled) {
    for (int i = 0; i < n_targets; i++)
        if (targets[i].base == library->l_addr) return i;
    if (n_targets == MAX_TARGETS) return -1;
    Range range = {library->l_addr, 0, 0, 0, bundled};
    dl_iterate_phdr(find_code, &range);
    targets[n_targets] = range;
    return n_targets++;
}

Site frames_at(uintptr_t address) {
    for (int i = 0; i < n_targets; i++)
        if (address >= targets[i].low && address < targets[i].high) {
            targets[i].entered = 1;
            return (Site)(i + 1) << 48 | (Site)(address - targets[i].base);
        }
    return 0;
}

int frames_entered(int target) {
    return target >= 0 && target < n_targets && targets[target].entered;
}

void frames_forget(void) {
    for (int i = 0; i < n_targets; i++) targets[i].entered = 0;
}

uintptr_t frames_address(Site site) {
    int target = site_target(site);
    return target >= 0 && target < n_targets ? targets[target].base + site_offset(site) : 0;
}

static int is_bundled(Site site) {
    int target = site_target(site);
    return target >= 0 && target < n_targets && targets[target].bundled;
}

typedef struct {
    Site site;
    int left, module; /* module: bundled libraries are passed over */
} Search;

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *data) {
    Search *search = data;
    search->site = frames_at((uintptr_t)_Unwind_GetIP(context) - 1);
    if (search->module && is_bundled(search->site)) search->site = 0;
    return search->site || --search->left <= 0 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

Site frames_innermost(void) {
    Search search = {0, MAX_DEPTH, 0};
    if (n_targets) _Unwind_Backtrace(visit, &search);
    return search.site;
}

Site frames_module(Site site) {
    if (!is_bundled(site)) return site;
    Search search = {0, MAX_DEPTH, 1};
    _Unwind_Backtrace(visit, &search);
    return search.site ? search.site : site;
}
