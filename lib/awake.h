/* SPDX-License-Identifier: MIT */
/*
 * awake.h - how long somebody has waited while this process could run.
 *
 * A process may be stopped for any time: SIGSTOP, Ctrl-Z, a debugger, a
 * virtual machine that is paused. The clock goes on, but nothing that could
 * have ended the wait has run. So whoever waits looks at the clock every now
 * and then, and of the time between two looks at most AWAKE_STEP_US count.
 * A stop costs one step of patience however long it takes.
 */
#ifndef VVM_AWAKE_H
#define VVM_AWAKE_H

#include "base.h"

/* Those who wait look every 0.5 to 10 ms, on a busy machine some later. */
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

#endif
