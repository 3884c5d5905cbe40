/* SPDX-License-Identifier: MIT */
/*
 * fault/poller.h - reads for which the thread that wants the page polls.
 *
 * All functions are async-signal-safe and may be called from any thread; open,
 * close and abandon only while nobody else uses the pollers.
 */
#ifndef VVM_POLLER_H
#define VVM_POLLER_H

#include "os/ring.h"
#include "policy/polling.h"
#include "settings.h"

struct pollers {
	struct ring *ring[SETTING_POLLERS_MAX];
	unsigned count;		  /* (i) of the rings */
	_Atomic unsigned reading; /* threads between enter and leave */
	_Atomic uint32_t free;	  /* bit i: ring[i] is nobody's */
	struct polling polling;	  /* does it pay? */
};

/*
 * Opens `count` rings, or fewer: none without io_uring or a second CPU, else
 * what limits of memory and descriptors permit. p is zeroed before.
 */
void pollers_open(struct pollers *p, unsigned count, enum vvm_io engine);
void pollers_close(struct pollers *p);
/* In a fork child: the rings, and what is in flight, are the parent's. */
void pollers_abandon(struct pollers *p);

/*
 * Around every read in place. The ring to start it on, to be awaited by
 * poller_wait(); NULL: others are reading, or it does not pay, so read with a
 * system call. *start_ns is for pollers_leave().
 */
struct ring *pollers_enter(struct pollers *p, uint64_t *start_ns);
/* start_ns 0: nothing was read that could be compared. */
void pollers_leave(struct pollers *p, struct ring *ring, uint64_t start_ns);
/* Until all operations of the ring are done. */
void poller_wait(struct ring *ring);

#endif
