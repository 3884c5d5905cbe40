/* SPDX-License-Identifier: MIT */
/*
 * map/mapping.c - map, protect, advise.
 *
 * The mapping calls are serialised by the mapping lock, which no actor takes,
 * so they may wait for I/O with it held. They hold the space lock only for the
 * change of the index itself.
 *
 * Unmapping is in map/unmap.c; map/discard.c is about the pages in the regions.
 */
#include "map/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fault/trap.h"
#include "map/place.h"
#include "map/sync.h"
#include "util/log.h"
#include "space/view.h"

#define PLACE_TRIES   64 /* choices of the kernel's that are looked at */
#define RESTORE_TRIES 100

/* On x86 what can be written can be read. */
static unsigned normal_prot(unsigned prot)
{
	return prot & VVM_WRITE ? prot | VVM_READ : prot;
}

/* ---- map ---- */

/*
 * Where the kernel's choices are all taken as guest addresses: downwards from
 * `end`, past regions, and past what is mapped in steps that double.
 */
static int reserve_below(struct vvm *vm, haddr_t end, uint64_t bytes,
			 uint64_t align, haddr_t *host)
{
	haddr_t floor = place_floor(vm), at;
	uint64_t step = align;
	const struct region *r;
	int rc;

	while (end > floor && end - floor >= bytes + align) {
		at = (end - bytes) & ~(align - 1);
		r = regions_next_guest(&vm->regions, at);
		if (r && r->start < at + bytes) {
			end = r->start;
			continue;
		}
		rc = os_reserve(bytes, PAGE_BYTES, 0, at, host);
		if (rc != -EEXIST)
			return rc;
		end -= MIN(step, end);
		step *= 2;
	}
	return -ENOMEM;
}

/* Reserves a host range whose addresses are free as guest addresses, too. */
static int reserve_identity(struct vvm *vm, uint64_t bytes, haddr_t *host)
{
	uint64_t align = bytes >= BLOCK_BYTES ? BLOCK_BYTES : PAGE_BYTES;
	haddr_t taken[PLACE_TRIES], lowest = UINT64_MAX;
	int rc = 0, n;

	/* Ranges in the way are kept until we are through, or we would be
	 * offered the same again. */
	for (n = 0; n < PLACE_TRIES; n++) {
		rc = place_reserve(vm, bytes, align, 0, &taken[n]);
		if (rc < 0)
			break;
		if (regions_free_range(&vm->regions, taken[n],
				       taken[n] + bytes)) {
			*host = taken[n];
			break;
		}
		lowest = MIN(lowest, taken[n]);
	}
	if (n == PLACE_TRIES)
		rc = -ENOMEM;
	if (rc == -ENOMEM && n)
		rc = reserve_below(vm, lowest, bytes, align, host);
	while (n-- > 0)
		os_unmap(taken[n], bytes);
	return rc;
}

