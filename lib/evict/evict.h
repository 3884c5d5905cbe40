/* SPDX-License-Identifier: MIT */
/*
 * evict/evict.h - reclaim, one block at a time. An evictor is bound to one
 * actor thread and its ring: the reclaimer (evict/reclaim.c) has one, and each
 * handler has a small one to reclaim with its own hands.
 */
#ifndef VVM_EVICT_H
#define VVM_EVICT_H

#include "evict/writeback.h"

/* Pages that are on their way into the backing's memory: struct backing_ops. */
#define EVICT_COPIES 64

struct evictor {
	struct vvm *vm;
	struct vvm_stat_actor *actor;
	struct writer writer;
	void *frames; /* VERIFY_PAGES pages, in guarded spaces */
	/* Pages that were looked at; of these the coldest, and those used. */
	uint64_t scanned, cold, cold_used;
	bool gripped; /* the last step left pages alone: space/grip.c */
	/* Of clean victims: what the backing wants to have in memory. */
	char *copies; /* EVICT_COPIES pages; NULL: it is not asked */
	unsigned copied;
	struct evict_copy {
		uint64_t slot;
		gaddr_t addr;
	} copy[EVICT_COPIES];
};

/*
 * count write-backs in flight, of up to `room` pages each. -ENOMEM.
 */
int evict_init(struct evictor *ev, struct vvm *vm, struct vvm_stat_actor *actor,
	       struct ring *ring, unsigned count, unsigned room);
/*
 * Has the backing keep pages in memory as it likes: for the evictor of the one
 * thread that calls its trim(). -ENOMEM.
 */
int evict_keep(struct evictor *ev);
/* => nothing in flight. */
void evict_fini(struct evictor *ev);

enum evict_result {
	EVICT_FREED,   /* frames were given back, or write-backs started */
	EVICT_NOTHING, /* this block had no victim */
	EVICT_SKIPPED, /* the block was busy, too fresh, or not let go of */
	EVICT_EMPTY,   /* no block has resident pages */
};

/*
 * One step of the clock: passes the hand over one block and evicts up to
 * `target` of its pages. Clean ones are gone on return; dirty ones go when
 * their write completes, in ring_run(). => nothing locked; try-locks only.
 */
enum evict_result evict_step(struct evictor *ev, uint64_t target);

#endif
