/* SPDX-License-Identifier: MIT */
/*
 * fault/demand.h - the faults that one handler has taken on, from their events until
 * they are resolved or have failed: fault/demand.c. Owned by the handler's thread.
 */
#ifndef VVM_DEMAND_H
#define VVM_DEMAND_H

#include "util/awake.h"
#include "evict/evict.h"
#include "fault/fault.h"
#include "os/ring.h"

#define DEMAND_FILLS   64  /* more demand reads than the disk can overlap */
#define DEMAND_PENDING 256 /* then events wait in the kernel */
#define DEMAND_UNFAILS 64
/* Operations of direct reclaim in a handler's ring. */
#define DEMAND_WRITES 2

struct demands;

struct demand { /* an event, as long as it lives here */
	struct fault fault;
	uint64_t since_us;    /* pending since; 0: not pending */
	uint64_t patience_us; /* demands.awake when it is over */
};

struct demand_fill {
	struct fill fill;
	struct demand demand;
	struct demands *demands;
	struct list link; /* idle */
	uint16_t index;
};

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
	/* Has read what the thread of a fault will want next. */
	void (*read_ahead)(struct demands *ds, const struct fault *f);

	struct demand_fill fills[DEMAND_FILLS];
	struct list idle; /* fills */
	void *buffers;

	struct demand pending[DEMAND_PENDING];
	unsigned pending_count;
	struct awake awake; /* looked at in each round with pending faults */
	struct unfail unfail[DEMAND_UNFAILS];
	unsigned unfail_count;
};

/*
 * => vm, port, actor, ring (deep enough for FILLS + WRITES) and read_ahead are
 * set, all else is zero. -ENOMEM; demands_fini() either way.
 */
int demands_init(struct demands *ds);
/* => nothing of ours in flight. */
void demands_fini(struct demands *ds);
/*
 * Reads and handles the events of a port. Returns their number; 0 also when too
 * many faults are pending to take on more.
 */
unsigned demands_read(struct demands *ds, const struct port *port);
/*
 * Goes on with what had to wait: tries pending faults again, and reclaims
 * for them. True when any is not pending any more.
 */
bool demands_go_on(struct demands *ds);
/* In how many us to call demands_go_on() again; below 0: no need. */
int64_t demands_again_us(const struct demands *ds);

#endif
