/* SPDX-License-Identifier: MIT */
/*
 * mapping.c - map, unmap, protect, advise.
 *
 * These calls are serialised by the mapping lock, which no actor takes, so
 * they may wait for I/O with it held. The space lock they hold only for the
 * change of the index itself.
 *
 * Unmapping goes in an order that leaves no moment in which a thread could
 * read zeros, or in which the host address could be reused too early:
 *
 *	1. take the regions out of the index: from now on no fault and no
 *	   reclaim step begins on them (those running had the space lock);
 *	2. put a PROT_NONE reservation over the host range: whoever touches it
 *	   gets SIGSEGV; fills in flight fail with ENOENT and are given up;
 *	3. wait for fills and write-backs in flight;
 *	4. clear the entries: slots go back to the backing;
 *	5. punch the frames, then give them back to the budget;
 *	6. wake whoever still waits on the range, to find no mapping;
 *	7. release the reservation, free the empty blocks.
 *
 * Should the punch fail (it cannot, short of injection), the reservation and
 * the frames are kept for ever: an address whose frames may hold old content
 * must not be handed out again.
 */
#include "mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "log.h"
#include "snapshot.h"
#include "trap.h"

#define PLACE_TRIES 64	/* host ranges looked at for a free guest range */
#define PUNCH_TRIES 100

static unsigned host_prot(unsigned prot)
{
	return (prot & VVM_READ ? OS_READ : 0) |
	       (prot & VVM_WRITE ? OS_READ | OS_WRITE : 0) |
	       (prot & VVM_EXEC ? OS_EXEC : 0);
}

/* On x86 what can be written can be read. */
static unsigned normal_prot(unsigned prot)
{
	return prot & VVM_WRITE ? prot | VVM_READ : prot;
}

/* ---- map ---- */

/* Reserves a host range whose addresses are free as guest addresses, too. */
static int reserve_identity(struct vvm *vm, uint64_t bytes, haddr_t *host)
{
	uint64_t align = bytes >= BLOCK_BYTES ? BLOCK_BYTES : PAGE_BYTES;
	haddr_t taken[PLACE_TRIES];
	int rc = 0, n;

	/* Ranges in the way are kept until we are through, or we would be
	 * offered the same again. */
	for (n = 0; n < PLACE_TRIES; n++) {
		rc = os_reserve(bytes, align, 0, 0, &taken[n]);
		if (rc < 0)
			break;
		if (regions_free_range(&vm->regions, taken[n],
				       taken[n] + bytes)) {
			*host = taken[n];
			break;
		}
	}
	if (n == PLACE_TRIES)
		rc = -ENOMEM;
	while (n-- > 0)
		os_unmap(taken[n], bytes);
	return rc;
}

static int reserve(struct vvm *vm, gaddr_t *addr, uint64_t bytes, haddr_t *host)
{
	int rc;

	if (*addr == VVM_ANYWHERE) {
		rc = reserve_identity(vm, bytes, host);
		*addr = *host;
		return rc;
	}
	if (!regions_free_range(&vm->regions, *addr, *addr + bytes))
		return -EEXIST;
	return os_reserve(bytes, BLOCK_BYTES, *addr & (BLOCK_BYTES - 1), 0,
			  host);
}

/* Registers each stripe of the region with its handler. */
static int register_stripes(struct vvm *vm, const struct region *r)
{
	haddr_t at = r->host, end = region_host_end(r), next;
	int rc = 0;

	while (at < end && rc == 0) {
		next = ((at >> r->stripe_shift) + 1) << r->stripe_shift;
		next = vm->handler_count == 1 ? end : MIN(next, end);
		rc = os_uffd_register(space_uffd(vm, r, at), at, next - at);
		at = next;
	}
	return rc;
}

