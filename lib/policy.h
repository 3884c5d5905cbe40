/* SPDX-License-Identifier: MIT */
/*
 * policy.h - which pages to evict. Mechanism (evict.c) walks the clock and
 * knows what was referenced; a policy only decides. An ops table with no
 * lock, clock or system call of its own, so that the same object runs in the
 * simulator from a trace. The page's state for the policy is its 2-bit age.
 */
#ifndef VVM_POLICY_H
#define VVM_POLICY_H

#include "pte.h"

struct policy_page {
	gaddr_t addr;
	unsigned age;	 /* in and out, 0..PTE_AGE_MAX */
	bool referenced; /* mapped again since the hand last passed */
	bool prefetched; /* brought by prefetch and not yet seen used */
	bool dirty;
};

struct policy_ops {
	const char *name;
	/*
	 * The age that admit() gives to demanded pages. On tiny budgets the
	 * mechanism keeps such pages from visit() for a moment, until the
	 * thread that waited for them has run.
	 */
	unsigned new_age;
	/* Age of a page that a fault (or prefetch) just brought in. */
	unsigned (*admit)(gaddr_t addr, bool prefetched);
	/*
	 * The hand passes a resident page: updates page->age, returns true
	 * for a victim. pressure counts full turns of the hand that found
	 * too little: 0 normally; at PTE_AGE_MAX + 1 or more every page that
	 * may be evicted must be a victim.
	 */
	bool (*visit)(struct policy_page *page, unsigned pressure);
};

extern const struct policy_ops policy_clock;

/* By its place among the words of the settings table (POLICY). */
const struct policy_ops *policy_at(unsigned index);
/* By its word there; NULL: no such policy. */
const struct policy_ops *policy_find(const char *name);

#endif
