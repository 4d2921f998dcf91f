/* Freelists hide allocations and frees from the allocator's hooks: here they are emptied and, where it goes, shut. */
#ifndef MLTUTOR_FREELISTS_H
#define MLTUTOR_FREELISTS_H

/* For a process that is thrown away: what was on the lists is lost. Call it before each watched call. */
void freelists_shut(void);

#endif
