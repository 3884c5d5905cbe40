/* SPDX-License-Identifier: MIT */
/*
 * fault/demand.h - the faults that one handler has taken on, from their events
 * until they are resolved or have failed: fault/demand.c. Owned by the
 * handler's thread.
 */
#ifndef VVM_DEMAND_H
#define VVM_DEMAND_H

#include "evict/evict.h"
#include "fault/fault.h"
#include "fill/ahead.h"
#include "os/ring.h"

#define DEMAND_READS   64		  /* more than the disk can overlap */
#define DEMAND_SLOW    (DEMAND_READS / 2) /* of those of slow backings */
#define DEMAND_PENDING 256		  /* then events wait in the kernel */
/*
 * Each read has a buffer, and events are taken on only while as many as one
 * system call brings may become pending.
 */
#define DEMAND_FAULTS  (DEMAND_READS + DEMAND_PENDING)
#define DEMAND_UNFAILS 64
#define DEMAND_AHEAD   64 /* as many as a reader takes */
/* Operations of direct reclaim in a handler's ring. */
#define DEMAND_WRITES 2

struct unfail {
	haddr_t host;
	uint64_t due_us;
};

struct demands {
	struct vvm *vm;
	struct port *port; /* of the handler's number: who is starving */
	struct vvm_stat_actor *actor;
	struct ring *ring;
	struct evictor evictor;

	struct fault fault[DEMAND_FAULTS];
	struct list idle;    /* faults */
	struct list pending; /* faults that wait for a frame, oldest first */
	unsigned pending_count;
	struct awake awake; /* looked at in each round with pending faults */

	void *buffers;		    /* of the reads, a page each */
	char *buffer[DEMAND_READS]; /* idle ones */
	unsigned buffer_count;

	struct ahead_job ahead[DEMAND_AHEAD]; /* the handler takes them away */
	unsigned ahead_count;
	struct unfail unfail[DEMAND_UNFAILS];
	unsigned unfail_count;

	unsigned slow_reads; /* in flight */
	/* Around the pages of those that sleep until one of these has ended. */
	haddr_t park_start, park_end;
	/* The last access of a pager's thread. */
	int refused_tid;
	haddr_t refused_host;
	uint64_t refused_ns;
	unsigned refusals;
};

/*
 * => vm, port, actor and ring (deep enough for READS + WRITES) are set, all
 * else is zero. -ENOMEM; demands_fini() either way.
 */
int demands_init(struct demands *ds);
/* => nothing of ours in flight. */
void demands_fini(struct demands *ds);
/*
 * Reads and handles the events of a port. Returns their number; 0 also when too
 * many faults are pending to take on more. What is to be read ahead of them is
 * in `ahead` then, as far as there was room.
 */
unsigned demands_read(struct demands *ds, const struct port *port);
/*
 * Goes on with what had to wait: tries pending faults again, and reclaims
 * for them. True when any is not pending any more. `ahead`: as above.
 */
bool demands_go_on(struct demands *ds);
/* In how many us to call demands_go_on() again; below 0: no need. */
int64_t demands_again_us(const struct demands *ds);
/* The fault that has waited longest; NULL: none waits. */
const struct fault *demands_oldest(const struct demands *ds);

#endif
