#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "attach.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include "api.h"
#include "calls.h"
#include "frames.h"
#include "gil.h"
#include "ledger.h"

#if defined(__x86_64__) && defined(__linux__) && !defined(Py_GIL_DISABLED)

#define STUB_BYTES 32
#define POOL_BYTES (MAX_CALLS * STUB_BYTES)

static unsigned char *pool;
static size_t pool_used;
static void *stubs[MAX_CALLS]; /* one a function, for all libraries that call it */

int attach_supported(void) {
    return PY_VERSION_HEX >= 0x030b0000 && PY_VERSION_HEX < 0x030e0000;
}

/* mov $index, %r11d; movabs $calls_entry, %r10; jmp *%r10 */
static void *make_stub(int index) {
    void (*entry)(void) = calls_entry;
    if (stubs[index]) return stubs[index];
    if (!pool || pool_used + STUB_BYTES > POOL_BYTES) return NULL;
    unsigned char *code = pool + pool_used;
    pool_used += STUB_BYTES;
    code[0] = 0x41, code[1] = 0xbb;
    memcpy(code + 2, &index, sizeof index);
    code[6] = 0x49, code[7] = 0xba;
    memcpy(code + 8, &entry, sizeof entry);
    code[16] = 0x41, code[17] = 0xff, code[18] = 0xe2;
    return stubs[index] = code;
}

static int open_pool(void) {
    if (!pool) {
        void *memory = mmap(NULL, POOL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return -1;
        pool = memory;
    }
    return mprotect(pool, POOL_BYTES, PROT_READ | PROT_WRITE);
}

static int close_pool(void) {
    return mprotect(pool, POOL_BYTES, PROT_READ | PROT_EXEC);
}

typedef struct {
    const ElfW(Sym) * symbols;
    const char *names;
    const ElfW(Rela) * tables[2];
    size_t counts[2];
} Imports;

static Imports read_imports(const struct link_map *library) {
    Imports found = {NULL, NULL, {NULL, NULL}, {0, 0}};
    for (const ElfW(Dyn) *entry = library->l_ld; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB) found.symbols = (const void *)entry->d_un.d_ptr;
        if (entry->d_tag == DT_STRTAB) found.names = (const void *)entry->d_un.d_ptr;
        if (entry->d_tag == DT_JMPREL) found.tables[0] = (const void *)entry->d_un.d_ptr;
        if (entry->d_tag == DT_RELA) found.tables[1] = (const void *)entry->d_un.d_ptr;
        if (entry->d_tag == DT_PLTRELSZ) found.counts[0] = entry->d_un.d_val / sizeof(ElfW(Rela));
        if (entry->d_tag == DT_RELASZ) found.counts[1] = entry->d_un.d_val / sizeof(ElfW(Rela));
    }
    return found;
}

/* The address of an imported name when it is a function; data (PyExc_TypeError, PyFloat_Type) must stay as it is. */
static void *imported_function(const char *name, void *handle) {
    void *address = dlsym(RTLD_DEFAULT, name);
    if (!address) address = dlsym(handle, name);
    Dl_info info;
    void *entry = NULL;
    if (!address || !dladdr1(address, &info, &entry, RTLD_DL_SYMENT) || !entry) return NULL;
    return ELF64_ST_TYPE(((const ElfW(Sym) *)entry)->st_info) == STT_FUNC ? address : NULL;
}

static void *replacement(const char *name, void *handle, int only_gil) {
    void *found = gil_wrapper(name);
    if (found || only_gil) return found;
    if ((found = ledger_wrapper(name, handle))) return found;
    if (strncmp(name, "Py", 2) != 0 && strncmp(name, "_Py", 3) != 0) return NULL;
    if (api_needs_no_gil(name) || !(found = imported_function(name, handle))) return NULL;
    int index = calls_register(name, found);
    return index < 0 ? NULL : make_stub(index);
}

static int write_slot(void **slot, void *value) {
    static uintptr_t open_page;
    uintptr_t page = (uintptr_t)slot & ~(uintptr_t)4095;
    if (page != open_page && mprotect((void *)page, 4096, PROT_READ | PROT_WRITE) != 0) return -1;
    open_page = page;
    *slot = value;
    return 0;
}

static int patch(const struct link_map *library, void *handle, int only_gil) {
    Imports imports = read_imports(library);
    int patched = 0;
    if (!imports.symbols || !imports.names || open_pool() != 0) return -1;
    for (int t = 0; t < 2; t++) {
        for (size_t i = 0; imports.tables[t] && i < imports.counts[t]; i++) {
            const ElfW(Rela) *row = &imports.tables[t][i];
            uint64_t kind = ELF64_R_TYPE(row->r_info);
            if (kind != R_X86_64_JUMP_SLOT && kind != R_X86_64_GLOB_DAT) continue;
            const char *name = imports.names + imports.symbols[ELF64_R_SYM(row->r_info)].st_name;
            void *value = replacement(name, handle, only_gil);
            if (!value) continue;
            if (write_slot((void **)(library->l_addr + row->r_offset), value) != 0) return -1;
            patched++;
        }
    }
    return close_pool() == 0 ? patched : -1;
}

int attach_library(const char *path, int only_gil, int bundled, int *target) {
    struct link_map *library = NULL;
    void *handle = dlopen(path, RTLD_NOLOAD | RTLD_NOW);
    if (!handle || dlinfo(handle, RTLD_DI_LINKMAP, &library) != 0) {
        PyErr_Format(PyExc_OSError, "%s is not loaded", path);
        return -1;
    }
    *target = only_gil ? -1 : frames_add(library, bundled);
    int patched = patch(library, handle, only_gil);
    dlclose(handle);
    if (patched < 0) PyErr_Format(PyExc_OSError, "the imports of %s can't be patched", path);
    return patched;
}

#else

int attach_supported(void) {
    return 0;
}

int attach_library(const char *path, int only_gil, int bundled, int *target) {
    (void)path, (void)only_gil, (void)bundled, (void)target;
    PyErr_SetString(PyExc_OSError, "the probe attaches on x86-64 Linux only");
    return -1;
}

#endif
