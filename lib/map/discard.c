/* SPDX-License-Identifier: MIT */
/*
 * map/discard.c - calls about the pages of a range that leave the regions as
 * they are (discarding pages, making them cold), and the part of that which
 * unmapping uses, too.
 */
#include "map/impl.h"

#include <errno.h>

#include "snapshot/snapshot.h"
#include "space/view.h"

/* ---- pages of a range ---- */

void mapping_clip(const struct block *b, gaddr_t start, gaddr_t end,
		  unsigned *first, unsigned *last)
{
	*first = start > b->base ? page_index(start) : 0;
	*last = end < b->base + BLOCK_BYTES ? page_index(end - 1)
					    : BLOCK_PAGES - 1;
}

/* => block lock held */
static bool any_pinned(const struct block *b, unsigned first, unsigned last)
{
	unsigned i;

	for (i = first; b->pinned && i <= last; i++)
		if (b->pte[i] & PTE_PINNED)
			return true;
	return false;
}

static bool block_pinned(struct block *b, gaddr_t start, gaddr_t end)
{
	unsigned first, last;
	bool pinned;

	mapping_clip(b, start, end, &first, &last);
	lock_take(&b->lock);
	pinned = any_pinned(b, first, last);
	lock_drop(&b->lock);
	return pinned;
}

bool mapping_any_pinned(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	struct block *b;

	pt_for_each_block (&vm->pt, b, start, end)
		if (block_pinned(b, start, end))
			return true;
	return false;
}

/* The pins of page i go with its frame. => block lock held. */
static void count_pins(struct vvm *vm, const struct block *b, unsigned i)
{
	if (!(b->pte[i] & PTE_PINNED))
		return;
	atomic_fetch_sub(&vm->frames.pinned, 1);
	stat_add(vm->api, VVM_STAT_pinned_pages, -1);
}

unsigned mapping_clear(struct vvm *vm, struct block *b, unsigned first,
		       unsigned last, enum page_state to)
{
	unsigned i, frames = 0, discarded = 0;

	for (i = first; i <= last; i++) {
		pte_t e = b->pte[i];

		if (!(e & PTE_MAPPED) || pte_state(e) == to)
			continue;
		frames += !!(e & PTE_PRESENT);
		discarded += (e & PTE_PRESENT) || slot_is_swap(pte_slot(e));
		count_pins(vm, b, i);
		space_move(vm, vm->api, b, i, to, 0);
	}
	stat_add(vm->api, VVM_STAT_discarded_pages, discarded);
	return frames;
}

/* ---- discard, cold ---- */

bool mapping_next_run(struct vvm *vm, gaddr_t at, gaddr_t end, struct run *run)
{
	struct region *r;
	bool found = false;
	gaddr_t from;

	rwlock_read(&vm->lock);
	run->block = pt_next(&vm->pt, at, end);
	if (run->block) {
		from = MAX(at, run->block->base);
		r = regions_next_guest(&vm->regions, from);
		from = r ? MAX(from, r->start) : end;
		if (from < MIN(end, run->block->base + BLOCK_BYTES)) {
			mapping_clip(run->block, from, MIN(end, r->end),
				     &run->first, &run->last);
			run->region = r;
			run->host = region_to_host(r, from);
			found = true;
		}
	}
	rwlock_end_read(&vm->lock);
	return found;
}

/* Pages that were DIRTY have a marker now, or may have. */
static void give_back(struct vvm *vm, const struct run *run)
{
	struct block *b = run->block;
	unsigned i;

	for (i = run->first; i <= run->last; i++)
		if (pte_state(b->pte[i]) == PAGE_DIRTY &&
		    view_unprotect_firmly(
			    vm, -1, run->host + pages_to_bytes(i - run->first),
			    PAGE_BYTES) < 0)
			space_move(vm, vm->api, b, i, PAGE_FROZEN, 0);
}

/*
 * The frames go before the entries: between the two a fault waits for our
 * lock. Dropping the mapping first spares a shootdown for each page; in a
 * guarded space the markers keep the kernel from filling them again.
 */
static int drop_frames(struct vvm *vm, const struct run *run)
{
	uint64_t bytes = pages_to_bytes(run->last - run->first + 1);
	bool guarded = space_is_guarded(vm);
	int rc = guarded ? view_protect(vm, -1, run->host, bytes)
			 : os_advise(run->host, bytes, OS_ADV_DONTNEED);

	if (rc == -ENOMEM && !os_all_mapped(run->host, bytes))
		rc = 0; /* the program has unmapped some, the rest is done */
	if (rc == 0)
		rc = os_punch(vm->memfd, run->host, bytes);
	if (rc < 0 && guarded)
		give_back(vm, run);
	return rc < 0 ? -ENOMEM : 0;
}

