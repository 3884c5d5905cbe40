/* SPDX-License-Identifier: MIT */
/*
 * torture/ops.h - what the threads do. An operation is one call, and what it
 * has found wrong ends the program. Each file of ops_*.c has a list.
 */
#ifndef TORTURE_OPS_H
#define TORTURE_OPS_H

#include "torture/model.h"

struct op {
	const char *name;
	void (*run)(struct worker *w);
	unsigned weight; /* how often, of all operations' sum */
	enum {
		OP_NORMAL, /* not in a full run */
		OP_FULL,   /* in any */
	} when;
};

/* Each ends with a line without a name. */
extern const struct op memory_ops[], range_ops[], signal_ops[], fork_ops[],
	kernel_ops[], uring_ops[];

/* What a worker needs for them, made before it starts; and undone. */
void kernel_open(struct worker *w);
void kernel_close(struct worker *w);
void uring_open(struct worker *w);
void uring_close(struct worker *w);
void range_open(void);
void range_close(void);
void signals_open(void);

/* Sends a signal to some of the workers, now and then; until `stop`. */
struct signaller {
	pthread_t thread;
	struct worker *workers;
	uint64_t random;
	atomic_bool *stop;
};
void *signals_send(void *arg);

/*
 * For the last line: children that ended well, those that inherited nothing,
 * illegal accesses that were left by a jump, transfers of io_uring.
 */
extern _Atomic uint64_t forks_done, forks_refused, jumps_done, transfers_done;

#endif