/* Maps the memfd over the reservation and arms it. */
static int commit(struct vvm *vm, const struct region *r)
{
	uint64_t bytes = r->end - r->start;
	int rc;

	rc = os_map_fixed(r->host, bytes, host_prot(r->prot), vm->memfd,
			  r->host);
	if (rc == 0)
		rc = os_advise(r->host, bytes, OS_ADV_DONTFORK);
	if (rc == 0)
		rc = os_advise(r->host, bytes, OS_ADV_NOHUGEPAGE);
	if (rc == 0)
		rc = register_stripes(vm, r);
	return rc;
}

static struct region *new_region(struct vvm *vm, gaddr_t addr, uint64_t bytes,
				 unsigned prot, const char *name)
{
	struct region *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->start = addr;
	r->end = addr + bytes;
	r->prot = normal_prot(prot);
	r->advice = VVM_ADV_NORMAL;
	r->stripe_shift = region_stripe_shift(bytes, vm->handler_count);
	r->mapping_id = ++vm->mappings;
	r->backing = vm->swap;
	if (name)
		strncpy(r->name, name, sizeof(r->name) - 1);
	return r;
}

static int insert(struct vvm *vm, struct region *r)
{
	int rc;

	rwlock_write(&vm->lock);
	rc = regions_insert(&vm->regions, r);
	rwlock_end_write(&vm->lock);
	return rc;
}

int mapping_map(struct vvm *vm, gaddr_t *addr, uint64_t bytes, unsigned prot,
		const char *name)
{
	gaddr_t at = *addr;
	struct region *r = NULL;
	haddr_t host;
	int rc;

	lock_take(&vm->mapping);
	rc = reserve(vm, &at, bytes, &host);
	if (rc < 0)
		goto out;
	rc = -ENOMEM;
	r = new_region(vm, at, bytes, prot, name);
	if (!r)
		goto unreserve;
	r->host = host;
	rc = commit(vm, r);
	if (rc == 0)
		rc = insert(vm, r);
	if (rc < 0)
		goto unreserve;
	stat_add(vm->api, VVM_STAT_regions, 1);
	stat_add(vm->api, VVM_STAT_mapped_bytes, (int64_t)bytes);
	*addr = at;
	goto out;
unreserve:
	free(r);
	os_unmap(host, bytes);
out:
	lock_drop(&vm->mapping);
	return rc;
}

int mapping_inherit(struct vvm *vm)
{
	struct region *r;
	haddr_t at;
	int rc = 0;

	for (r = regions_next_guest(&vm->regions, 0); r && rc == 0;
	     r = regions_next_guest(&vm->regions, r->end)) {
		r->backing = vm->swap;
		rc = os_reserve(r->end - r->start, PAGE_BYTES, 0, r->host, &at);
		if (rc < 0)
			break;
		rc = commit(vm, r);
		if (rc < 0) {
			os_unmap_keep(r->host, r->end - r->start);
			break;
		}
	}
	if (rc < 0)
		mapping_disinherit(vm, r->start);
	return rc;
}

void mapping_disinherit(struct vvm *vm, gaddr_t end)
{
	struct region *r;

	for (r = regions_next_guest(&vm->regions, 0); r && r->start < end;
	     r = regions_next_guest(&vm->regions, r->end))
		os_unmap_keep(r->host, r->end - r->start);
}

/* ---- pages of a range ---- */

/* Index range of [start, end) in b. */
static void clip(const struct block *b, gaddr_t start, gaddr_t end,
		 unsigned *first, unsigned *last)
{
	*first = start > b->base ? page_index(start) : 0;
	*last = end < b->base + BLOCK_BYTES ? page_index(end - 1)
					    : BLOCK_PAGES - 1;
}

/* pt_next() under the space lock. Only mapping calls free blocks. */
static struct block *next_block(struct vvm *vm, gaddr_t from, gaddr_t end)
{
	struct block *b;

	rwlock_read(&vm->lock);
	b = pt_next(&vm->pt, from, end);
	rwlock_end_read(&vm->lock);
	return b;
}

/* => block lock held. */
static bool pinned_between(const struct block *b, unsigned first, unsigned last)
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

	clip(b, start, end, &first, &last);
	lock_take(&b->lock);
	pinned = pinned_between(b, first, last);
	lock_drop(&b->lock);
	return pinned;
}

