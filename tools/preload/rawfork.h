/* SPDX-License-Identifier: MIT */
/* rawfork.h - system calls that fork: see rawfork.c. */
#ifndef VVM_PRELOAD_RAWFORK_H
#define VVM_PRELOAD_RAWFORK_H

#include <stdbool.h>

/* Is it one whose child is to have the memory? */
bool rawfork_is(long number, const unsigned long a[6]);
/* Makes it: its result, and errno. => rawfork_is() */
long rawfork(long number, const unsigned long a[6]);

#endif
