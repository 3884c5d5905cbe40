/* SPDX-License-Identifier: MIT */
/*
 * policy/policy.h - which pages to evict. Mechanism (evict/evict.c) walks the
 * clock and knows what was referenced; a policy only decides. An ops table with
 * no lock, clock or system call of its own, so that the same object runs in the
 * simulator from a trace.
 *
 * What a policy may remember:
 *   of a page: a 2-bit age in its entry, for as long as it is resident, and
 *	16 bits of heat, which outlive its eviction: a history of the pages
 *	that are not there, without a hash table;
 *   of a block: struct policy_block, with these heats;
 *   of the space: struct policy_space.
 * Locks: (b) the block lock, (c) the lock of the clock, (a) atomic, written
 * under (c). A step works on a copy of what it needs, struct policy_step, so
 * that (c) is held for its begin and end only.
 */
#ifndef VVM_POLICY_H
#define VVM_POLICY_H

#include <stdatomic.h>
#include "base.h"

#define POLICY_AGE_MAX	3 /* two bits of a page table entry */
#define POLICY_HEAT_MAX 65535
/* Heats by size: 0..7 one each, then 8 levels for each power of two. */
#define POLICY_LEVELS 112

struct policy_page {
	gaddr_t addr;
	unsigned age;	 /* in and out, 0..POLICY_AGE_MAX */
	unsigned heat;	 /* in and out, 0..POLICY_HEAT_MAX */
	bool referenced; /* mapped again since the hand last passed */
	/*
	 * Brought by prefetch; never seen used before. Those are installed
	 * without a mapping: with `referenced` this is the first use.
	 */
	bool prefetched;
	bool dirty;
};

struct policy_block {
	uint16_t heat[BLOCK_PAGES]; /* (b) */
	uint32_t time; /* (b) of policy_space, when last brought up to date */
};

struct policy_space {
	_Atomic uint32_t time; /* (a) turns of the hand, and more for each
				* that was a surprise */
	uint32_t seen[POLICY_LEVELS]; /* (c) visits of late, << 8, by level */
	uint64_t expected, used;      /* (c) in this turn */
	uint32_t usual;		      /* (c) used / expected, << 8 */
};

/* A pass of the hand over one block. */
struct policy_step {
	struct policy_block *block; /* NULL: the policy keeps none */
	unsigned pressure;
	unsigned level; /* pages below it are victims */
	bool tie;	/* those on it, too */
	uint32_t time;
	uint64_t expected, used;
	uint16_t seen[POLICY_LEVELS];
};

struct policy_ops {
	const char *name;
	/*
	 * The age that admit() gives to demanded pages. On tiny budgets the
	 * mechanism keeps such pages from visit() for a moment, until the
	 * thread that waited for them has run.
	 */
	unsigned new_age;
	/*
	 * Age of a page that a fault (or prefetch) just brought in; updates
	 * its heat in the block. => (b)
	 */
	unsigned (*admit)(const struct policy_space *space,
			  struct policy_block *block, gaddr_t addr,
			  bool prefetched);
	/*
	 * The hand passes a resident page: updates page->age and heat, returns
	 * true for a victim. step->pressure counts full turns of the hand
	 * that found too little: 0 normally; at POLICY_AGE_MAX + 1 or more
	 * every page that may be evicted must be a victim. => (b)
	 */
	bool (*visit)(struct policy_step *step, struct policy_page *page);
	/* The rest may be NULL. The hand has gone round. => (c) */
	void (*turn)(struct policy_space *space);
	/* Fills the step from the space. => (c) */
	void (*begin)(const struct policy_space *space, gaddr_t base,
		      struct policy_step *step);
	/* Brings the block up to date before its pages are visited. => (b) */
	void (*enter)(struct policy_step *step);
	/* What the step has seen goes to the space. => (c) */
	void (*end)(struct policy_space *space, const struct policy_step *step);
};

/* X(name, help): the policies, each in policy/<name>.c. */
#define POLICIES(X)                                              \
	X(heat, "least used of late, by a history of all pages") \
	X(clock, "two more chances for pages that were used")

#define X(name, help) extern const struct policy_ops policy_##name;
POLICIES(X)
#undef X

/*
 * By its place among the words of the settings table (POLICY); NULL beyond
 * the last.
 */
const struct policy_ops *policy_at(unsigned index);

/* The calls of a step, for all policies. => (c), (b), (c) as above. */
void policy_turn(const struct policy_ops *ops, struct policy_space *space);
void policy_begin(const struct policy_ops *ops,
		  const struct policy_space *space, struct policy_block *block,
		  gaddr_t base, unsigned pressure, struct policy_step *step);
void policy_enter(const struct policy_ops *ops, struct policy_step *step);
void policy_end(const struct policy_ops *ops, struct policy_space *space,
		const struct policy_step *step);

#endif
