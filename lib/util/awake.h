/* SPDX-License-Identifier: MIT */
/*
 * util/awake.h - how long somebody has waited while this process could run.
 *
 * A process may be stopped for any time: SIGSTOP, Ctrl-Z, a debugger, a
 * virtual machine that is paused. The clock goes on, but nothing that could
 * have ended the wait has run. So whoever waits looks at the clock every now
 * and then, and of the time between two looks at most AWAKE_STEP_US count.
 * A stop costs one step of patience however long it takes.
 *
 * Rejected: a clock that stands still meanwhile. CLOCK_MONOTONIC does so while
 * the machine is suspended, but neither for a SIGSTOP nor for a paused virtual
 * machine, and CPU time does so for whoever sleeps.
 */
#ifndef VVM_AWAKE_H
#define VVM_AWAKE_H

#include <stdatomic.h>

#include "base.h"

/*
 * Waiting threads look every 0.02 to 100 ms; on a busy machine somewhat later.
 */
#define AWAKE_STEP_US 100000

struct awake {
	uint64_t seen_us; /* the clock at the last look; 0: none yet */
	uint64_t us;	  /* counted so far */
};

/* Looks at the clock, which says now_us: microseconds counted so far. */
static inline uint64_t awake_look(struct awake *a, uint64_t now_us)
{
	if (a->seen_us)
		a->us += MIN(now_us - a->seen_us, (uint64_t)AWAKE_STEP_US);
	a->seen_us = now_us;
	return a->us;
}

/*
 * The same for one wait at which several threads look, each at its own times.
 */
struct awake_shared {
	_Atomic uint64_t seen_us, us;
};

/* The wait begins. A late look for the wait before adds at most one step. */
static inline void awake_begin(struct awake_shared *a, uint64_t now_us)
{
	atomic_store(&a->us, 0);
	atomic_store(&a->seen_us, now_us);
}

/* Each counts what has passed since the last look of any. */
static inline uint64_t awake_look_shared(struct awake_shared *a,
					 uint64_t now_us)
{
	uint64_t seen_us = atomic_exchange(&a->seen_us, now_us), us = 0;

	if (now_us > seen_us)
		us = MIN(now_us - seen_us, (uint64_t)AWAKE_STEP_US);
	return atomic_fetch_add(&a->us, us) + us;
}

#endif
