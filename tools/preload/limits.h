/* SPDX-License-Identifier: MIT */
/* limits.h - resource limits that the program sets: see limits.c. */
#ifndef VVM_PRELOAD_LIMITS_H
#define VVM_PRELOAD_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

/* To be called before and after the space is opened: what that takes. */
void limits_before_open(void);
void limits_after_open(void);
/*
 * For a call of the library, the limit is as before the program's own. True:
 * it was raised; limits_lower() undoes it. Keeps errno.
 */
bool limits_raise(int what);
void limits_lower(int what, bool raised);
/* getrlimit() of the limit that a raised one is. */
int limits_ours(int what, struct rlimit *limit);
/* Would so many bytes of heap more exceed the program's limit? */
bool limits_exceeded(size_t bytes);
/* The kernel's become the program's, for another program. Undone if not so. */
void limits_before_exec(void);
void limits_after_exec(void);

#endif
