/* SPDX-License-Identifier: MIT */
/*
 * space/clock.h - the ring of blocks that have resident pages, and its hand.
 */
#ifndef VVM_CLOCK_H
#define VVM_CLOCK_H

#include "space/pagetable.h"

struct clock {
	const struct policy_ops *ops; /* (i) */
	struct lock lock;	      /* rank LOCK_CLOCK */
	struct list ring;	      /* (lock) of block.clock_link */
	struct list *hand; /* (lock) next to visit; may be the head */
	uint64_t blocks;   /* (lock) */
	uint64_t barren;   /* (lock) steps in a row that found no victim */
	struct policy_space policy; /* (lock), see policy/policy.h */
};

/* ops: the policy, which stays. => nobody uses it. */
void clock_init(struct clock *c, const struct policy_ops *ops);
/* Blocks with resident pages are on the clock. => both: block lock held. */
void clock_add(struct clock *c, struct block *b);
void clock_remove(struct clock *c, struct block *b);
/* Moves the hand and returns the block it passed, NULL when there is none. */
struct block *clock_advance(struct clock *c);
/* What the policy needs to know for a pass over b, and what it has learnt. */
void clock_begin(struct clock *c, struct block *b, struct policy_step *step);
void clock_end(struct clock *c, const struct policy_step *step);
/* The pressure: full turns in a row that found no victim. */
unsigned clock_pressure(struct clock *c);
/* The step found victims, or not. */
void clock_found(struct clock *c, bool victims);
/* Has the hand just come round once more, at the highest pressure, in vain? */
bool clock_in_vain(struct clock *c);

#endif
