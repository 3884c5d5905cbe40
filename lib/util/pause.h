/* SPDX-License-Identifier: MIT */
/*
 * util/pause.h - where the library's threads stop for a fork.
 *
 * An actor is between halt_enter() and halt_leave() while it may change the
 * space. Who wants all of them to stop requests it, wakes them by whatever
 * they sleep on, waits, and later resumes them.
 */
#ifndef VVM_HALT_H
#define VVM_HALT_H

#include "util/lock.h"

struct halt {
	_Atomic bool wanted;	  /* everybody shall stop */
	_Atomic unsigned running; /* actors that have entered */
	struct waitq left, resumed;
	/* Called by whoever waits in halt_enter(), every HALT_LOOK_US. */
	void (*overdue)(struct halt *p); /* (i) may be NULL */
};

void halt_init(struct halt *p, void (*overdue)(struct halt *p));
/* May sleep as long as a stop is wanted. => not entered, nothing locked. */
void halt_enter(struct halt *p);
/* => entered. Never sleeps. */
void halt_leave(struct halt *p);
/* To be asked often, and before each sleep, by who has entered. */
static inline bool halt_wanted(const struct halt *p)
{
	return atomic_load(&p->wanted);
}

/* From now on nobody enters. */
void halt_request(struct halt *p);
/* Waits until all have left; false: not in timeout_us awake (util/awake.h). */
bool halt_wait(struct halt *p, uint64_t timeout_us);
/* Takes the request back. */
void halt_resume(struct halt *p);

#endif
