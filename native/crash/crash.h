/* Says where a process died: one JSON line on a descriptor, written from inside the signal handler.
 *
 * Load the library with ctypes (or preload it), call mltutor_crash_install() in the process that runs the learner's
 * code, after fork. On SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGABRT one line is written to `fd`, then the default action
 * is restored and the signal raised again, so the parent still sees the true exit status.
 *
 *   {"signal":11,"address":"0x7f00dead0000","guard":true,"write":false,
 *    "frames":[["/path/of/lib.so","0x1234"],["/usr/lib/x86_64-linux-gnu/libc.so.6","0x9f1c0"]]}
 *
 * address: the address that faulted, or null where the kernel gives none (SIGABRT, non-canonical pointers).
 * guard:   true when the address lies in a range given to mltutor_crash_guard().
 * write:   true or false, null where it is unknown (not a memory fault).
 * frames:  innermost first, at most MLTUTOR_CRASH_FRAMES. The offset is the link-time address that
 *          `addr2line -e path offset` wants; for callers it points into the call instruction, not behind it.
 *          A frame outside every module (a call through a wild pointer) is ["", "0x<address>"].
 * A crash while the stack is walked (a smashed stack) ends the list early; the line is still complete JSON.
 */
#ifndef MLTUTOR_CRASH_H
#define MLTUTOR_CRASH_H

#include <stdint.h>

#define MLTUTOR_CRASH_FRAMES 32
#define MLTUTOR_CRASH_GUARDS 1024

#ifdef __cplusplus
extern "C" {
#endif

/* Installs the handlers and an alternate stack for the calling thread. Again: only the descriptor changes.
 * Returns 0, or -1 with errno set. */
int mltutor_crash_install(int fd);

/* Gives the calling thread an alternate stack too, so that its stack overflow is reported. 0, or -1 with errno. */
int mltutor_crash_thread(void);

/* Marks [lo, hi) as guard pages; with lo == NULL forgets all of them. 0, or -1 when the table is full. */
int mltutor_crash_guard(void *lo, void *hi);

/* Forgets the range that starts at lo. 0, or -1 when there is none. */
int mltutor_crash_unguard(void *lo);

/* The exported function that a frame of a report lies in, NULL where there is none: in a process that has mapped the
 * same files, not in the handler. */
const char *mltutor_crash_symbol(const char *path, uintptr_t offset);

/* Makes stdout and stderr of C unbuffered: what was printed before a crash is not lost in a pipe. */
void mltutor_crash_unbuffer(void);

#ifdef __cplusplus
}
#endif
#endif
