/* SPDX-License-Identifier: MIT */
/*
 * fill/fill.h - putting pages into the memfd: the moves that a demand read
 * (fault/read.c), readahead (fill/readahead.c) and zero fill share.
 */
#ifndef VVM_FILL_H
#define VVM_FILL_H

#include "space/space.h"

/*
 * Puts n pages into the memfd, maps them and wakes their waiters. Returns how
 * many; *error is why not all: -ENOENT, -ESRCH: unmapped under us; else the
 * kernel is short of memory. => block lock held.
 */
unsigned fill_put(struct vvm *vm, int uffd, haddr_t host, const char *from,
		  unsigned n, bool protect, int *error);
/*
 * Fills a FRESH page with zeros, protected unless *dirty, maps it and wakes its
 * waiters. When there is a frame already, that is left as it is, and *dirty is
 * set. 0 or an error as above. => block lock held.
 */
int fill_put_zeros(struct vvm *vm, int uffd, haddr_t host, bool *dirty);
/*
 * The same for n pages, all of them DIRTY; how many it did, from the first one
 * on.
 */
unsigned fill_put_zero_run(struct vvm *vm, int uffd, haddr_t host, unsigned n);
/*
 * fill_put() without mapping them: all or nothing. 0 or -errno. => the pages are
 * FILLING, or the block is locked.
 */
int fill_put_unmapped(struct vvm *vm, int uffd, haddr_t host, const char *from,
		      unsigned n, bool protect);

/* ---- => block lock held ---- */

/* A page has just become resident: its age. */
void fill_admit(struct vvm *vm, struct block *b, unsigned i, bool prefetched);
/*
 * A FILLING page is in the memfd now: DIRTY, or CLEAN with its slot, whose
 * content `bytes` are.
 */
void fill_present(struct vvm *vm, struct vvm_stat_actor *actor, struct block *b,
		  unsigned i, bool dirty, bool prefetched, const char *bytes);
/* A FILLING page is given up: SWAPPED again, as before its claim. */
void fill_give_up(struct vvm *vm, struct vvm_stat_actor *actor, struct block *b,
		  unsigned i);

/* ---- reads ---- */

/* A read that began at start_ns has ended: counts it. */
void fill_count_read(struct vvm_stat_actor *actor, const struct io *io,
		     uint64_t start_ns, uint64_t end_ns, bool demand);

/* ---- intent; => both: space lock held ---- */

/*
 * Shall pages of r that are filled for reading, from `slot` on, be DIRTY, since
 * they will likely be written (policy/intent.c)? Never those of a backing of
 * the region's own: unchanged they take no slot of the swap.
 */
bool fill_intends(const struct vvm *vm, struct region *r, uint64_t slot);
/* n pages are filled for reading, with the answer of fill_intends(). */
void fill_note_intent(struct vvm_stat_actor *actor, struct region *r,
		      uint64_t slot, bool intended, unsigned n);

#endif
