/* SPDX-License-Identifier: MIT */
/*
 * map/impl.h - what the mapping calls share; for lib/map only.
 */
#ifndef VVM_MAPPING_IMPL_H
#define VVM_MAPPING_IMPL_H

#include "map/mapping.h"

/* ---- map/mapping.c ---- */

/* Puts r into the index. -ENOMEM. => mapping lock held. */
int mapping_insert(struct vvm *vm, struct region *r);
/*
 * Splits the regions at both ends of [start, end), and counts them anew.
 * -ENOMEM. => space lock held for writing.
 */
int mapping_isolate(struct vvm *vm, gaddr_t start, gaddr_t end);
/* Undoes it where regions are alike in the end. => the same. */
void mapping_join(struct vvm *vm, gaddr_t start, gaddr_t end);

/* ---- map/unmap.c ---- */

/*
 * Makes a guest view inaccessible: by a reservation in its place, or by its
 * protection. => mapping lock held.
 */
int mapping_cover(haddr_t host, uint64_t bytes);
/*
 * In a fork child: what the kernel has not freed for the parent is none of
 * ours, and its addresses may be in use by now.
 */
void mapping_forget_unburied(struct vvm *vm);

/* ---- map/discard.c ---- */

/* Index range of [start, end) in b. */
void mapping_clip(const struct block *b, gaddr_t start, gaddr_t end,
		  unsigned *first, unsigned *last);
/* Is a page of the range pinned? => space lock held. */
bool mapping_any_pinned(struct vvm *vm, gaddr_t start, gaddr_t end);
/*
 * Clears the entries of [first, last]: they become `to`, NONE or FRESH.
 * Returns the frames that they had, which are still in the memfd.
 * => block lock held, no page of the range FILLING.
 */
unsigned mapping_clear(struct vvm *vm, struct block *b, unsigned first,
		       unsigned last, enum page_state to);

/* Pages [first, last] of a block that are one host run, the first at host. */
struct run {
	struct block *block;
	const struct region *region;
	unsigned first, last;
	haddr_t host;
};

/* The first run of [at, end) that has entries. => mapping lock held. */
bool mapping_next_run(struct vvm *vm, gaddr_t at, gaddr_t end, struct run *run);
/* Where to go on after a run. */
static inline gaddr_t mapping_run_end(const struct run *run)
{
	return run->block->base + pages_to_bytes(run->last + 1);
}

/*
 * The part of a run from its page `first` on that is still now. If that one is
 * FILLING it is waited for, and for no other: of many pages that are in use one
 * may always be on its way. => block lock held.
 */
struct run mapping_still_part(struct vvm *vm, const struct run *run,
			      unsigned first);

/* ---- map/discard.c ---- */

/*
 * The pages of run are as at the first look again. -EBUSY: one is pinned; -ENOMEM.
 * => mapping lock held
 */
int mapping_discard_run(struct vvm *vm, const struct run *run);

/* ---- map/sync.c ---- */

/*
 * Writes what has been changed of shared files in the range, with the mapping
 * lock held for a moment at a time, so that little is left for who holds it for
 * long. discard: not where that is void. => nothing locked.
 */
void sync_ahead(struct vvm *vm, gaddr_t start, gaddr_t end, bool discard);

/*
 * Has what was changed in the pages of run, in a region that shares a file,
 * written there, and drops their frames; those that are changed meanwhile stay,
 * and so do those that cannot be written. -ENOMEM. => mapping lock held, none of
 * them is pinned.
 */
int sync_discard(struct vvm *vm, const struct run *run);
/* Pages [first, last] of b are being unmapped: as flush_gone(). */
void sync_unmapped(struct vvm *vm, const struct region *r, struct block *b,
		   unsigned first, unsigned last);

#endif