/* Is a page of the range pinned? => space lock held. */
static bool any_pinned(struct vvm *vm, gaddr_t start, gaddr_t end)
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

/*
 * Clears the entries of [first, last]: they become `to`, NONE or FRESH.
 * Returns the frames that they had, which are still in the memfd.
 * => block lock held, no page of the range FILLING.
 */
static unsigned clear_entries(struct vvm *vm, struct block *b, unsigned first,
			      unsigned last, enum page_state to)
{
	unsigned i, frames = 0, discarded = 0;

	for (i = first; i <= last; i++) {
		pte_t e = b->pte[i];

		if (!(e & PTE_MAPPED) || pte_state(e) == to)
			continue;
		frames += !!(e & PTE_PRESENT);
		discarded += (e & PTE_PRESENT) || pte_slot(e);
		count_pins(vm, b, i);
		space_move(vm, vm->api, b, i, to, 0);
	}
	stat_add(vm->api, VVM_STAT_discarded_pages, discarded);
	return frames;
}

/* ---- unmap ---- */

static uint64_t clear_region(struct vvm *vm, const struct region *r)
{
	uint64_t frames = 0;
	struct block *b;
	gaddr_t at = r->start;

	while ((b = next_block(vm, at, r->end))) {
		unsigned first, last;

		clip(b, r->start, r->end, &first, &last);
		lock_take(&b->lock);
		space_wait_busy(b, first, last, true);
		snapshot_give_up(vm, b, first, last,
				 region_to_host(r, b->base +
							   pages_to_bytes(first)));
		frames += clear_entries(vm, b, first, last, PAGE_NONE);
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
		clock_remove(vm, b);
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

/* Steps 3 to 7 for a region that is out of the index and covered. */
static void bury(struct vvm *vm, struct region *r)
{
	uint64_t bytes = r->end - r->start, frames;
	unsigned i;
	int rc;

	frames = clear_region(vm, r);
	rc = punch_all(vm, r->host, bytes);
	if (rc == 0)
		space_give_frames(vm, vm->api, frames);
	else
		log_error("cannot free the frames of an unmapped range: its "
			  "addresses and frames are lost to this process");
	for (i = 0; i < vm->handler_count; i++)
		os_uffd_wake(vm->port[i].uffd, r->host, bytes);
	if (rc == 0)
		os_unmap(r->host, bytes);
	free_blocks(vm, block_floor(r->start), r->end);
	stat_add(vm->api, VVM_STAT_regions, -1);
	stat_add(vm->api, VVM_STAT_mapped_bytes, -(int64_t)bytes);
	free(r);
}

/* Splits at both ends and counts the pieces. => space lock, for writing. */
static int isolate(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	size_t before = vm->regions.count;
	int rc = regions_split(&vm->regions, start);

	if (rc == 0)
		rc = regions_split(&vm->regions, end);
	stat_add(vm->api, VVM_STAT_regions,
		 (int64_t)(vm->regions.count - before));
	return rc;
}

/* Undoes isolate() where nothing else came of it. => the same. */
static void join(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	size_t before = vm->regions.count;

	regions_merge(&vm->regions, start, end);
	stat_add(vm->api, VVM_STAT_regions,
		 -(int64_t)(before - vm->regions.count));
}

/* Step 1 for all regions of [start, end). => space lock, for writing. */
static struct region *detach(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	struct region *r, *head = NULL, **tail = &head;

	while ((r = regions_next_guest(&vm->regions, start)) && r->start < end) {
		regions_remove(&vm->regions, r);
		r->next = NULL;
		*tail = r;
		tail = &r->next;
	}
	return head;
}

/* Undoes it. Nobody else maps, so there is room and place for them. */
static void reattach(struct vvm *vm, struct region *r)
{
	struct region *next;
	int rc;

	for (; r; r = next) {
		next = r->next;
		rc = insert(vm, r);
		ASSERT(rc == 0);
	}
}

/* Step 2 and what follows, region by region; the rest stays on an error. */
static int dismantle(struct vvm *vm, struct region *r)
{
	struct region *next;
	int rc;

	if (vm->lanes)
		trap_unmapped();
	for (; r; r = next) {
		next = r->next;
		rc = os_unmap_keep(r->host, r->end - r->start);
		if (rc < 0) {
			reattach(vm, r);
			return rc;
		}
		bury(vm, r);
	}
	return 0;
}

int mapping_unmap(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	struct region *gone = NULL;
	int rc;

	lock_take(&vm->mapping);
	rwlock_write(&vm->lock);
	rc = any_pinned(vm, start, end) ? -EBUSY : isolate(vm, start, end);
	if (rc == 0) /* under the same lock: nobody can pin in between */
		gone = detach(vm, start, end);
	rwlock_end_write(&vm->lock);
	if (rc == 0)
		rc = dismantle(vm, gone);
	rwlock_write(&vm->lock);
	join(vm, start, end);
	rwlock_end_write(&vm->lock);
	lock_drop(&vm->mapping);
	return rc;
}

void mapping_unmap_all(struct vvm *vm)
{
	struct region *gone;
	int rc;

	lock_take(&vm->mapping);
	do {
		rwlock_write(&vm->lock);
		gone = detach(vm, 0, GUEST_END);
		rwlock_end_write(&vm->lock);
		rc = dismantle(vm, gone);
		if (rc < 0) /* the kernel is short of memory */
			os_sleep_us(1000);
	} while (rc < 0);
	lock_drop(&vm->mapping);
}

/* ---- protect ---- */

/* Puts prot into the existing entries of a region. => space lock, writing. */
static void set_perms(struct vvm *vm, const struct region *r)
{
	unsigned i, first, last;
	struct block *b;

	pt_for_each_block (&vm->pt, b, r->start, r->end) {
		clip(b, r->start, r->end, &first, &last);
		lock_take(&b->lock);
		for (i = first; i <= last; i++)
			if (b->pte[i] & PTE_MAPPED)
				pt_set_perms(b, i, (pte_t)r->prot * PTE_READ);
		lock_drop(&b->lock);
	}
}

/*
 * mprotects the regions of [start, end): to prot, or with restore back to
 * what they have. => space lock held for writing: checked accesses hold it
 * for reading while they touch memory that the table allows.
 */
static int mprotect_range(struct vvm *vm, gaddr_t start, gaddr_t end,
			  unsigned prot, bool restore)
{
	struct region *r = regions_next_guest(&vm->regions, start);
	int rc = 0;

	for (; r && r->start < end && rc == 0;
	     r = regions_next_guest(&vm->regions, r->end))
		rc = os_protect(r->host, r->end - r->start,
				host_prot(restore ? r->prot : prot));
	return rc;
}

static void assign_prot(struct vvm *vm, gaddr_t start, gaddr_t end,
			unsigned prot)
{
	struct region *r = regions_next_guest(&vm->regions, start);

	for (; r && r->start < end; r = regions_next_guest(&vm->regions, r->end)) {
		r->prot = prot;
		regions_publish(&vm->regions, r);
		set_perms(vm, r);
	}
}

int mapping_protect(struct vvm *vm, gaddr_t start, gaddr_t end, unsigned prot)
{
	int rc = -VVM_EUNMAPPED;

	prot = normal_prot(prot);
	lock_take(&vm->mapping);
	rwlock_write(&vm->lock);
	if (regions_cover(&vm->regions, start, end)) {
		rc = isolate(vm, start, end);
		if (rc == 0)
			rc = mprotect_range(vm, start, end, prot, false);
		if (rc == 0)
			assign_prot(vm, start, end, prot);
		else
			mprotect_range(vm, start, end, 0, true);
		join(vm, start, end);
	}
	rwlock_end_write(&vm->lock);
	lock_drop(&vm->mapping);
	return rc;
}

/* ---- advise ---- */

int mapping_set_advice(struct vvm *vm, gaddr_t start, gaddr_t end,
		       unsigned advice)
{
	int rc = -VVM_EUNMAPPED;
	struct region *r;

	lock_take(&vm->mapping);
	rwlock_write(&vm->lock);
	if (regions_cover(&vm->regions, start, end)) {
		rc = isolate(vm, start, end);
		r = regions_next_guest(&vm->regions, start);
		for (; rc == 0 && r && r->start < end;
		     r = regions_next_guest(&vm->regions, r->end)) {
			r->advice = advice;
			regions_publish(&vm->regions, r);
		}
		join(vm, start, end);
	}
	rwlock_end_write(&vm->lock);
	lock_drop(&vm->mapping);
	return rc;
}

/* Host address of page `first` of b when [first, last] is one host run. */
struct run {
	struct block *block;
	unsigned first, last;
	haddr_t host;
};

/* The first run of [at, end) that has entries. => mapping lock held. */
static bool next_run(struct vvm *vm, gaddr_t at, gaddr_t end, struct run *run)
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
			clip(run->block, from, MIN(end, r->end), &run->first,
			     &run->last);
			run->host = region_to_host(r, from);
			found = true;
		}
	}
	rwlock_end_read(&vm->lock);
	return found;
}

