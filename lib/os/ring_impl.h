/* SPDX-License-Identifier: MIT */
/*
 * os/ring_impl.h - what os/ring.c shares with its two engines, os/ring_uring.c
 * and os/ring_sync.c; nobody else includes it.
 */
#ifndef VVM_RING_IMPL_H
#define VVM_RING_IMPL_H

#include <stdatomic.h>

#include "os/ring.h"

/* An engine. All are called by the ring's owner, except open and close. */
struct ring_ops {
	enum vvm_io engine;
	void (*close)(struct ring *r);
	/* op is prepared and counted; the engine brings it to ring_op_done. */
	void (*start)(struct ring *r, struct ring_op *op);
	/* As ring_run(). */
	int (*run)(struct ring *r, int64_t timeout_us);
};

/* (i) set by ring_open, (o) owner thread only, (a) atomic. */
struct ring {
	const struct ring_ops *ops; /* (i) */
	unsigned depth;		    /* (i) */
	unsigned inflight;	    /* (o) started, done() not yet called */
	unsigned watch_count;	    /* (o) */
	struct ring_watch *watches[RING_WATCHES]; /* (o) */
	struct list waiting;	/* (o) started, not yet with the kernel */
	_Atomic uint64_t doing; /* (a) for ring_doing(): page, kind, 1; or 0 */
	int wake_fd;		/* (i) -1: nobody posts */
	/* (a) the last one; by next the others */
	_Atomic(struct list *) posted;
};

/*
 * Each maps and fills a whole engine whose first member is struct ring;
 * os/ring.c then sets the fields of that. -errno as ring_open().
 */
/* shared: for any thread, without watches. */
int ring_uring_open(struct ring **out, unsigned depth, bool shared);
int ring_sync_open(struct ring **out, unsigned depth);

/*
 * Books what one system call did to op: moved is a byte count or -errno.
 * True when op is over, *result is then its result; false: start the rest.
 */
bool ring_op_over(struct ring_op *op, int moved, int *result);
/* For ring_doing(); NULL: nothing. */
void ring_does(struct ring *r, const struct ring_op *op);
/* Takes op off the books and calls its owner. */
void ring_op_done(struct ring *r, struct ring_op *op, int result);
/* Now plus timeout; timeouts below 0 stay what they are. */
int64_t ring_deadline(int64_t timeout_us);
/* Time left, >= 0; of a deadline below 0: -1, no limit. */
int64_t ring_time_left(int64_t deadline_us);

#endif
