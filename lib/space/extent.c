/* SPDX-License-Identifier: MIT */
/*
 * space/extent.c - parts of a block, and the eviction of their clean pages.
 *
 * A block is cut into *extents*: parts with one host run, one descriptor and
 * one home (a region boundary or a stripe boundary separates two). Usually one.
 *
 * A run for punching or protecting may go over pages that have no frame: there
 * is nothing to punch, and a marker there says what the next fill says anew.
 * Long runs are worth it: with a quarter of a block resident, punching costs
 * 2.35 us a page one by one and 0.55 in one run, protecting 0.62 and 0.02
 * (MEASURED.md, "Primitives").
 */
#include "space/extent.h"

#include <string.h>

#include "util/probe.h"

bool extent_next(struct vvm *vm, struct block *b, gaddr_t addr,
		 struct extent *p)
{
	gaddr_t block_end = b->base + BLOCK_BYTES, end;
	struct region *r = regions_next_guest(&vm->regions, addr);
	haddr_t host, stripe_end;

	if (!r || r->start >= block_end)
		return false;
	addr = MAX(addr, r->start);
	end = MIN(block_end, r->end);
	host = region_to_host(r, addr);
	stripe_end = ((host >> r->stripe_shift) + 1) << r->stripe_shift;
	if (stripe_end - host < end - addr)
		end = addr + (stripe_end - host);
	p->block = b;
	p->first = page_index(addr);
	p->end = page_index(end - 1) + 1;
	p->host = host;
	p->uffd = space_uffd(vm, r, host);
	p->own = region_home(r) != NULL;
	p->home = p->own ? r->backing : vm->swap;
	p->slot = region_slot(r, addr) & ~SLOT_OF_REGION;
	return true;
}

void extent_mapped(const struct vvm *vm, const struct extent *p,
		   uint64_t *mapped)
{
	if (vm->pagemap_fd < 0)
		memset(mapped, 0, EXTENT_WORDS * sizeof(*mapped));
	else if (os_pagemap_present(vm->pagemap_fd, p->host, p->end - p->first,
				    mapped, NULL) < 0)
		memset(mapped, 0xff, EXTENT_WORDS * sizeof(*mapped));
}

static void count_evicted(struct vvm_stat_actor *actor, const struct block *b,
			  unsigned i, bool written)
{
	if (written) {
		stat_add(actor, VVM_STAT_evict_written_pages, 1);
	} else {
		stat_add(actor, VVM_STAT_evict_clean_pages, 1);
		if (!pte_slot(b->pte[i]))
			stat_add(actor, VVM_STAT_evict_zero_pages, 1);
	}
	if (b->pte[i] & PTE_PREFETCHED)
		stat_add(actor, VVM_STAT_prefetch_waste_pages, 1);
}

/*
 * Those pages have no frame, so there is nothing to punch and nothing to
 * protect; only poison markers are in the kernel's tables for such pages, and
 * must stay. FILLING ones may be getting a frame just now.
 */
bool extent_bridge(const struct vvm *vm, const struct block *b, unsigned from,
		   unsigned to)
{
	for (; from < to; from++)
		if ((b->pte[from] & (PTE_PRESENT | PTE_BUSY | PTE_POISON)))
			return false;
	return !atomic_load_explicit(&vm->failing, memory_order_relaxed);
}

/*
 * Evicts the pages of [from, to) whose bit is set; the others have no frame.
 * Returns the frames freed, which the caller gives back. => block lock held.
 */
static unsigned punch_run(struct vvm *vm, struct vvm_stat_actor *actor,
			  const struct extent *p, const uint64_t *victims,
			  unsigned from, unsigned to, bool written)
{
	struct block *b = p->block;
	unsigned i, freed = 0;

	/*
	 * Punch first: between the two a fault waits for our lock; and if
	 * the kernel refuses, the page simply stays.
	 */
	if (os_punch(vm->memfd, extent_host(p, from),
		     pages_to_bytes(to - from)) < 0)
		return 0;
	for (i = from; i < to; i++) {
		uint64_t slot = pte_slot(b->pte[i]);

		if (!bit_get(victims, i))
			continue;
		count_evicted(actor, b, i, written);
		space_move(vm, actor, b, i, slot ? PAGE_SWAPPED : PAGE_FRESH,
			   slot);
		freed++;
	}
	PROBE3(evict, b->base + pages_to_bytes(from), freed, written);
	return freed;
}

/* The first victim of an extent at or after i, or its end. */
static unsigned next_victim(const struct extent *p, const uint64_t *victims,
			    unsigned i)
{
	while (i < p->end && !bit_get(victims, i))
		i++;
	return i;
}

bool extent_run(const struct vvm *vm, const struct extent *p,
		const uint64_t *pages, unsigned *from, unsigned *to)
{
	unsigned next = next_victim(p, pages, MAX(*from, p->first));

	if (next >= p->end)
		return false;
	*from = next;
	do {
		*to = next + 1;
		next = next_victim(p, pages, *to);
	} while (next < p->end && extent_bridge(vm, p->block, *to, next));
	return true;
}

unsigned extent_evict(struct vvm *vm, struct vvm_stat_actor *actor,
		      const struct extent *p, const uint64_t *victims,
		      bool written)
{
	unsigned from = 0, to, freed = 0;

	for (; extent_run(vm, p, victims, &from, &to); from = to)
		freed += punch_run(vm, actor, p, victims, from, to, written);
	return freed;
}
