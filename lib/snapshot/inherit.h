/* SPDX-License-Identifier: MIT */
/*
 * snapshot/inherit.h - the backing of a space in a fork child: what it
 * inherited, which it only reads, and a swap of its own.
 */
#ifndef VVM_INHERIT_H
#define VVM_INHERIT_H

#include <stdatomic.h>
#include "swap/backing.h"

/*
 * A slot as a child knows it:
 *
 *	51  50  49      40 39                                  0
 *	+---+---+-----------+-----------------------------------+
 *	| F | 0 | generation| number                            |
 *	+---+---+-----------+-----------------------------------+
 *
 * generation	of the process whose slot it is: 0 the one that opened the
 *		space, 1 its child, ...
 * F		0: a slot of that process's swap
 *		1: a page that was dirty when that process forked; the number
 *		   is that of the host page
 * 0		else it is no slot of the swap: SLOT_OF_REGION (space/page.h)
 */
#define INHERIT_NUMBER_BITS 40
#define INHERIT_FRAME	    ((uint64_t)1 << 51)
#define INHERIT_GENERATIONS 1024

static inline uint64_t inherit_base(unsigned generation)
{
	return (uint64_t)generation << INHERIT_NUMBER_BITS;
}

static inline unsigned inherit_generation(uint64_t slot)
{
	return (unsigned)(slot >> INHERIT_NUMBER_BITS) &
	       (INHERIT_GENERATIONS - 1);
}

/* The slot of a dirty page of a parent that is of this generation. */
static inline uint64_t inherit_frame(unsigned generation, haddr_t host)
{
	return INHERIT_FRAME | inherit_base(generation) | host >> PAGE_SHIFT;
}

/*
 * Where a child finds a page that was dirty at the fork; one word for each, in
 * memory that it shares with its parent. From WHERE_COPY on: the number of the
 * page in the file of preimages, plus WHERE_COPY.
 */
enum { WHERE_NONE, WHERE_FRAME, WHERE_LOST, WHERE_COPY };

/* What one parent has left to its children. */
struct origin {
	struct backing *swap; /* its slots: read only, and owned */
	int frames;	      /* its memfd */
	int preimages;	      /* pages that it has changed since */
	int alive;    /* as long as it is open the parent keeps all that */
	haddr_t base; /* of where[0] */
	uint64_t pages;
	_Atomic uint32_t *where; /* WHERE_* by page */
};

/*
 * Puts a backing in place of *backing, which is the parent's: its swap, or
 * what it had inherited itself. The new one owns the origin. It has no swap of
 * its own yet. -ENOMEM, -E2BIG: too many generations; nothing changed.
 */
int inherit_new(struct backing **backing, const struct origin *origin);
/* Of the process that b is the backing of; 0 for a plain swap. */
unsigned inherit_own_generation(const struct backing *b);
/* Gives it the swap of its own, opened at inherit_base(own generation). */
void inherit_set_own(struct backing *b, struct backing *own);
/* The process's own swap: b itself when it has inherited nothing. */
struct backing *inherit_own(struct backing *b);
/*
 * Counts an entry of the page table that names the slot. An origin is closed
 * when the last one has been given back (its frames and preimages with the last
 * that names one of these), and inherit_counted() closes what no entry names at
 * all. => not in use yet.
 */
void inherit_count(struct backing *b, uint64_t slot);
void inherit_counted(struct backing *b);

#endif
