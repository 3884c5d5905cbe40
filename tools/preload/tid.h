/* SPDX-License-Identifier: MIT */
/* tid.h - words that the kernel clears when a thread ends: see tid.c. */
#ifndef VVM_PRELOAD_TID_H
#define VVM_PRELOAD_TID_H

#include <stdbool.h>
#include <stdint.h>

/* Unpins the pages of threads that have ended. */
void preload_tids_sweep(void);
/* The range is the threads' no more; all its pins go. */
void preload_tids_forget(uint64_t start, uint64_t len);
/* All pins of the range have gone: those of threads are taken again. */
void preload_tids_keep(uint64_t start, uint64_t len);
/* Around fork(); a child has no other threads. */
void preload_tids_freeze(void);
void preload_tids_thaw(bool in_child);

#endif
