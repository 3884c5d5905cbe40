/* SPDX-License-Identifier: MIT */
/*
 * swap/slots.h - the free slots of a swap file, handed out in contiguous runs,
 * and the checksum of each slot in use.
 *
 * A slot is one page of the backing, numbered from 1 (0 means "no slot").
 * The slot area grows in chunks towards the limit: slots_take() says
 * -EAGAIN when it would need the area to grow and the owner then grows the
 * file and calls slots_grow(). Memory: one bit and one 32-bit checksum for
 * each slot of the area, from mappings reserved once for the limit and
 * touched as the area grows. Pure apart from mmap at init; the caller locks
 * (rank LOCK_SLOTS).
 */
#ifndef VVM_SLOTS_H
#define VVM_SLOTS_H

#include "base.h"

struct slots {
	uint64_t limit;	    /* most slots there may ever be */
	uint64_t area;	    /* slots that exist now (1..area) */
	uint64_t used;	    /* of those, taken */
	uint64_t cursor;    /* next-fit position */
	uint64_t *bitmap;   /* bit set: taken */
	uint64_t *full;	    /* bit set: a group of 64 bitmap words is full */
	uint32_t *checksum; /* by slot */
	uint64_t bitmap_bytes, full_bytes, checksum_bytes;
};

/* limit_slots >= 1; the area is empty. -ENOMEM. */
int slots_init(struct slots *s, uint64_t limit_slots);
void slots_fini(struct slots *s);
/*
 * Takes a run of up to `want` >= 1 contiguous slots: next-fit for the whole
 * run among the next SLOTS_SEARCH_RUNS free runs, else the longest of these.
 * *first is the first slot, *got >= 1 their number. -EAGAIN: no run of
 * `want` met and the area may still grow; -ENOSPC: full and at its limit.
 * force: take a shorter run rather than saying -EAGAIN, unless all slots of
 * the area are taken.
 */
#define SLOTS_SEARCH_RUNS 512
int slots_take(struct slots *s, uint64_t want, bool force, uint64_t *first,
	       uint64_t *got);
/* Gives back n slots from first; they must be taken. */
void slots_give(struct slots *s, uint64_t first, uint64_t n);
/* The area is now `area` slots (never shrinks, never past the limit). */
void slots_grow(struct slots *s, uint64_t area);
/* Asserts the invariants of swap/slots.c. Reads the whole bitmap. */
void slots_check(const struct slots *s);

#endif
