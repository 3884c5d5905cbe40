/* SPDX-License-Identifier: MIT */
/*
 * policy/clock.c - a clock that gives used pages two more chances.
 *
 * What the hand tells us. Userspace has no accessed bits. When the hand
 * passes a block it drops the mappings of all its pages; a page that is used
 * after that is mapped again by the kernel, and the next pass sees it
 * `referenced`. But installing a page maps it too, so at the first pass after
 * its fault every page shows as referenced, by the very access that faulted:
 * that pass tells nothing. Counting it as a use keeps each page of a scan for
 * an extra turn. So a page's age, its only state, has a value for "not
 * judged yet":
 *
 *	0 OLD	 not used for a turn: evicted unless used before the next pass
 *	1 NEW	 brought in since the last pass
 *	2 FADING was used, but not in the last turn
 *	3 USED	 used in the last turn
 *
 *	          fault        referenced
 *	   NEW <--------     +-------------+
 *	    |                |             |
 *	    | any            |   not    not|
 *	    v     referenced v   ref.   ref|
 *	   OLD -----------> USED ---> FADING
 *	   | ^                             |
 *	   | +-----------------------------+ not referenced
 *	   v not referenced
 *	 evicted
 *
 * A page that prefetch brought in is installed without a mapping and starts
 * OLD: unless it is used before the hand comes by, which takes half a turn on
 * average, it goes. At its first use it becomes NEW, as the fault that it saved
 * would have made it.
 *
 * Pressure p counts full turns that did not free enough: every page of an age
 * below p is then a victim, used or not: prefetched and old ones first, then
 * those never seen used, and from POLICY_AGE_MAX + 1 on all.
 *
 * Measured (MEASURED.md, "Replacement"): 83.3 % of hits on zipf 0.99, where
 * exact CLOCK has 83.0. Each of the states pays: without NEW 82.7, with one
 * turn for a use 82.8, with OLD - FADING - USED in a row 83.2.
 */
#include "policy/policy.h"

enum clock_age { AGE_OLD, AGE_NEW, AGE_FADING, AGE_USED };

_Static_assert(AGE_USED == POLICY_AGE_MAX, "ages are two bits");

static unsigned clock_admit(const struct policy_space *space,
			    struct policy_block *block, gaddr_t addr,
			    bool prefetched)
{
	(void)space;
	(void)block;
	(void)addr;
	return prefetched ? AGE_OLD : AGE_NEW;
}

/* The age after a pass that saw no use. => not OLD */
static unsigned fade(unsigned age)
{
	return age == AGE_USED ? AGE_FADING : AGE_OLD;
}

static bool clock_visit(struct policy_step *step, struct policy_page *page)
{
	bool used;

	if (page->prefetched && page->referenced)
		page->age = AGE_NEW; /* as the fault that it saved */
	used = page->referenced && page->age != AGE_NEW;
	if (page->age < step->pressure)
		return true;
	if (!used && page->age == AGE_OLD)
		return true;
	page->age = used ? AGE_USED : fade(page->age);
	return false;
}

const struct policy_ops policy_clock = {
	.name = "clock",
	.new_age = AGE_NEW,
	.admit = clock_admit,
	.visit = clock_visit,
};
