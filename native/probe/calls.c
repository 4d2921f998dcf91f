#define PY_SSIZE_T_CLEAN
#include "calls.h"

#include <string.h>

#include "allocator.h"
#include "ballast.h"
#include "gil.h"
#include "zombie.h"

static ApiCall calls[MAX_CALLS];
static int n_calls;
static LogEntry call_log[MAX_LOG];
static long n_logged, fail_at = -1, counted;
static LogEntry failed;
static int has_failed;
static volatile int watching;
__attribute__((visibility("hidden"))) void *calls_functions[MAX_CALLS];

int calls_register(const char *name, void *function) {
    for (int i = 0; i < n_calls; i++)
        if (calls_functions[i] == function) return i;
    if (n_calls == MAX_CALLS) return -1;
    calls[n_calls] = (ApiCall){name, api_facts(name), 0, 0};
    calls_functions[n_calls] = function;
    return n_calls++;
}

const ApiCall *calls_get(int index) {
    return &calls[index];
}
int calls_count(void) {
    return n_calls;
}
void calls_watch(int on) {
    watching = on;
}
void calls_rewind(void) {
    counted = 0;
}
const LogEntry *calls_failed(void) {
    return has_failed ? &failed : NULL;
}

const LogEntry *calls_log(long *count) {
    *count = n_logged;
    return call_log;
}

void calls_begin(long k) {
    for (int i = 0; i < n_calls; i++) calls[i].without_gil = 0;
    n_logged = counted = 0;
    has_failed = 0;
    fail_at = k;
    watching = 1;
}

#define REGISTERS 6 /* so many arguments that are no doubles are passed in registers */

/* Which arguments a format says are objects, as bits. It ends with the first word that is not simple. */
static unsigned formatted_objects(const char *format) {
    unsigned bits = 0;
    for (int i = 1; format && *format && i < REGISTERS; format++) {
        if (strchr("OSN", *format))
            bits |= 1u << i++;
        else if (strchr("bBhHiIlkLKncpszyUu", *format))
            i++;
        else if (*format == '#')
            i++;
        else if (!strchr("()[]{},:; \tdf", *format))
            break;
    }
    return bits;
}

/* Which of the arguments are objects, as bits: the other registers may hold anything, also old pointers to objects. */
static unsigned objects_of(const ApiCall *call, const uintptr_t *first) {
    unsigned bits = 0;
    switch (call->facts.role) {
        case FORMATTED:
            return formatted_objects((const char *)first[0]);
        case COUNTED:
            return (2u << (first[0] < REGISTERS ? first[0] : REGISTERS - 1)) - 2u;
        case ENDED:
            for (int i = 0; i < REGISTERS && first[-i]; i++) bits |= 1u << i;
            return bits;
        default:
            return (1u << call->facts.objects) - 1u;
    }
}

static void look_at_objects(const ApiCall *call, int index, Site site, uintptr_t *first) {
    const unsigned bits = objects_of(call, first);
    for (int i = 0; i < REGISTERS; i++) {
        void *object = (void *)first[-i];
        if (!(bits & 1u << i) || !object) continue;
        zombie_check(object, call->name, site);
        allocator_touch(object, index, site);
        ballast_touch(object, index, site);
    }
    if (call->facts.role == GET_BUFFER) ballast_buffer((PyObject *)first[0], 1, site);
    if (call->facts.role == RELEASE_BUFFER && first[0]) ballast_buffer(((Py_buffer *)first[0])->obj, -1, site);
}

/* 0: go on, 1: return NULL, 2: return -1. */
static long inject(const ApiCall *call, int index, Site site) {
    if (call->facts.failure == FAILS_NEVER) return 0;
    if (n_logged < MAX_LOG && fail_at < 0) call_log[n_logged++] = (LogEntry){index, site};
    if (counted++ != fail_at) return 0;
    failed = (LogEntry){index, site};
    has_failed = 1;
    if (call->facts.failure == FAILS_SILENTLY) return 1;
    if (!PyErr_Occurred()) PyErr_Format(PyExc_MemoryError, "%s fails in this test", call->name);
    return call->facts.failure == FAILS_MINUS ? 2 : 1;
}

/* Called by calls_entry. `first` points to the saved %rdi, the other integer arguments lie below it. */
__attribute__((used, visibility("hidden"))) long calls_judge(long index, uintptr_t back, uintptr_t *first) {
    ApiCall *call = &calls[index];
    if (!watching) return 0;
    Site site = frames_at(back - 1);
    if (!PyGILState_Check()) {
        if (!__atomic_fetch_add(&call->without_gil, 1, __ATOMIC_RELAXED)) call->first_without_gil = site;
        if (!gil_take_back()) return 0;
    }
    look_at_objects(call, (int)index, site, first);
    if (call->facts.role == ALLOCATES) allocator_expect_direct();
    return inject(call, (int)index, site);
}

#if defined(__x86_64__)
/* Saves what a call may pass (also %al and %xmm0-7: some of these functions are variadic), asks calls_judge, and jumps
 * to the real function with the stack as it was; the frame is described, so that it can be unwound and crashed in. */
__asm__(
    ".text\n"
    ".globl calls_entry\n"
    ".hidden calls_entry\n"
    ".type calls_entry, @function\n"
    "calls_entry:\n"
    "  .cfi_startproc\n"
    "  push %rbp\n"
    "  .cfi_def_cfa_offset 16\n"
    "  .cfi_offset %rbp, -16\n"
    "  mov %rsp, %rbp\n"
    "  .cfi_def_cfa_register %rbp\n"
    "  push %rdi\n  push %rsi\n  push %rdx\n  push %rcx\n"
    "  push %r8\n  push %r9\n  push %rax\n  push %r11\n"
    "  sub $128, %rsp\n"
    "  movups %xmm0, (%rsp)\n  movups %xmm1, 16(%rsp)\n  movups %xmm2, 32(%rsp)\n  movups %xmm3, "
    "48(%rsp)\n"
    "  movups %xmm4, 64(%rsp)\n  movups %xmm5, 80(%rsp)\n  movups %xmm6, 96(%rsp)\n  movups %xmm7, "
    "112(%rsp)\n"
    "  mov %r11, %rdi\n"
    "  mov 8(%rbp), %rsi\n"
    "  lea -8(%rbp), %rdx\n"
    "  call calls_judge\n"
    "  mov %rax, %r10\n"
    "  movups (%rsp), %xmm0\n  movups 16(%rsp), %xmm1\n  movups 32(%rsp), %xmm2\n  movups "
    "48(%rsp), %xmm3\n"
    "  movups 64(%rsp), %xmm4\n  movups 80(%rsp), %xmm5\n  movups 96(%rsp), %xmm6\n  movups "
    "112(%rsp), %xmm7\n"
    "  add $128, %rsp\n"
    "  pop %r11\n  pop %rax\n  pop %r9\n  pop %r8\n"
    "  pop %rcx\n  pop %rdx\n  pop %rsi\n  pop %rdi\n"
    "  pop %rbp\n"
    "  .cfi_def_cfa %rsp, 8\n"
    "  test %r10, %r10\n"
    "  jnz 1f\n"
    "  lea calls_functions(%rip), %r10\n"
    "  jmp *(%r10,%r11,8)\n"
    "1: cmp $2, %r10\n"
    "  je 2f\n"
    "  xor %eax, %eax\n"
    "  ret\n"
    "2: mov $-1, %rax\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size calls_entry, .-calls_entry\n");
#else
void calls_entry(void) {}
#endif
