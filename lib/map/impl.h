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

#endif
