/* SPDX-License-Identifier: MIT */
/*
 * evict/flush.h - dirty pages of shared files on their way there because somebody
 * asks for it: evict/flush.c.
 */
#ifndef VVM_FLUSH_H
#define VVM_FLUSH_H

#include "evict/writeback.h"

/*
 * Begins to write pages index[0..n) of p, DIRTY or FROZEN, in ascending order:
 * *served of them, as there are idle write-backs. What was written to them
 * before is in what is written. -errno: the kernel did not give some of these;
 * they are as they were. Then writer_submit(). => block lock held, the space lock
 * or the mapping lock; no write-back of the block in flight but those that were
 * started under it; the home of p is its region's own.
 */
int flush_start(struct writer *w, const struct extent *p, const uint16_t *index,
		unsigned n, unsigned *served);

/*
 * Writes what has been changed of pages [first, last] of b, in r, which shares a
 * file, and waits for it. What cannot be written is counted and logged. => the
 * mapping lock held and nothing else; r is out of the index, its view covered, and
 * no page of it in flight.
 */
void flush_gone(struct writer *w, const struct region *r, struct block *b,
		unsigned first, unsigned last);

#endif
