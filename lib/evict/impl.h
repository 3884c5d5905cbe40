/* SPDX-License-Identifier: MIT */
/*
 * evict/impl.h - what the two ways to begin a write-back share: of victims
 * (evict/writeback.c) and of what is to be in a file now (evict/flush.c).
 */
#ifndef VVM_EVICT_IMPL_H
#define VVM_EVICT_IMPL_H

#include "evict/writeback.h"

struct writeback {
	struct io io;
	struct list link; /* idle */
	struct writer *writer;
	struct extent extent;
	const struct pass *pass;      /* until the write begins; or NULL */
	uint16_t index[IO_MAX_PAGES]; /* in the block, by page of io */
	/*
	 * Bit i: page i could not be kept from changing while it was copied:
	 * what had been written to it before is written, and it stays DIRTY.
	 */
	uint64_t loose[BITS_WORDS(IO_MAX_PAGES)];
};

/* => all: block lock held */

/* How many of n pages of the write-back, from the first on, are neighbours. */
unsigned writeback_run(const struct writeback *wb, unsigned n);
/* Copies n pages. -errno: *copied are good, from the front. */
int writeback_copy(struct writeback *wb, unsigned n, unsigned *copied);
/*
 * Lets go of pages [from, to) of the write-back, which are DIRTY or FROZEN:
 * unprotected and DIRTY as before. One that the kernel may have left protected
 * is FROZEN: a write to it is not taken for a false alarm.
 */
void writeback_back_out(struct writeback *wb, unsigned from, unsigned to);
/*
 * Marks n pages WRITING, but for loose ones: they are ready to be written to
 * `slot` on.
 */
void writeback_begin(struct writeback *wb, unsigned n, uint64_t slot);

#endif
