/* SPDX-License-Identifier: MIT */
/*
 * policy/intent.c - will the pages that are read into a region be written soon?
 *
 * A page that is filled for reading is write-protected, so that its eviction
 * may cost nothing. If it is written after all, that is a second event: 6 us
 * inline, 20 to 60 with a handler. Programs that read a page and then write it
 * (a counter, a hash table, a collector) pay that for every page. If we knew it
 * in advance, we would fill the page writable, DIRTY from the start.
 *
 * So each region counts, over its last fills, how many of the pages that were
 * filled protected were written while they were still new. When ON_SHARE of
 * them are, fills are made for writing; below OFF_SHARE they are not any more.
 * While they are, every SAMPLE'th fill is protected all the same. Then only
 * these samples are counted, so the region notices when its use changes.
 *
 * A wrong guess costs a write-back of a page that did not change: a copy, a
 * checksum and its share of a large write, about 5 us of CPU. So a guess must
 * be right in more than half of the cases. A wrong guess never costs
 * correctness: DIRTY only says that the frame is the only copy.
 *
 * The counts are halved at WINDOW: what is old weighs less and less. They are
 * relaxed atomics; two threads that meet at the window's end may halve twice or
 * drop a count, which hardly moves the shares.
 *
 * Rejected: to keep the slot and compare the page with its checksum when it is
 * evicted, so that a wrong guess costs no write. 32 bits of checksum call one
 * changed page in 4 billion "unchanged", and that one would be lost without a
 * trace. And reading the slot back costs more than writing it.
 */
#include "policy/intent.h"

#define WINDOW	     256 /* pages */
#define SAMPLE	     16	 /* one fill of so many */
#define ON_SHARE(n)  ((n) / 4 * 3)
#define OFF_SHARE(n) ((n) / 2)

static uint32_t get(const uint32_t *field)
{
	return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static void set(uint32_t *field, uint32_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static uint32_t add(uint32_t *field, uint32_t n)
{
	return __atomic_add_fetch(field, n, __ATOMIC_RELAXED);
}

bool intent_ask(struct intent *in)
{
	return get(&in->on) && add(&in->turn, 1) % SAMPLE;
}

/* The window is full: decide, and forget half of it. */
static void decide(struct intent *in, uint32_t filled)
{
	uint32_t written = get(&in->written);
	uint32_t share = get(&in->on) ? OFF_SHARE(filled) : ON_SHARE(filled);

	set(&in->on, written >= share);
	set(&in->filled, filled / 2);
	/* Pages filled long ago may be written in this window. */
	set(&in->written, MIN(written, filled) / 2);
}

void intent_filled(struct intent *in, uint32_t n)
{
	uint32_t filled = add(&in->filled, n);

	if (filled >= WINDOW)
		decide(in, filled);
}

void intent_written(struct intent *in)
{
	add(&in->written, 1);
}
