#define _GNU_SOURCE
#include "crash.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#define STACK_BYTES (128 * 1024)
#define LINE_BYTES 16384
#define PATH_BYTES 1024

static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define N_SIGNALS (sizeof SIGNALS / sizeof *SIGNALS)

struct range {
    uintptr_t lo, hi;
};

static int report_fd = -1;
static int installed;
static char program_path[PATH_BYTES];
static struct range guards[MLTUTOR_CRASH_GUARDS];
static atomic_int crashed_thread;
static sigjmp_buf escape;
static volatile sig_atomic_t walking;

static uintptr_t frames[MLTUTOR_CRASH_FRAMES];
static volatile int n_frames;
static uintptr_t fault_pc;
static int past_handler;

static char line[LINE_BYTES];
static size_t used;

/* ---- text, without stdio ---- */

static void put(char c) {
    if (used < LINE_BYTES) line[used++] = c;
}

static void put_text(const char *s) {
    while (*s) put(*s++);
}

static void put_hex(uintptr_t value) {
    char digits[2 * sizeof value];
    int n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    put_text("\"0x");
    while (n) put(digits[--n]);
    put('"');
}

static void put_int(int value) {
    char digits[12];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n) put(digits[--n]);
}

static void put_path(const char *path) {
    put('"');
    for (; *path; path++) {
        unsigned char c = (unsigned char)*path;
        if (c == '"' || c == '\\') put('\\');
        put(c < 0x20 ? '?' : (char)c);
    }
    put('"');
}

/* ---- modules ---- */

struct lookup {
    uintptr_t address;
    uintptr_t offset;
    const char *path;
};

static const char *module_path(const struct dl_phdr_info *info) {
    return info->dlpi_name && *info->dlpi_name ? info->dlpi_name : program_path;
}

static int match_module(struct dl_phdr_info *info, size_t size, void *data) {
    struct lookup *wanted = data;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + p->p_vaddr;
        if (p->p_type != PT_LOAD || wanted->address < start || wanted->address >= start + p->p_memsz) continue;
        wanted->offset = wanted->address - info->dlpi_addr;
        wanted->path = module_path(info);
        return 1;
    }
    return 0;
}

static int match_path(struct dl_phdr_info *info, size_t size, void *data) {
    struct lookup *wanted = data;
    (void)size;
    if (strcmp(module_path(info), wanted->path) != 0) return 0;
    wanted->address = info->dlpi_addr + wanted->offset;
    return 1;
}

static int find_module(struct lookup *wanted) {
    return dl_iterate_phdr(match_module, wanted);
}

/* ---- the stack ---- */

static void add_frame(uintptr_t address) {
    if (n_frames < MLTUTOR_CRASH_FRAMES) frames[n_frames++] = address;
}

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *unused) {
    int before = 0;
    uintptr_t ip = (uintptr_t)_Unwind_GetIPInfo(context, &before);
    (void)unused;
    if (!past_handler) {
        /* The frames of this handler come first; the report starts where the signal struck. */
        if (ip != fault_pc) return _URC_NO_REASON;
        past_handler = 1;
        before = 1;
    }
    if (!ip || n_frames >= MLTUTOR_CRASH_FRAMES) return _URC_END_OF_STACK;
    add_frame(before ? ip : ip - 1);
    return _URC_NO_REASON;
}

struct registers {
    uintptr_t pc, sp, fp, lr;
};

static struct registers read_registers(const ucontext_t *context) {
    struct registers r = {0, 0, 0, 0};
#if defined(__x86_64__)
    r.pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    r.sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
    r.fp = (uintptr_t)context->uc_mcontext.gregs[REG_RBP];
#elif defined(__aarch64__)
    r.pc = (uintptr_t)context->uc_mcontext.pc;
    r.sp = (uintptr_t)context->uc_mcontext.sp;
    r.fp = (uintptr_t)context->uc_mcontext.regs[29];
    r.lr = (uintptr_t)context->uc_mcontext.regs[30];
#endif
    return r;
}

/* Where the unwinder can't start (a call through a wild pointer): the return address, then the frame pointers. */
static __attribute__((noinline)) void walk_frame_pointers(struct registers r) {
    uintptr_t fp = r.fp;
    add_frame(r.pc);
#if defined(__x86_64__)
    if (r.sp) add_frame(*(uintptr_t *)r.sp - 1);
#else
    if (r.lr) add_frame(r.lr - 1);
#endif
    while (fp && fp % sizeof(uintptr_t) == 0 && n_frames < MLTUTOR_CRASH_FRAMES) {
        const uintptr_t *frame = (const uintptr_t *)fp;
        if (!frame[1]) break;
        add_frame(frame[1] - 1);
        if (frame[0] <= fp) break;
        fp = frame[0];
    }
}

static __attribute__((noinline)) void walk_unwinding(void) {
    _Unwind_Backtrace(visit, NULL);
}

static void walk(struct registers r) {
    struct lookup here = {r.pc, 0, NULL};
    fault_pc = r.pc;
    past_handler = 0;
    n_frames = 0;
    walking = 1;
    if (sigsetjmp(escape, 1) == 0) {
        if (find_module(&here)) walk_unwinding();
        if (n_frames == 0) walk_frame_pointers(r);
    }
    walking = 0;
}

/* ---- the report ---- */

