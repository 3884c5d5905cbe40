/* SPDX-License-Identifier: MIT */
/*
 * space/budget.c - who changes the budget.
 *
 * A *fixed* budget is changed by vvm_resize() alone. An *automatic* one follows
 * the machine: the reclaimer changes it (evict/follow.c) as policy/sizing.c
 * decides, until the program calls vvm_resize() with success. While such a call
 * waits for its budget to hold the reclaimer leaves the budget alone; if the
 * call fails it goes on.
 *
 * Pins. vvm_pin() compares the number of pinned pages with an automatic budget,
 * and the reclaimer, when it lowers that, compares it with the pinned pages.
 * Neither holds a lock that the other one takes, so each makes its own change
 * first and looks at the other's then: at least one of two at once sees both, and
 * goes back. vvm_resize() looks before only: pins of other threads at the same
 * time may come to more than it leaves.
 * An automatic budget is raised for a pin: it may be low only because the
 * program was idle, and the program cannot be told to wait for better times.
 */
#include "space/budget.h"

#include <errno.h>

#include "policy/sizing.h"

/* An automatic budget begins here, if its bounds and half of the RAM allow. */
#define START_BYTES ((uint64_t)256 << 20)
/* The least one that is chosen for a program that said nothing. */
#define LEAST_BYTES ((uint64_t)16 << 20)
/* What a raise for pins gives beside them: the next pins come at once. */
#define PIN_SLACK 64

static void bounds_init(struct budget *b, const struct conf *conf)
{
	uint64_t ram = os_ram_bytes(), least = conf->resident_min_bytes,
		 most = conf->resident_max_bytes;

	if (!most)
		most = ram - sizing_reserve(ram);
	if (!least)
		least = MIN(MIN(LEAST_BYTES, ram / 4), most);
	b->least = MAX(least >> PAGE_SHIFT, 1u);
	b->most = MAX(most >> PAGE_SHIFT, b->least);
}

void budget_init(struct vvm *vm, const struct conf *conf)
{
	struct budget *b = &vm->budget;
	uint64_t pages = conf->resident_bytes >> PAGE_SHIFT;

	lock_init(&b->lock, LOCK_MISC);
	b->resizing = 0;
	b->least = b->most = 0;
	atomic_init(&b->automatic, conf->resident_bytes == SETTING_AUTO);
	if (space_is_automatic(vm)) {
		atomic_store(&stat_sizing, true);
		bounds_init(b, conf);
		pages = MIN(START_BYTES, os_ram_bytes() / 2) >> PAGE_SHIFT;
		pages = MIN(MAX(pages, b->least), b->most);
	}
	atomic_init(&vm->frames.budget, pages);
}

/* Of a budget of so many pages: how many may be pinned? */
static uint64_t pinnable(uint64_t pages)
{
	return pages - MIN(pages - pages / 2, (uint64_t)BUDGET_UNPINNED);
}

/* => lock held. */
static void set(struct vvm *vm, uint64_t pages)
{
	frames_resize(&vm->frames, pages, vm->conf.low_pct, vm->conf.high_pct);
}

/* The same, unless more is pinned than fits. False: it is as it was. */
static bool set_for_pinned(struct vvm *vm, uint64_t pages)
{
	uint64_t old = atomic_load(&vm->frames.budget);

	set(vm, pages);
	if (atomic_load(&vm->frames.pinned) <= pinnable(pages))
		return true;
	set(vm, old);
	return false;
}

static void count(struct vvm *vm, struct vvm_stat_actor *actor,
		  enum vvm_stat_resize reason)
{
	stat_add(actor,
		 (enum vvm_stat_counter)(VVM_STAT_resize_demand + reason - 1),
		 1);
	stat_set(&vm->stats, resize_reason, reason);
	stat_set(&vm->stats, budget_pages, atomic_load(&vm->frames.budget));
}

/* => lock held. What is raised for pins is not lowered: it may be more by now. */
static bool follow(struct vvm *vm, uint64_t pages, enum vvm_stat_resize reason)
{
	struct budget *b = &vm->budget;

	if (reason == VVM_STAT_BY_resize_pinned)
		pages = MAX(pages, atomic_load(&vm->frames.budget));
	pages = MIN(MAX(pages, b->least), b->most);
	return space_is_automatic(vm) && !b->resizing &&
	       pages != atomic_load(&vm->frames.budget) &&
	       set_for_pinned(vm, pages);
}

bool budget_follow(struct vvm *vm, struct vvm_stat_actor *actor, uint64_t pages,
		   enum vvm_stat_resize reason)
{
	bool done;

	lock_take(&vm->budget.lock);
	done = follow(vm, pages, reason);
	if (done)
		count(vm, actor, reason);
	lock_drop(&vm->budget.lock);
	if (done)
		space_wake_waiting(vm); /* perhaps it has been raised */
	return done;
}

bool budget_fits_pinned(struct vvm *vm, uint64_t pinned)
{
	if (pinned <= pinnable(atomic_load(&vm->frames.budget)))
		return true;
	if (!space_is_automatic(vm))
		return false;
	budget_follow(vm, vm->api, pinned + BUDGET_UNPINNED + PIN_SLACK,
		      VVM_STAT_BY_resize_pinned);
	return pinned <= pinnable(atomic_load(&vm->frames.budget));
}

int budget_begin(struct vvm *vm, uint64_t pages, uint64_t *old)
{
	int rc = -EBUSY;

	lock_take(&vm->budget.lock);
	*old = atomic_load(&vm->frames.budget);
	if (atomic_load(&vm->frames.pinned) < pages) {
		set(vm, pages);
		vm->budget.resizing++;
		rc = 0;
	}
	lock_drop(&vm->budget.lock);
	return rc;
}

void budget_end(struct vvm *vm)
{
	lock_take(&vm->budget.lock);
	vm->budget.resizing--;
	atomic_store(&vm->budget.automatic, false);
	stat_set(&vm->stats, auto_budget, 0);
	count(vm, vm->api, VVM_STAT_BY_resize_program);
	lock_drop(&vm->budget.lock);
}

void budget_undo(struct vvm *vm, uint64_t pages, uint64_t old)
{
	lock_take(&vm->budget.lock);
	vm->budget.resizing--;
	if (atomic_load(&vm->frames.budget) == pages)
		set(vm, old);
	lock_drop(&vm->budget.lock);
}
