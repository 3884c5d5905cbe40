/* SPDX-License-Identifier: MIT */
/*
 * support/access.h - accesses that may end in a signal.
 */
#ifndef VVM_ACCESS_H
#define VVM_ACCESS_H

#include <stdint.h>

/*
 * ThreadSanitizer makes of an atomic access a call that holds a lock of its
 * own meanwhile; to jump out of that would leave it locked for ever.
 */
#define LIVE_BARE __attribute__((noinline, no_sanitize("thread")))

/* Of the last signal of this thread that was caught here. */
extern __thread void *volatile live_signal_addr;

/* Catches SIGSEGV and SIGBUS of the functions below in all threads. */
void live_catch(void);

/* Each returns 0, or the signal, whose si_addr is in live_signal_addr. */
int live_try_load(const void *p, uint64_t *value);

int live_try_store(void *p, uint64_t value);
/* A faulting add did not happen: the instruction is one. */
int live_try_add(void *p, uint64_t n);

int live_try_call(void *p);

#endif
