/* SPDX-License-Identifier: MIT */
/*
 * sim/watch.c - what must hold at any moment, and what at quiet ones.
 *
 * At any moment: no more frames than the engine has counted, and these within
 * the budget, but while a smaller one is being made to hold. When no lock is
 * taken: space_check(), while nobody else runs.
 */
#include "sim/watch.h"

#include <stdio.h>

#include "sim/memory.h"
#include "sim/sched.h"
#include "space/space.h"

static struct vvm *space;
static uint64_t most; /* frames that may be used: see above */
static int resizing;  /* calls in progress */

void sim_watch(struct vvm *vm)
{
	space = vm;
	most = vm ? atomic_load(&vm->frames.budget) : 0;
	resizing = 0; /* in a child they are its parent's */
}

void sim_watch_resize(uint64_t pages, int begins)
{
	resizing += begins;
	most = MAX(most, pages);
}

/* Used frames may exceed the budget only if they did before it shrank. */
static void check_budget(uint64_t used)
{
	uint64_t budget = atomic_load(&space->frames.budget);

	if (used <= budget && !resizing)
		most = budget;
	if (used > MAX(most, budget))
		sim_fail("%llu frames are used, the budget is %llu",
			 (unsigned long long)used, (unsigned long long)budget);
}

void sim_watch_frames(void)
{
	uint64_t used;

	if (!space)
		return;
	used = atomic_load(&space->frames.used);
	if (sim_frames() > used)
		sim_fail("the memfd has %llu pages, %llu are counted",
			 (unsigned long long)sim_frames(),
			 (unsigned long long)used);
	check_budget(used);
}

static bool any_block_locked(void)
{
	struct block *b;

	pt_for_each_block (&space->pt, b, 0, GUEST_END)
		if (atomic_load(&b->lock.word))
			return true;
	return false;
}

static bool quiet(void)
{
	return !atomic_load(&space->lock.word) &&
	       !atomic_load(&space->mapping.word) &&
	       !atomic_load(&space->dormant) && !any_block_locked();
}

void sim_watch_all(void)
{
	if (!space)
		return;
	K->frozen = true;
	if (quiet())
		space_check(space);
	K->frozen = false;
}

static void tell_page(const struct block *b, unsigned i)
{
	static const char *const names[] = {"none",    "fresh",	   "swapped",
					    "filling", "clean",	   "dirty",
					    "writing", "poisoned", "frozen"};
	pte_t e = b->pte[i];
	enum page_state s = pte_state(e);

	if (s == PAGE_NONE || s == PAGE_FRESH)
		return;
	dprintf(2, " %llx:%s%s",
		(unsigned long long)(b->base >> PAGE_SHIFT) + i, names[s],
		e & PTE_PINNED ? "(pinned)" : "");
}

void sim_watch_tell(void)
{
	struct block *b;
	unsigned i;

	if (!space)
		return;
	K->frozen = true;
	dprintf(2, "frames: %llu of %llu, %llu wanted, %llu pinned; pages:",
		(unsigned long long)atomic_load(&space->frames.used),
		(unsigned long long)atomic_load(&space->frames.budget),
		(unsigned long long)atomic_load(&space->frames.wanted),
		(unsigned long long)atomic_load(&space->frames.pinned));
	pt_for_each_block (&space->pt, b, 0, GUEST_END)
		for (i = 0; i < BLOCK_PAGES; i++)
			tell_page(b, i);
	dprintf(2, "\n");
}
