/* The libraries under examination, and where on the stack their code is. */
#ifndef MLTUTOR_FRAMES_H
#define MLTUTOR_FRAMES_H

#include <link.h>
#include <stdint.h>

#define MAX_TARGETS 256 /* all extension modules of a process, while it is found out which a statement enters */

/* A place in the code of a target: its number and the link-time address that addr2line wants. 0 is no place. */
typedef uint64_t Site;

static inline int site_target(Site site) {
    return (int)(site >> 48) - 1;
}
static inline uint64_t site_offset(Site site) {
    return site & 0xffffffffffffULL;
}

/* Registers a loaded library; its number, or -1 when there are MAX_TARGETS already. bundled: it is not examined itself,
 * but came with a module that is and works for it. */
int frames_add(const struct link_map *library, int bundled);

/* The place of an address; 0 when it lies in no target. Pass a return address minus one to get its call. */
Site frames_at(uintptr_t address);

/* Which targets' code has been seen since frames_forget(). */
int frames_entered(int target);
void frames_forget(void);

/* The loaded address of a place; 0 for none. */
uintptr_t frames_address(Site site);

/* The innermost place of a target on the calling thread's stack, 0 when there is none within 40 frames. */
Site frames_innermost(void);

/* Of a place in a bundled library: where the module called it, if that is on the stack; any other place as it is. */
Site frames_module(Site site);

#endif
