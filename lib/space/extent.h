/* SPDX-License-Identifier: MIT */
/*
 * space/extent.h - a part of a block that one system call can be about, and the
 * eviction of its clean pages.
 */
#ifndef VVM_EXTENT_H
#define VVM_EXTENT_H

#include "bits.h"
#include "space/space.h"

#define EXTENT_WORDS BITS_WORDS(BLOCK_PAGES) /* of a set of pages of a block */

/* Part of a block with one host run, one userfaultfd and one home. */
struct extent {
	struct block *block;
	unsigned first, end; /* indices */
	haddr_t host;	     /* of index first */
	int uffd;
	struct backing *home; /* dirty pages are written to it */
	bool own;	      /* that is the region's own, and ... */
	uint64_t slot;	      /* ... page `first` has this slot there */
};

static inline haddr_t extent_host(const struct extent *p, unsigned index)
{
	return p->host + pages_to_bytes(index - p->first);
}

/* Slot of a page in its own home, without SLOT_OF_REGION. */
static inline uint64_t extent_slot(const struct extent *p, unsigned index)
{
	return p->slot + (index - p->first);
}

/*
 * The extent of b that starts at or after addr. False: none. => space lock, or
 * mapping lock, held.
 */
bool extent_next(struct vvm *vm, struct block *b, gaddr_t addr,
		 struct extent *p);

/*
 * Which pages of p are mapped, hence have been used: bit i for index first + i
 * of the block. Not knowing that now means all; having no pagemap, none, and
 * pages leave in the order in which the hand comes by. => block lock held.
 */
void extent_mapped(const struct vvm *vm, const struct extent *p,
		   uint64_t *mapped);

/*
 * May a call for two pages of b cover all pages [from, to) between them?
 * => block lock held.
 */
bool extent_bridge(const struct vvm *vm, const struct block *b, unsigned from,
		   unsigned to);

/*
 * The next run of pages of p whose bit (by index in the block) is set, from
 * *from on, with what extent_bridge() allows between them: [*from, *to). False:
 * none. => block lock held.
 */
bool extent_run(const struct vvm *vm, const struct extent *p,
		const uint64_t *pages, unsigned *from, unsigned *to);

/*
 * Evicts the pages of p whose bit (by index in the block) is set; all CLEAN.
 * written: their write-back has just ended, for the statistics. Returns the
 * frames freed, which the caller gives back. A page whose frame the kernel
 * does not punch stays. => block lock held.
 */
unsigned extent_evict(struct vvm *vm, struct vvm_stat_actor *actor,
		      const struct extent *p, const uint64_t *victims,
		      bool written);

#endif
