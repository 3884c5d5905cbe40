/* SPDX-License-Identifier: MIT */
/*
 * policy/sizing.h - how large a budget that follows the machine should be:
 * policy/sizing.c. No lock, no clock, no system call; one thread at a time.
 */
#ifndef VVM_SIZING_H
#define VVM_SIZING_H

#include "base.h"
#include "vvm_stat.h"

#define SIZING_UNKNOWN UINT64_MAX

/* Who memory is shared with. */
enum sizing_domain { SIZING_MACHINE, SIZING_GROUP, SIZING_DOMAINS };

/* Pages, if nothing else is said. */
struct sizing_sample {
	uint64_t now_us;
	uint64_t budget, used, pinned, keep_free; /* now; frames.high */
	uint64_t waiting;	/* faults that wait for a frame now, ... */
	uint64_t frame_wait_us; /* ... and fail after that */
	uint64_t swap_full;	/* 1: nothing more could be written, last */
	/* Counters, which may step back. */
	uint64_t filled;  /* pages that took frames */
	uint64_t wait_us; /* that faults have waited for swap and for frames */
	uint64_t work_us; /* CPU time of reclaim, without that of sizing */
	struct {
		uint64_t total, free; /* SIZING_UNKNOWN */
		uint64_t stall_us;    /* a counter: PSI; SIZING_UNKNOWN */
	} domain[SIZING_DOMAINS];
};

struct sizing {
	uint64_t least, most; /* bounds */
	bool begun;
	bool known[SIZING_DOMAINS]; /* what was free of it, once */
	struct sizing_sample last;

	uint64_t late_us, late_wait_us; /* of late: time, and of that waits */
	uint64_t
		moved_us; /* when last no fault waited, one got on, or it grew */

	uint64_t look_us;    /* to the next look */
	uint64_t chunk;	     /* most pages to lower by at once */
	bool by_chunk;	     /* the last time it was lowered by so many */
	uint64_t lowered_us; /* then; 0: they are gone */
	uint64_t asked;	     /* for that budget */
	uint64_t pending_us; /* and last seen then that they are not */
	uint64_t before; /* what it may be raised to if they cannot go; or 0 */
	uint64_t futile_us;	 /* the last pause after one that could not, */
	uint64_t lower_after_us; /* and its end */

	unsigned in_vain; /* looks in a row that found all given that may be */

	uint64_t plenty_us; /* when memory was last plenty; or the first look */
	uint64_t grow_after_us; /* not before that, where it is scarce */

	uint64_t top;	     /* pages in use when it was last raised, or more */
	uint64_t trimmed_us; /* the last trim, or 0 */
	uint64_t regret_us;  /* the last one that cost too much, or 0 */
	uint64_t trim_after_us;
	uint64_t trim_pause_us;
};

/* How much of `total` is to stay free, in the same unit. */
uint64_t sizing_reserve_of(uint64_t total_pages);
static inline uint64_t sizing_reserve(uint64_t total_bytes)
{
	return sizing_reserve_of(total_bytes >> PAGE_SHIFT) << PAGE_SHIFT;
}

void sizing_init(struct sizing *z, uint64_t least, uint64_t most);
/*
 * The budget that there should be now, within the bounds, and why; *reason is
 * VVM_STAT_RESIZE_NONE if it is to stay. z->look_us is when to look again.
 */
uint64_t sizing_look(struct sizing *z, const struct sizing_sample *s,
		     enum vvm_stat_resize *reason);

#endif