/* None of its pages is FILLING, nor pinned. => block lock held. */
static int discard_still(struct vvm *vm, const struct run *run)
{
	struct block *b = run->block;
	unsigned i;
	int rc;

	snapshot_give_up(vm, b, run->first, run->last, run->host);
	rc = drop_frames(vm, run);
	if (rc < 0)
		return rc;
	space_give_frames(
		vm, vm->api,
		mapping_clear(vm, b, run->first, run->last, PAGE_FRESH));
	for (i = run->first; i <= run->last; i++)
		if (pte_state(b->pte[i]) == PAGE_FRESH)
			space_begin_page(b, i, run->region);
	return 0;
}

struct run mapping_still_part(struct vvm *vm, const struct run *run,
			      unsigned first)
{
	struct run part = *run;

	space_wait_busy(vm, run->block, first, first, false);
	part.first = part.last = first;
	part.host += pages_to_bytes(first - run->first);
	while (part.last < run->last &&
	       pte_state(run->block->pte[part.last + 1]) != PAGE_FILLING)
		part.last++;
	return part;
}

int mapping_discard_run(struct vvm *vm, const struct run *run)
{
	struct block *b = run->block;
	unsigned at = run->first;
	int rc = 0;

	lock_take(&b->lock);
	while (rc == 0 && at <= run->last) {
		struct run part = mapping_still_part(vm, run, at);

		if (any_pinned(b, part.first, part.last))
			rc = -EBUSY;
		else
			rc = discard_still(vm, &part);
		at = part.last + 1;
	}
	lock_drop(&b->lock);
	return rc;
}

static int range_ready(struct vvm *vm, gaddr_t start, gaddr_t end, bool pins)
{
	int rc = 0;

	rwlock_read(&vm->lock);
	if (!regions_cover(&vm->regions, start, end))
		rc = -VVM_EUNMAPPED;
	else if (pins && mapping_any_pinned(vm, start, end))
		rc = -EBUSY;
	rwlock_end_read(&vm->lock);
	return rc;
}

/*
 * Of a backing that discards: changed pages are void, too. No write of them is in
 * flight then.
 */
static int void_run(struct vvm *vm, const struct run *run)
{
	struct block *b = run->block;
	int rc = -EBUSY;

	lock_take(&b->lock);
	space_wait_busy(vm, b, run->first, run->last, true);
	if (!any_pinned(b, run->first, run->last))
		rc = discard_still(vm, run);
	lock_drop(&b->lock);
	return rc;
}

static bool discards(const struct region *r)
{
	return r->backing && r->backing->discards;
}

/* Tells backings of all that is void, also of what nobody has touched here. */
static void tell_void(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	struct region *r = regions_next_guest(&vm->regions, start);

	for (; r && r->start < end;
	     r = regions_next_guest(&vm->regions, r->end)) {
		gaddr_t from = MAX(start, r->start), to = MIN(end, r->end);

		if (discards(r))
			r->backing->ops->discard(r->backing,
						 region_slot(r, from) &
							 ~SLOT_OF_REGION,
						 bytes_to_pages(to - from));
	}
}

int mapping_dontneed(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	gaddr_t at = start;
	struct run run;
	int rc;

	sync_ahead(vm, start, end, true);
	lock_take(&vm->mapping);
	rc = range_ready(vm, start, end, true);
	while (rc == 0 && mapping_next_run(vm, at, end, &run)) {
		if (discards(run.region))
			rc = void_run(vm, &run);
		else if (region_home(run.region))
			rc = sync_discard(vm, &run);
		else
			rc = mapping_discard_run(vm, &run);
		at = mapping_run_end(&run);
	}
	if (rc == 0)
		tell_void(vm, start, end);
	lock_drop(&vm->mapping);
	return rc;
}

int mapping_cold(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	struct run run;
	unsigned i;
	int rc;

	lock_take(&vm->mapping);
	rc = range_ready(vm, start, end, false);
	while (rc == 0 && mapping_next_run(vm, start, end, &run)) {
		lock_take(&run.block->lock);
		for (i = run.first; i <= run.last; i++) {
			run.block->pte[i] = pte_with_age(run.block->pte[i], 0);
			run.block->policy.heat[i] = 0;
		}
		pt_publish_ages(run.block);
		/* unmapped, so that only a use from now on counts as one */
		os_advise(run.host, pages_to_bytes(run.last - run.first + 1),
			  OS_ADV_DONTNEED);
		run.block->passed_us = os_now_us();
		lock_drop(&run.block->lock);
		start = mapping_run_end(&run);
	}
	lock_drop(&vm->mapping);
	return rc;
}
