/* SPDX-License-Identifier: MIT */
/*
 * map/unmap.c - unmapping.
 *
 * Unmapping goes in an order that leaves no moment in which a thread could
 * read zeros, or in which the host address could be reused too early:
 *
 *	1. take the regions out of the index: from now on no fault and no
 *	   reclaim step begins on them (those running had the space lock);
 *	2. cover the host range with a PROT_NONE reservation, or make the view
 *	   PROT_NONE if the kernel will not: whoever touches it gets SIGSEGV;
 *	   fills in flight fail with ENOENT and are given up, or end;
 *	3. wait for fills and write-backs in flight; write what has been changed
 *	   of a shared file;
 *	4. clear the entries: slots go back to the backing;
 *	5. punch the frames, then give them back to the budget;
 *	6. wake whoever still waits on the range, to find no mapping;
 *	7. release the reservation, free the empty blocks.
 *
 * Should the kernel refuse 5 or 7 (it may be short of memory, and munmap(2) of
 * what it has merged with a neighbour is a split), the region is *unburied*: its
 * addresses stay reserved and its frames counted, since an address whose frames
 * may hold old content must not be handed out again. The next mapping call
 * tries again, and the end of the space at last.
 */
#include "map/impl.h"

#include <errno.h>
#include <stdlib.h>

#include "util/log.h"
#include "snapshot/snapshot.h"
#include "fault/trap.h"
#include "space/view.h"

#define PUNCH_TRIES 10

/* pt_next() under the space lock. Only mapping calls free blocks. */
static struct block *next_block(struct vvm *vm, gaddr_t from, gaddr_t end)
{
	struct block *b;

	rwlock_read(&vm->lock);
	b = pt_next(&vm->pt, from, end);
	rwlock_end_read(&vm->lock);
	return b;
}

static uint64_t clear_region(struct vvm *vm, const struct region *r)
{
	uint64_t frames = 0;
	struct block *b;
	gaddr_t at = r->start;

	while ((b = next_block(vm, at, r->end))) {
		unsigned first, last;

		mapping_clip(b, r->start, r->end, &first, &last);
		lock_take(&b->lock);
		space_wait_busy(vm, b, first, last, true);
		if (region_home(r)) { /* nobody has a hand on its pages now */
			lock_drop(&b->lock);
			sync_unmapped(vm, r, b, first, last);
			lock_take(&b->lock);
		}
		snapshot_give_up(
			vm, b, first, last,
			region_to_host(r, b->base + pages_to_bytes(first)));
		frames += mapping_clear(vm, b, first, last, PAGE_NONE);
		lock_drop(&b->lock);
		at = b->base + BLOCK_BYTES;
	}
	return frames;
}

/*
 * Is b empty, and off the clock? The count is read under the lock: a move
 * takes an entry out of it for a moment.
 */
static bool retire_block(struct vvm *vm, struct block *b)
{
	bool empty;

	lock_take(&b->lock);
	empty = !b->mapped;
	if (empty)
		clock_remove(&vm->clock, b);
	lock_drop(&b->lock);
	return empty;
}

/* Frees the blocks of [start, end) that have no entries left. */
static void free_blocks(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	gaddr_t at = start;
	struct block *b;

	rwlock_write(&vm->lock);
	while ((b = pt_next(&vm->pt, at, end))) {
		at = b->base + BLOCK_BYTES;
		if (retire_block(vm, b))
			pt_free_block(&vm->pt, b);
	}
	rwlock_end_write(&vm->lock);
}

static int punch_all(struct vvm *vm, haddr_t host, uint64_t bytes)
{
	int rc = 0, tries;

	for (tries = 0; tries < PUNCH_TRIES; tries++) {
		rc = os_punch(vm->memfd, host, bytes);
		if (rc == 0)
			break;
		os_yield();
	}
	return rc;
}

/* Frees the frames of the region. */
static bool free_frames(struct vvm *vm, struct region *r)
{
	if (r->unpunched &&
	    punch_all(vm, r->host, region_host_end(r) - r->host) < 0)
		return false;
	r->unpunched = false;
	space_give_frames(vm, vm->api, r->frames);
	r->frames = 0;
	return true;
}

/*
 * A call that finds that the space has lost a thread waits no more for what is in
 * flight (space_wait_busy()), and reads of others may be: what they read from is
 * closed with the space.
 */
static void keep_backing(struct vvm *vm, struct region *r)
{
	struct backing *b = r->backing;

	if (!b || b->users > 1 || !space_broken(vm))
		return;
	b->next = vm->orphans;
	vm->orphans = b;
	r->backing = NULL;
}

/* Steps 5 and 7, as far as the kernel lets us. True: nothing is left of r. */
static bool inter(struct vvm *vm, struct region *r)
{
	if (!free_frames(vm, r) ||
	    os_unmap(r->host, region_host_end(r) - r->host) < 0)
		return false;
	keep_backing(vm, r);
	regions_free(&vm->regions, r);
	return true;
}