static int is_guarded(uintptr_t address) {
    for (int i = 0; i < MLTUTOR_CRASH_GUARDS; i++)
        if (guards[i].lo <= address && address < guards[i].hi) return 1;
    return 0;
}

/* 1 write, 0 read, -1 unknown. */
static int was_write(int number, const ucontext_t *context) {
    if (number != SIGSEGV && number != SIGBUS) return -1;
#if defined(__x86_64__)
    return context->uc_mcontext.gregs[REG_TRAPNO] == 14 ? (int)(context->uc_mcontext.gregs[REG_ERR] >> 1 & 1) : -1;
#elif defined(__aarch64__)
    const struct _aarch64_ctx *head = (const void *)context->uc_mcontext.__reserved;
    for (int i = 0; i < 16 && head->magic; i++) {
        if (head->magic == ESR_MAGIC) return (int)(((const struct esr_context *)head)->esr >> 6 & 1);
        head = (const void *)((const char *)head + head->size);
    }
    return -1;
#else
    (void)context;
    return -1;
#endif
}

static void put_frames(void) {
    put_text(",\"frames\":[");
    for (int i = 0; i < n_frames; i++) {
        struct lookup wanted = {frames[i], frames[i], ""};
        if (!find_module(&wanted) && i > 0) continue; /* a stale word on the stack, no code */
        if (used + PATH_BYTES + 64 > LINE_BYTES) break;
        put_text(i ? ",[" : "[");
        put_path(wanted.path);
        put(',');
        put_hex(wanted.offset);
        put(']');
    }
    put_text("]}\n");
}

static void report(int number, const siginfo_t *info, const ucontext_t *context) {
    int known = number != SIGABRT && info->si_code > 0 && info->si_code != SI_KERNEL;
    int wrote = was_write(number, context);
    uintptr_t address = (uintptr_t)info->si_addr;
    used = 0;
    put_text("{\"signal\":");
    put_int(number);
    put_text(",\"address\":");
    if (known)
        put_hex(address);
    else
        put_text("null");
    put_text(known && is_guarded(address) ? ",\"guard\":true" : ",\"guard\":false");
    put_text(wrote < 0 ? ",\"write\":null" : wrote ? ",\"write\":true" : ",\"write\":false");
    walk(read_registers(context));
    put_frames();
    for (size_t sent = 0; sent < used;) {
        ssize_t n = write(report_fd, line + sent, used - sent);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        sent += (size_t)n;
    }
}

static void on_signal(int number, siginfo_t *info, void *data) {
    int me = (int)syscall(SYS_gettid);
    int nobody = 0;
    if (!atomic_compare_exchange_strong(&crashed_thread, &nobody, me)) {
        if (nobody != me)
            for (;;) pause(); /* another thread reports already and will end the process */
        if (walking) siglongjmp(escape, 1);
    } else if (report_fd >= 0) {
        report(number, info, data);
    }
    signal(number, SIG_DFL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    raise(number);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    _exit(128 + number);
}

/* ---- the API ---- */

int mltutor_crash_thread(void) {
    stack_t stack = {0};
    void *memory = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return -1;
    stack.ss_sp = memory;
    stack.ss_size = STACK_BYTES;
    return sigaltstack(&stack, NULL);
}

static _Unwind_Reason_Code visit_nothing(struct _Unwind_Context *context, void *unused) {
    (void)context;
    (void)unused;
    return _URC_NO_REASON;
}

static void find_program(void) {
    ssize_t n = readlink("/proc/self/exe", program_path, sizeof program_path - 1);
    program_path[n > 0 ? n : 0] = '\0';
}

int mltutor_crash_install(int fd) {
    struct sigaction action;
    report_fd = fd;
    atomic_store(&crashed_thread, 0);
    if (installed) return 0;
    /* The first unwinding loads and allocates; do that now, not in the handler. */
    _Unwind_Backtrace(visit_nothing, NULL);
    find_program();
    if (mltutor_crash_thread() != 0) return -1;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    /* NODEFER: a second fault while the stack is walked comes back here and is survived. */
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (sigaction(SIGNALS[i], &action, NULL) != 0) return -1;
    installed = 1;
    return 0;
}

int mltutor_crash_guard(void *lo, void *hi) {
    if (!lo) {
        memset(guards, 0, sizeof guards);
        return 0;
    }
    for (int i = 0; i < MLTUTOR_CRASH_GUARDS; i++) {
        if (guards[i].hi) continue;
        guards[i].lo = (uintptr_t)lo;
        guards[i].hi = (uintptr_t)hi;
        return 0;
    }
    errno = ENOSPC;
    return -1;
}

int mltutor_crash_unguard(void *lo) {
    for (int i = 0; i < MLTUTOR_CRASH_GUARDS; i++) {
        if (!guards[i].hi || guards[i].lo != (uintptr_t)lo) continue;
        guards[i].lo = guards[i].hi = 0;
        return 0;
    }
    errno = ENOENT;
    return -1;
}

const char *mltutor_crash_symbol(const char *path, uintptr_t offset) {
    struct lookup wanted = {0, offset, path};
    Dl_info found;
    find_program();
    if (!dl_iterate_phdr(match_path, &wanted) || !dladdr((void *)wanted.address, &found)) return NULL;
    return found.dli_sname;
}

void mltutor_crash_unbuffer(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    setvbuf(stderr, NULL, _IONBF, 0);
}
