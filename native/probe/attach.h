/* Puts the probe between one loaded library and the functions it imports, by patching its global offset table.
 * x86-64 Linux only; nothing is patched elsewhere. */
#ifndef MLTUTOR_ATTACH_H
#define MLTUTOR_ATTACH_H

/* 1 where attach_library() works. */
int attach_supported(void);

/* Attaches to the library of this path, which must be loaded. Returns the number of patched slots, or -1 with a Python
 * exception set (OSError: not loaded, no memory). `target` gets its number for frames.h.
 * only_gil: leaves all but the release of the GIL alone, for libraries that are not the learner's. bundled: as in
 * frames_add(). */
int attach_library(const char *path, int only_gil, int bundled, int *target);

#endif