/* Where to go on after a run. */
static gaddr_t run_end(const struct run *run)
{
	return run->block->base + pages_to_bytes(run->last + 1);
}

/*
 * The frames go before the entries: between the two a fault waits for our
 * lock. Dropping the mapping first spares a shootdown for each page.
 */
static int drop_frames(struct vvm *vm, const struct run *run)
{
	uint64_t bytes = pages_to_bytes(run->last - run->first + 1);
	int rc = os_advise(run->host, bytes, OS_ADV_DONTNEED);

	if (rc == 0)
		rc = os_punch(vm->memfd, run->host, bytes);
	return rc < 0 ? -ENOMEM : 0;
}

static int discard_run(struct vvm *vm, const struct run *run)
{
	struct block *b = run->block;
	unsigned frames = 0;
	int rc = -EBUSY;

	lock_take(&b->lock);
	space_wait_busy(b, run->first, run->last, false);
	if (!pinned_between(b, run->first, run->last)) {
		snapshot_give_up(vm, b, run->first, run->last, run->host);
		rc = drop_frames(vm, run);
	}
	if (rc == 0)
		frames = clear_entries(vm, b, run->first, run->last, PAGE_FRESH);
	lock_drop(&b->lock);
	space_give_frames(vm, vm->api, frames);
	return rc;
}

