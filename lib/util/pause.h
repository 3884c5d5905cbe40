/* SPDX-License-Identifier: MIT */
/*
 * util/pause.h - where the library's threads stop for a fork.
 *
 * An actor is between pause_enter() and pause_leave() while it may change the
 * space. Who wants all of them to stop requests it, wakes them by whatever
 * they sleep on, waits, and later resumes them.
 */
#ifndef VVM_PAUSE_H
#define VVM_PAUSE_H

#include "util/lock.h"

struct pause {
	_Atomic bool wanted;	  /* everybody shall stop */
	_Atomic unsigned running; /* actors that have entered */
	struct waitq left, resumed;
	/* Called by whoever waits in pause_enter(), every PAUSE_LOOK_US. */
	void (*overdue)(struct pause *p); /* (i) may be NULL */
};

void pause_init(struct pause *p, void (*overdue)(struct pause *p));
/* May sleep as long as a stop is wanted. => not entered, nothing locked. */
void pause_enter(struct pause *p);
/* => entered. Never sleeps. */
void pause_leave(struct pause *p);
/* To be asked often, and before each sleep, by who has entered. */
static inline bool pause_wanted(const struct pause *p)
{
	return atomic_load(&p->wanted);
}

/* From now on nobody enters. */
void pause_request(struct pause *p);
/* Waits until all have left; false: not in timeout_us awake (util/awake.h). */
bool pause_wait(struct pause *p, uint64_t timeout_us);
/* Takes the request back. */
void pause_resume(struct pause *p);

#endif
