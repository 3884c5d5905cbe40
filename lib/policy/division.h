/* SPDX-License-Identifier: MIT */
/*
 * policy/division.h - how much of the budget compressed pages may take:
 * policy/division.c. No lock, no clock; the caller's thread only.
 */
#ifndef VVM_DIVISION_H
#define VVM_DIVISION_H

#include "base.h"

/* Budgets below this have none: a part of them is a chunk or two. */
#define DIVISION_BUDGET_MIN 256

/* Since the last look, or now. All counts of pages, if they say nothing else. */
struct division_sample {
	uint64_t budget, pinned; /* now */
	uint64_t packed;	 /* pages that hold compressed ones, now */
	uint64_t old_reads;	 /* compressed pages read, of the oldest part */
	uint64_t added;		 /* pages compressed, ... */
	uint64_t written;	 /* ... and written to the disk instead */
	uint64_t scanned;	 /* resident ones that the hand passed, ... */
	uint64_t cold;		 /* ... those that it may evict next, ... */
	uint64_t cold_used;	 /* ... and of these, used in the last turn */
	uint64_t read_us;	 /* a read from the disk, on average */
	uint64_t fault_us;	 /* what a fault without one takes */
};

/* The oldest part is one of so many: backing_stat.packed_old_reads. */
#define DIVISION_OLD_SHARE 8

struct division {
	uint64_t pages; /* may hold compressed pages */
	/* Of the samples that have not said enough yet. */
	uint64_t old_reads, scanned, cold, cold_used;
};

void division_init(struct division *d);
/* Decides anew. */
void division_look(struct division *d, const struct division_sample *s);
/*
 * Nothing else can go, and so many pages are needed, of the `packed` that hold
 * compressed ones.
 */
void division_yield(struct division *d, uint64_t packed, uint64_t need);

#endif