static int range_ready(struct vvm *vm, gaddr_t start, gaddr_t end, bool pins)
{
	int rc = 0;

	rwlock_read(&vm->lock);
	if (!regions_cover(&vm->regions, start, end))
		rc = -VVM_EUNMAPPED;
	else if (pins && any_pinned(vm, start, end))
		rc = -EBUSY;
	rwlock_end_read(&vm->lock);
	return rc;
}

int mapping_dontneed(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	struct run run;
	int rc;

	lock_take(&vm->mapping);
	rc = range_ready(vm, start, end, true);
	while (rc == 0 && next_run(vm, start, end, &run)) {
		rc = discard_run(vm, &run);
		start = run_end(&run);
	}
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
	while (rc == 0 && next_run(vm, start, end, &run)) {
		lock_take(&run.block->lock);
		for (i = run.first; i <= run.last; i++) {
			run.block->pte[i] = pte_with_age(run.block->pte[i], 0);
			run.block->policy.heat[i] = 0;
		}
		pt_publish_ages(run.block);
		/* unmapped, so that only a use from now on counts as one */
		os_advise(run.host, pages_to_bytes(run.last - run.first + 1),
			  OS_ADV_DONTNEED);
		lock_drop(&run.block->lock);
		start = run_end(&run);
	}
	lock_drop(&vm->mapping);
	return rc;
}