static int reserve(struct vvm *vm, gaddr_t *addr, uint64_t bytes, haddr_t *host)
{
	int rc;

	if (*addr == VVM_ANYWHERE) {
		rc = reserve_identity(vm, bytes, host);
		if (rc == 0)
			*addr = *host;
		return rc;
	}
	if (!regions_free_range(&vm->regions, *addr, *addr + bytes))
		return -EEXIST;
	return place_reserve(vm, bytes, BLOCK_BYTES, *addr & (BLOCK_BYTES - 1),
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

/*
 * Maps the memfd over the reservation and arms it. Only when faults are events
 * may anything be accessed: after mlockall(MCL_FUTURE) the kernel would fill
 * what is mapped, and the program would write to pages that we take for fresh
 * ones. It is no part of core dumps:
 * the kernel takes absent pages for holes there, so what is in swap would read
 * as zeros, and it tries each page (40 s for the 128 GiB of a heap; through a
 * pipe it writes all those zeros).
 */
static int commit_view(struct vvm *vm, const struct region *r)
{
	uint64_t bytes = r->end - r->start;
	int rc;

	rc = os_map_fixed(r->host, bytes, 0, vm->memfd, r->host);
	if (rc == 0)
		rc = os_unlock(r->host, bytes);
	if (rc == 0)
		rc = os_advise(r->host, bytes, OS_ADV_DONTFORK);
	if (rc == 0)
		rc = os_advise(r->host, bytes, OS_ADV_DONTDUMP);
	if (rc == 0)
		rc = os_advise(r->host, bytes, OS_ADV_NOHUGEPAGE);
	if (rc == 0)
		rc = space_is_guarded(vm) ? view_begin(r)
					  : register_stripes(vm, r);
	return rc < 0 ? rc : view_permit(r, r->prot);
}

/* Whatever the kernel says, it is not about the arguments. */
static int commit(struct vvm *vm, const struct region *r)
{
	int rc = commit_view(vm, r);

	if (rc < 0 && rc != -ENOMEM)
		log_warn("memory cannot be mapped: error %d from the kernel",
			 -rc);
	return rc < 0 ? -ENOMEM : 0;
}

static struct region *new_region(struct vvm *vm, gaddr_t addr, uint64_t bytes,
				 unsigned prot, const char *name,
				 struct backing *backing)
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
	if (name)
		strncpy(r->name, name, sizeof(r->name) - 1);
	r->backing = backing;
	backing_use(backing);
	return r;
}

int mapping_insert(struct vvm *vm, struct region *r)
{
	int rc;

	rwlock_write(&vm->lock);
	rc = regions_insert(&vm->regions, r);
	rwlock_end_write(&vm->lock);
	return rc;
}

/* Makes a region of a reserved range, or gives that back. => mapping lock. */
static int map_reserved(struct vvm *vm, gaddr_t at, haddr_t host,
			uint64_t bytes, unsigned prot, const char *name,
			struct backing *backing)
{
	struct region *r = new_region(vm, at, bytes, prot, name, backing);
	int rc = -ENOMEM;

	if (!r)
		goto unreserve;
	r->host = host;
	r->kept = kept_add(&vm->regions.kept, host, bytes);
	if (space_is_guarded(vm))
		r->chunks = chunks_new(host, bytes);
	if (!r->kept || (space_is_guarded(vm) && !r->chunks))
		goto unreserve;
	if (backing)
		kept_hold(r->kept, &backing->held);
	rc = commit(vm, r);
	if (rc == 0)
		rc = mapping_insert(vm, r);
	if (rc)
		goto unreserve;
	stat_add(vm->api, VVM_STAT_regions, 1);
	stat_add(vm->api, VVM_STAT_mapped_bytes, (int64_t)bytes);
	return 0;
unreserve:
	if (r)
		regions_free(&vm->regions, r);
	if (os_unmap(host, bytes) < 0)
		mapping_cover(host, bytes);
	return rc;
}

int mapping_map_backed(struct vvm *vm, gaddr_t *addr, uint64_t bytes,
		       unsigned prot, const char *name, struct backing *backing)
{
	gaddr_t at = *addr;
	haddr_t host;
	int rc;

	lock_take(&vm->mapping);
	backing_use(backing);
	rc = backing_is_home(backing) ? sync_init(vm) : 0;
	if (rc == 0)
		rc = reserve(vm, &at, bytes, &host);
	if (rc == 0)
		rc = map_reserved(vm, at, host, bytes, prot, name, backing);
	backing_drop(backing);
	lock_drop(&vm->mapping);
	if (rc == 0)
		*addr = at;
	return rc;
}

int mapping_map(struct vvm *vm, gaddr_t *addr, uint64_t bytes, unsigned prot,
		const char *name)
{
	return mapping_map_backed(vm, addr, bytes, prot, name, NULL);
}

int mapping_map_at(struct vvm *vm, haddr_t at, uint64_t bytes, unsigned prot,
		   const char *name)
{
	int rc = -EEXIST;

	lock_take(&vm->mapping);
	if (regions_free_range(&vm->regions, at, at + bytes)) {
		rc = os_reserve(bytes, PAGE_BYTES, 0, at, &at);
		if (rc == 0)
			rc = map_reserved(vm, at, at, bytes, prot, name, NULL);
		else if (rc != -EEXIST)
			rc = -ENOMEM; /* nobody may map there */
	}
	lock_drop(&vm->mapping);
	return rc;
}

/* A fork child has a view that nobody will serve: it would read zeros. */
static void withhold(const struct region *r)
{
	if (mapping_cover(r->host, r->end - r->start) == 0)
		return;
	log_error("process %d cannot let go of the memory that it has not "
		  "inherited: it ends",
		  os_pid());
	abort();
}

/* The child has not got r: nothing of it is known any more. */
static void forget_entries(struct vvm *vm, const struct region *r)
{
	unsigned i, first, last;
	struct block *b;

	pt_for_each_block (&vm->pt, b, r->start, r->end) {
		mapping_clip(b, r->start, r->end, &first, &last);
		lock_init(&b->lock, LOCK_BLOCK);
		b->stat = NULL; /* the parent's */
		lock_take(&b->lock);
		for (i = first; i <= last; i++)
			if (b->pte[i] & PTE_MAPPED)
				pt_move(b, i, PAGE_NONE, 0);
		lock_drop(&b->lock);
	}
}

/*
 * Shared files stay with the parent: two spaces with a page of one would write
 * over each other. So do pagers: their threads are not here. Their addresses are
 * not used for anything else.
 */
static int leave_shared(struct vvm *vm)
{
	gaddr_t addr = 0;
	struct region *r;
	haddr_t at;
	int rc;

	while ((r = regions_next_guest(&vm->regions, addr))) {
		addr = r->end;
		if (!region_is_shared(r) && !(r->backing && r->backing->slow))
			continue;
		rc = os_reserve(r->end - r->start, PAGE_BYTES, 0, r->host, &at);
		if (rc < 0)
			return rc;
		forget_entries(vm, r);
		r = regions_remove(&vm->regions, r->start, r->end);
		regions_free(&vm->regions, r);
	}
	return 0;
}

int mapping_inherit(struct vvm *vm)
{
	struct region *r = NULL;
	haddr_t at;
	int rc;

	mapping_forget_unburied(vm);
	rc = leave_shared(vm);
	if (rc < 0)
		return rc;
	for (r = regions_next_guest(&vm->regions, 0); r;
	     r = regions_next_guest(&vm->regions, r->end))
		if (r->chunks)
			chunks_reset(r->chunks);
	for (r = regions_next_guest(&vm->regions, 0); r && rc == 0;
	     r = regions_next_guest(&vm->regions, r->end)) {
		rc = os_reserve(r->end - r->start, PAGE_BYTES, 0, r->host, &at);
		if (rc < 0)
			break;
		rc = commit(vm, r);
		if (rc < 0) {
			withhold(r);
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
		withhold(r);
}

/* ---- splitting and joining regions ---- */

int mapping_isolate(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	size_t before = vm->regions.count;
	int rc = regions_split(&vm->regions, start);

	if (rc == 0)
		rc = regions_split(&vm->regions, end);
	stat_add(vm->api, VVM_STAT_regions,
		 (int64_t)(vm->regions.count - before));
	return rc;
}

void mapping_join(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	size_t before = vm->regions.count;

	regions_merge(&vm->regions, start, end);
	stat_add(vm->api, VVM_STAT_regions,
		 -(int64_t)(before - vm->regions.count));
}

/* ---- protect ---- */

/* Puts prot into the existing entries of a region. => space lock, writing. */
static void set_perms(struct vvm *vm, const struct region *r)
{
	unsigned i, first, last;
	struct block *b;

	pt_for_each_block (&vm->pt, b, r->start, r->end) {
		mapping_clip(b, r->start, r->end, &first, &last);
		lock_take(&b->lock);
		for (i = first; i <= last; i++)
			if (b->pte[i] & PTE_MAPPED)
				pt_set_perms(b, i, (pte_t)r->prot * PTE_READ);
		lock_drop(&b->lock);
	}
}

/* Only the kernel's lack of memory keeps us waiting. */
static int restore_region(const struct region *r)
{
	unsigned tries = 0;
	int rc;

	while ((rc = view_permit(r, r->prot)) < 0 && ++tries < RESTORE_TRIES)
		os_yield();
	return rc;
}

static void assign_prot(struct vvm *vm, struct region *r, unsigned prot)
{
	r->prot = prot;
	regions_publish(&vm->regions, r);
	set_perms(vm, r);
}

/*
 * The kernel has taken prot for the regions before `stop`. If it does not take
 * it back, they have it.
 */
static void take_back(struct vvm *vm, gaddr_t start, const struct region *stop,
		      unsigned prot)
{
	struct region *r = regions_next_guest(&vm->regions, start);

	for (; r != stop; r = regions_next_guest(&vm->regions, r->end))
		if (restore_region(r) < 0)
			assign_prot(vm, r, prot);
	restore_region(stop); /* it may have done some of it */
}

/*
 * => mapping lock, and space lock for writing: checked accesses hold that for
 * reading while they touch memory that the table allows.
 */
static int protect_range(struct vvm *vm, gaddr_t start, gaddr_t end,
			 unsigned prot)
{
	struct region *first = regions_next_guest(&vm->regions, start), *r;
	int rc;

	for (r = first; r && r->start < end;
	     r = regions_next_guest(&vm->regions, r->end)) {
		rc = view_permit(r, prot);
		if (rc < 0) {
			take_back(vm, start, r, prot);
			return rc;
		}
	}
	for (r = first; r && r->start < end;
	     r = regions_next_guest(&vm->regions, r->end))
		assign_prot(vm, r, prot);
	return 0;
}

/* Is a part of the range of a file that must not be written to? */
static bool any_read_only(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	struct region *r = regions_next_guest(&vm->regions, start);

	for (; r && r->start < end;
	     r = regions_next_guest(&vm->regions, r->end))
		if (r->backing && r->backing->read_only)
			return true;
	return false;
}

int mapping_protect(struct vvm *vm, gaddr_t start, gaddr_t end, unsigned prot)
{
	int rc;

	prot = normal_prot(prot);
	lock_take(&vm->mapping);
	rwlock_write(&vm->lock);
	if (!regions_cover(&vm->regions, start, end)) {
		rc = -VVM_EUNMAPPED;
	} else if ((prot & VVM_WRITE) && any_read_only(vm, start, end)) {
		rc = -EACCES;
	} else {
		rc = mapping_isolate(vm, start, end);
		if (rc == 0)
			rc = protect_range(vm, start, end, prot);
		trap_changed(); /* on an error, too: for a moment it was so */
		mapping_join(vm, start, end);
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
		rc = mapping_isolate(vm, start, end);
		r = regions_next_guest(&vm->regions, start);
		for (; rc == 0 && r && r->start < end;
		     r = regions_next_guest(&vm->regions, r->end)) {
			r->advice = advice;
			regions_publish(&vm->regions, r);
		}
		mapping_join(vm, start, end);
	}
	rwlock_end_write(&vm->lock);
	lock_drop(&vm->mapping);
	return rc;
}