/* Tries again what was refused. => mapping lock held. */
static void inter_unburied(struct vvm *vm)
{
	struct region *r = vm->unburied, *next;

	vm->unburied = NULL;
	for (; r; r = next) {
		next = r->next;
		if (inter(vm, r))
			continue;
		r->next = vm->unburied;
		vm->unburied = r;
	}
}

void mapping_forget_unburied(struct vvm *vm)
{
	struct region *r;

	while ((r = vm->unburied)) {
		vm->unburied = r->next;
		keep_backing(vm, r);
		regions_free(&vm->regions, r);
	}
}

/* The memfd goes, too, and all frames with it: the addresses are harmless. */
static void drop_unburied(struct vvm *vm)
{
	struct region *r;

	inter_unburied(vm);
	for (r = vm->unburied; r; r = r->next)
		if (os_unmap(r->host, region_host_end(r) - r->host) < 0)
			log_warn("the kernel does not unmap %llu bytes: their "
				 "addresses are lost to this process",
				 (unsigned long long)(r->end - r->start));
	mapping_forget_unburied(vm);
}

/* Steps 3 to 7 for a region that is out of the index and covered. */
static void bury(struct vvm *vm, struct region *r)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;
	uint64_t bytes = r->end - r->start;
	unsigned i;

	r->frames = clear_region(vm, r);
	r->unpunched = true;
	free_frames(vm, r);
	for (i = 0; i < vm->handler_count; i++)
		view_wake(vm, vm->port[i].uffd, r->host, bytes);
	free_blocks(vm, block_floor(r->start), r->end);
	stat_add(vm->api, VVM_STAT_regions, -1);
	stat_add(vm->api, VVM_STAT_mapped_bytes, -(int64_t)bytes);
	if (inter(vm, r))
		return;
	log_warn_once(&once, "the kernel does not free an unmapped range: that "
			     "is tried again at the next call");
	r->next = vm->unburied;
	vm->unburied = r;
}

/* Undoes step 1. Nobody else maps, so there is room and place for them. */
static void reattach(struct vvm *vm, struct region *r)
{
	struct region *next;
	int rc;

	for (; r; r = next) {
		next = r->next;
		rc = mapping_insert(vm, r);
		ASSERT(rc == 0);
	}
}

int mapping_cover(haddr_t host, uint64_t bytes)
{
	int rc = os_unmap_keep(host, bytes);

	return rc < 0 && os_protect(host, bytes, 0) < 0 ? rc : 0;
}

/*
 * Step 2 for all, since accesses are tried again until then, and what follows
 * region by region; on an error the rest stays.
 */
static int dismantle(struct vvm *vm, struct region *r)
{
	struct region *rest, *next;
	int rc = 0;

	if (space_is_inline(vm))
		trap_changed();
	for (rest = r; rest; rest = rest->next) {
		rc = mapping_cover(rest->host, rest->end - rest->start);
		if (rc < 0)
			break;
	}
	reattach(vm, rest);
	for (; r != rest; r = next) {
		next = r->next;
		bury(vm, r);
	}
	return rc;
}

int mapping_unmap(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	struct region *gone = NULL;
	int rc;

	sync_ahead(vm, start, end, false);
	lock_take(&vm->mapping);
	inter_unburied(vm);
	rwlock_write(&vm->lock);
	rc = mapping_any_pinned(vm, start, end)
		     ? -EBUSY
		     : mapping_isolate(vm, start, end);
	if (rc == 0) /* under the same lock: nobody can pin in between */
		gone = regions_remove(&vm->regions, start, end);
	rwlock_end_write(&vm->lock);
	if (rc == 0)
		rc = dismantle(vm, gone);
	rwlock_write(&vm->lock);
	mapping_join(vm, start, end);
	rwlock_end_write(&vm->lock);
	lock_drop(&vm->mapping);
	return rc;
}

static void abandon(struct backing *b)
{
	if (b && b->ops->abandon)
		b->ops->abandon(b);
}

void mapping_abandon(struct vvm *vm)
{
	const struct region *r;
	struct backing *b;

	lock_take(&vm->mapping);
	for (r = regions_next_guest(&vm->regions, 0); r;
	     r = regions_next_guest(&vm->regions, r->end))
		abandon(r->backing);
	for (r = vm->unburied; r; r = r->next)
		abandon(r->backing);
	for (b = vm->orphans; b; b = b->next)
		abandon(b);
	lock_drop(&vm->mapping);
}

void mapping_unmap_all(struct vvm *vm)
{
	struct region *gone;
	int rc;

	lock_take(&vm->mapping);
	do {
		rwlock_write(&vm->lock);
		gone = regions_remove(&vm->regions, 0, GUEST_END);
		rwlock_end_write(&vm->lock);
		rc = dismantle(vm, gone);
		if (rc < 0) /* the kernel is short of memory */
			os_sleep_us(1000);
	} while (rc < 0);
	drop_unburied(vm);
	lock_drop(&vm->mapping);
}
