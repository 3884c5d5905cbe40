/* SPDX-License-Identifier: MIT */
/*
 * mutex.h - robust mutexes: mutex.c.
 */
#ifndef VVM_PRELOAD_MUTEX_H
#define VVM_PRELOAD_MUTEX_H

#include <stdbool.h>

/* Around fork(). In a child that has the paged memory, too, they stay kept. */
void preload_mutexes_freeze(void);
void preload_mutexes_thaw(bool in_child);

#endif
